import { z } from "zod";
import { GatewayError } from "../errors.ts";
import {
  certificatesOf,
  findCertificate,
  issueCertificate,
  revokeCertificate,
  type CertificateWanted,
} from "../interactions/certificates.ts";
import type { Certificate } from "../store/certificates.ts";
import type { Store } from "../store/store.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { jsonBody, parseBody } from "./body.ts";
import { onAccount, param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";

const ALL = "/:account/mqtt/:ulid/certificates";
const ONE = `${ALL}/:serial`;
const SCOPES = ["mqtt.credentials"] as const;

export const certificateRoutes: readonly Route[] = [
  {
    method: "POST",
    path: ALL,
    audit: "certificate.issue",
    scopes: SCOPES,
    answer: postCertificate,
  },
  { method: "GET", path: ALL, scopes: SCOPES, query: PAGE_PARAMETERS, answer: listCertificates },
  { method: "GET", path: ONE, scopes: SCOPES, answer: getCertificate },
  {
    method: "DELETE",
    path: ONE,
    audit: "certificate.revoke",
    scopes: SCOPES,
    answer: removeCertificate,
  },
];

const wish = z.strictObject({
  csr: z.string("must be a string").exactOptional(),
  p12_password: z.string("must be a string").exactOptional(),
});

/** A private key that was made here is in this one answer and never stored. */
async function postCertificate(call: AuthorisedCall): Promise<Answer> {
  const wanted = wantedBy(call, parseBody(wish, await jsonBody(call)));
  const { row, certificate, authority, pkcs12 } = issueCertificate(call.deps, {
    ...onCredential(call),
    wanted,
  });
  const { account, credential, serial, notAfter } = row;
  const location = `/${account}/mqtt/${credential}/certificates/${serial}`;
  return {
    status: 201,
    body: {
      serial,
      certificate: certificate.toString(),
      ca: authority.pem,
      not_after: formatTime(notAfter),
      ...(pkcs12 === undefined ? {} : { p12: pkcs12.toString("base64") }),
    },
    etag: etagOf(row),
    headers: { Location: location },
    audit: { target: location },
  };
}

function wantedBy(call: AuthorisedCall, body: z.infer<typeof wish>): CertificateWanted {
  const { csr, p12_password: password } = body;
  if (csr !== undefined && password === undefined)
    return { kind: "request", csr: Buffer.from(csr) };
  if (csr !== undefined || password === undefined) {
    throw new GatewayError("malformed", "the body must have either csr or p12_password");
  }
  if (call.channel.kind === "plain" && !call.channel.isLoopback) {
    throw new GatewayError("insecure-channel", "a private key is not sent without TLS");
  }
  return { kind: "pkcs12", password };
}

function listCertificates(call: AuthorisedCall): Answer {
  const all = certificatesOf(call.deps, onCredential(call));
  const page = pageById(all, readPageRequest(call.query), ({ ulid }) => ulid);
  return listAnswer(call, page, (certificate) => render(call.deps.store, certificate));
}

function getCertificate(call: AuthorisedCall): Answer {
  const certificate = findCertificate(call.deps, onCertificate(call));
  return { status: 200, body: render(call.deps.store, certificate), etag: etagOf(certificate) };
}

/** It stays to be read: who looks for what was revoked finds it. */
function removeCertificate(call: AuthorisedCall): Answer {
  revokeCertificate(call.deps, {
    ...onCertificate(call),
    precondition: (present) => requireMatch(call.preconditions, etagOf(present)),
  });
  return { status: 204 };
}

function onCredential(call: AuthorisedCall) {
  return { ...onAccount(call), ulid: param(call, "ulid") };
}

/** In capitals, as it is shown; openssl x509 -serial shows it so, too. */
function onCertificate(call: AuthorisedCall) {
  return { ...onCredential(call), serial: param(call, "serial").toUpperCase() };
}

function etagOf({ revoked }: Certificate): string {
  return revoked === undefined ? "1" : "2";
}

function render(store: Pick<Store, "things">, certificate: Certificate): JsonObject {
  const { serial, subject, thing, key, fingerprint, created, notAfter, revoked } = certificate;
  const of = thing === undefined ? undefined : store.things.find(certificate.account, thing);
  return {
    serial,
    subject,
    thing: of?.id ?? null,
    key,
    sha256: fingerprint.toLowerCase(),
    created: formatTime(created),
    not_after: formatTime(notAfter),
    revoked: revoked === undefined ? null : formatTime(revoked),
  };
}
