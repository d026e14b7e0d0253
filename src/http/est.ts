import { GatewayError } from "../errors.ts";
import { certificateLogin } from "../interactions/certificate-login.ts";
import { enrol, requireAuthority } from "../interactions/certificates.ts";
import type { Credential } from "../store/credentials.ts";
import type { Principal } from "../thing/access.ts";
import { certsOnly } from "../tls/certs-only.ts";
import { certificateRefusal } from "./authentication.ts";
import { mediaTypeOf } from "./body.ts";
import type { Answer, AuthorisedCall, Call, Route } from "./call.ts";

/** Enrolment over Secure Transport, RFC 7030 §3.2.2. */
const EST = "/.well-known/est";

export const estRoutes: readonly Route[] = [
  {
    method: "GET",
    path: `${EST}/cacerts`,
    scopes: "none",
    isStatic: true,
    whileUnclaimed: true,
    answer: getCa,
  },
  {
    method: "POST",
    path: `${EST}/simpleenroll`,
    audit: "certificate.enrol",
    scopes: ["mqtt.credentials"],
    answer: postEnrol,
  },
  {
    method: "POST",
    path: `${EST}/simplereenroll`,
    audit: "certificate.renew",
    scopes: "none",
    answer: postRenew,
  },
];

/**
 * RFC 7030 §4.1.3: the CA that signs here, also where the server shows a certificate of the operator's
 * own. It is no secret: a device may have it before the box is somebody's.
 */
function getCa({ deps }: Call): Answer {
  const { authority } = deps;
  if (authority === undefined) throw new GatewayError("not-found", "the gateway has no CA");
  return pkcs7(certsOnly([authority.certificate]));
}

/** RFC 7030 §4.2.1: who has user and password of a credential, or a good certificate of it. */
async function postEnrol(call: AuthorisedCall): Promise<Answer> {
  requireTls(call);
  requireAuthority(call.deps);
  // Before the body: who may not need not send it.
  credentialOf(call, call.principal);
  const csr = await requestBody(call);
  return issued(call, credentialOf(call, call.principal), csr);
}

/** RFC 7030 §4.2.2: who has the key of a certificate of ours, which may have expired. */
async function postRenew(call: Call): Promise<Answer> {
  requireTls(call);
  requireAuthority(call.deps);
  renewable(call);
  const csr = await requestBody(call);
  // It may have been revoked while the body arrived.
  return issued(call, renewable(call), csr);
}

function issued(call: Call, credential: Credential, csr: Uint8Array): Answer {
  const { certificate, row } = enrol(call.deps, credential, csr);
  const target = `/${row.account}/mqtt/${row.credential}/certificates/${row.serial}`;
  const principal = `credential ${credential.username}`;
  return { ...pkcs7(certsOnly([certificate])), audit: { principal, target } };
}

/** @throws GatewayError `forbidden`: it is no device's. */
function credentialOf({ deps }: Call, principal: Principal): Credential {
  const credential =
    principal.kind === "credential" ? deps.store.credentials.get(principal.id) : undefined;
  if (credential !== undefined) return credential;
  const detail = `${principal.name} is no MQTT credential: only these get certificates here`;
  throw new GatewayError("forbidden", detail);
}

/** @throws GatewayError `unauthorized`. */
function renewable({ deps, certificate }: Call): Credential {
  if (certificate === undefined) {
    const refusal = { cause: "no-credentials" } as const;
    const detail = "a renewal needs the certificate that is to be renewed";
    throw new GatewayError("unauthorized", detail, { refusal });
  }
  const login = certificateLogin(deps, certificate);
  if (login.kind === "good" || login.kind === "expired") return login.credential;
  throw certificateRefusal(login);
}

function requireTls({ channel }: Call): void {
  if (channel.kind === "tls") return;
  throw new GatewayError("insecure-channel", "EST is spoken over TLS only (RFC 7030 §3.1)");
}

const REQUEST_TYPE = "application/pkcs10";

/** Base64 whatever the header Content-Transfer-Encoding says: RFC 8951 §3.2.2 wants it ignored. */
async function requestBody(call: Call): Promise<Uint8Array> {
  if (mediaTypeOf(call) !== REQUEST_TYPE) {
    throw new GatewayError("unsupported-media-type", `expected ${REQUEST_TYPE}`);
  }
  return call.readBody();
}

/** Lines of 64 characters, as PEM has them: clients read them with what reads PEM. */
function pkcs7(der: Buffer): Answer {
  return {
    status: 200,
    text: der.toString("base64").replaceAll(/.{1,64}/g, "$&\r\n"),
    mediaType: "application/pkcs7-mime; smime-type=certs-only",
    headers: { "Content-Transfer-Encoding": "base64" },
  };
}
