import { generateKeyPairSync, type X509Certificate } from "node:crypto";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { passwordFault } from "../password-policy.ts";
import type { Certificate } from "../store/certificates.ts";
import type { Credential } from "../store/credentials.ts";
import type { Principal } from "../thing/access.ts";
import type { Authority } from "../tls/authority.ts";
import { readCertificateRequest } from "../tls/certificate-request.ts";
import { makePkcs12 } from "../tls/pkcs12.ts";
import { findCredential } from "./credentials.ts";
import type { InteractionDeps } from "./deps.ts";

/** A request by whoever has the key, or the wish for a key in a file with this password. */
export type CertificateWanted =
  | { readonly kind: "request"; readonly csr: Uint8Array }
  | { readonly kind: "pkcs12"; readonly password: string };

export type CertificateOutcome = {
  readonly row: Certificate;
  readonly certificate: X509Certificate;
  readonly authority: Authority;
  /** PKCS #12 with the private key, which is in this one outcome and never stored. */
  readonly pkcs12: Buffer | undefined;
};

type OnCredential = {
  readonly principal: Principal;
  readonly account: string;
  /** ULID of the credential. */
  readonly ulid: string;
};

/**
 * Issues a client certificate for a credential: whoever has its key is what the credential is.
 * @throws GatewayError `forbidden`, `unknown-account`, `not-found`, `conflict` where there is no CA,
 * `malformed`, `weak-password`, `too-large`, `limit-reached`; then nothing was issued.
 */
export function issueCertificate(
  deps: InteractionDeps,
  on: OnCredential & { readonly wanted: CertificateWanted },
): CertificateOutcome {
  const credential = findCredential(deps, on);
  const { wanted } = on;
  if (wanted.kind === "request") return enrol(deps, credential, wanted.csr);
  const { password } = wanted;
  requirePassword(password, credential);
  const { publicKey, privateKey: key } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const der = publicKey.export({ format: "der", type: "spki" });
  const issued = issue(deps, credential, { publicKey: der, kind: "p256" });
  const { certificate, authority } = issued;
  const parts = { key, certificate, ca: authority.certificate };
  return { ...issued, pkcs12: makePkcs12(parts, password, deps.random) };
}

/**
 * A certificate for a credential that has proven who it is.
 * @throws GatewayError `conflict`, `malformed`, `too-large`, `limit-reached`; then nothing was issued.
 */
export function enrol(
  deps: InteractionDeps,
  credential: Credential,
  csr: Uint8Array,
): CertificateOutcome {
  return { ...issue(deps, credential, readCertificateRequest(csr)), pkcs12: undefined };
}

/**
 * Revokes a certificate at once: connections made with it end, sessions stay. What is revoked already
 * stays as it is. `precondition` gets the present one and may throw.
 * @throws GatewayError `forbidden`, `unknown-account`, `not-found`.
 */
export function revokeCertificate(
  deps: InteractionDeps,
  on: OnCredential & {
    readonly serial: string;
    readonly precondition: (present: Certificate) => void;
  },
): void {
  const present = findCertificate(deps, on);
  on.precondition(present);
  if (present.revoked !== undefined) return;
  deps.store.certificates.put({ ...present, revoked: deps.clock.wallMs() });
  deps.credentialChanged(present.credential, "certificates");
}

/** @throws GatewayError `forbidden`, `unknown-account`, `not-found`. */
export function findCertificate(
  deps: InteractionDeps,
  on: OnCredential & { readonly serial: string },
): Certificate {
  const credential = findCredential(deps, on);
  const certificate = deps.store.certificates.get(on.serial);
  if (certificate?.credential === credential.ulid) return certificate;
  const detail = `the credential ${credential.ulid} has no certificate ${on.serial}`;
  throw new GatewayError("not-found", detail);
}

/** By the time they were issued. @throws GatewayError `forbidden`, `unknown-account`, `not-found`. */
export function certificatesOf(deps: InteractionDeps, on: OnCredential): readonly Certificate[] {
  return deps.store.certificates.ofCredential(findCredential(deps, on).ulid);
}

type PublicKey = { readonly publicKey: Buffer; readonly kind: Certificate["key"] };

function issue(
  deps: InteractionDeps,
  credential: Credential,
  { publicKey, kind }: PublicKey,
): Omit<CertificateOutcome, "pkcs12"> {
  const { store, clock } = deps;
  const authority = requireAuthority(deps);
  makeRoom(deps, credential);
  const { ulid, account, username } = credential;
  const thing = onlyThing(credential);
  const certificate = authority.issue({
    subject: { organization: account, commonName: username },
    publicKey,
    use: "client",
    uris: [ulid, ...(thing === undefined ? [] : [thing])].map(
      (of) => `urn:sluice:${account}:${of}`,
    ),
    notAfterMs: endOfNew(deps, authority),
  });
  const row: Certificate = {
    serial: certificate.serialNumber,
    ulid: store.ids.next(),
    credential: ulid,
    account,
    subject: `O=${account}, CN=${username}`,
    ...(thing === undefined ? {} : { thing }),
    key: kind,
    fingerprint: fingerprintOf(certificate),
    created: clock.wallMs(),
    notAfter: Date.parse(certificate.validTo),
  };
  store.certificates.put(row);
  return { row, certificate, authority };
}

/** SHA-256 of all of it, hexadecimal. */
export function fingerprintOf({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(":", "");
}

/** @throws GatewayError `conflict`. */
export function requireAuthority({ authority }: Pick<InteractionDeps, "authority">): Authority {
  if (authority !== undefined) return authority;
  const detail = "the gateway listens without TLS only, and has no CA: set tls.host";
  throw new GatewayError("conflict", detail);
}

/**
 * Where the time is not known, an end counted from it may have come already when it will be: then the
 * certificate is good as long as the CA. It can be revoked at any time.
 */
function endOfNew({ clock }: InteractionDeps, { notAfterMs }: Authority): number {
  const endMs = clock.wallMs() + FIXED_LIMITS.certificateLifeS * 1_000;
  return clock.isSynced() ? Math.min(endMs, notAfterMs) : notAfterMs;
}

/** The uid of the one Thing that all grants are for. */
function onlyThing({ grants }: Credential): string | undefined {
  const uids = new Set<string>();
  for (const grant of grants) {
    if (grant.entity === "topics" || grant.things.all) return undefined;
    for (const uid of grant.things.uids) uids.add(uid);
  }
  const [uid] = uids;
  return uids.size === 1 ? uid : undefined;
}

/** What is good for nothing, or was so longest for renewal only, makes room. @throws GatewayError. */
function makeRoom({ store, limits, clock }: InteractionDeps, credential: Credential): void {
  const { certificates } = store;
  const now = clock.wallMs();
  const endOf = ({ revoked, notAfter }: Certificate): number =>
    revoked === undefined ? notAfter : 0;
  const free = (of: Iterable<Certificate>): void => {
    const over = [...of].filter((one) => endOf(one) <= now).sort((a, b) => endOf(a) - endOf(b));
    if (over[0] !== undefined) certificates.delete(over[0]);
  };
  const { certificatesPerCredentialMax: most } = FIXED_LIMITS;
  const own = certificates.ofCredential(credential.ulid);
  if (own.length >= most) free(own);
  if (certificates.ofCredential(credential.ulid).length >= most) {
    throw new GatewayError("limit-reached", `the credential has ${most} certificates: revoke some`);
  }
  if (certificates.count >= limits.certificates) free(certificates.all());
  if (certificates.count >= limits.certificates) {
    const detail = `there are ${limits.certificates} certificates (limits.certificates)`;
    throw new GatewayError("limit-reached", detail);
  }
}

/** Programs differ in how they encode other characters. */
const PRINTABLE = /^[\x20-\x7e]*$/;

function requirePassword(password: string, { username, account }: Credential): void {
  if (!PRINTABLE.test(password)) {
    const detail = "/p12_password must have printable ASCII characters only";
    throw new GatewayError("malformed", detail);
  }
  const fault = passwordFault(password, [username, account]);
  if (fault !== undefined) throw new GatewayError("weak-password", `/p12_password ${fault}`);
}
