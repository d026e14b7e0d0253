import type { X509Certificate } from "node:crypto";
import type { RefusalCause } from "../refusal-causes.ts";
import type { Certificate } from "../store/certificates.ts";
import type { Credential } from "../store/credentials.ts";
import { isUsable } from "./authentication.ts";
import { fingerprintOf } from "./certificates.ts";
import type { InteractionDeps } from "./deps.ts";

/** What the certificate of a client is worth now. */
export type CertificateLogin =
  | ({ readonly kind: "good" } & KnownCertificate)
  /** Good for its own renewal only. */
  | ({ readonly kind: "expired" } & KnownCertificate)
  /** It says nothing about who it is: another CA's, or one that is not known any more. */
  | { readonly kind: "unknown"; readonly cause: RefusalCause; readonly detail: string }
  | { readonly kind: "refused"; readonly cause: RefusalCause; readonly detail: string };

/** One of ours, and the credential that it stands for. */
export type KnownCertificate = {
  readonly certificate: Certificate;
  readonly credential: Credential;
};

type LoginDeps = Pick<InteractionDeps, "store" | "clock" | "authority">;

/**
 * Whose certificate it is. TLS has proven that the client has its key, and nothing else: neither who
 * signed it nor when it ends. Ask anew for each CONNECT and each request: a resumed session of TLS
 * shows the certificate of the first one.
 */
export function certificateLogin(deps: LoginDeps, shown: X509Certificate): CertificateLogin {
  const ca = deps.authority?.certificate;
  if (ca === undefined || !shown.checkIssued(ca) || !shown.verify(ca.publicKey)) {
    const detail = "its issuer is not the CA of this gateway";
    return { kind: "unknown", cause: "unknown-certificate", detail };
  }
  const certificate = deps.store.certificates.get(shown.serialNumber);
  if (certificate?.fingerprint !== fingerprintOf(shown)) {
    const detail = "its credential or its Thing was deleted";
    return { kind: "unknown", cause: "unknown-certificate", detail };
  }
  if (certificate.revoked !== undefined) {
    const detail = `certificate ${certificate.serial} was revoked`;
    return { kind: "refused", cause: "revoked-certificate", detail };
  }
  const credential = deps.store.credentials.get(certificate.credential);
  if (credential === undefined) {
    const detail = "its credential was deleted";
    return { kind: "unknown", cause: "unknown-certificate", detail };
  }
  if (!isUsable(deps, credential)) {
    const cause = credential.enabled ? "expired-credential" : "disabled-credential";
    const detail = `of certificate ${certificate.serial}`;
    return { kind: "refused", cause, detail };
  }
  const kind = isCertificateGood(deps, certificate.serial) ? "good" : "expired";
  return { kind, certificate, credential };
}

/** Neither revoked nor gone nor expired. Says nothing of its credential. */
export function isCertificateGood(
  { store, clock }: Pick<InteractionDeps, "store" | "clock">,
  serial: string,
): boolean {
  const certificate = store.certificates.get(serial);
  if (certificate === undefined || certificate.revoked !== undefined) return false;
  return clock.wallMs() < certificate.notAfter;
}
