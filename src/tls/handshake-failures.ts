import type { RefusalCause } from "../refusal-causes.ts";

/** Why a handshake failed, for the log of refusals. */
export type HandshakeFailure = { readonly cause: RefusalCause; readonly detail: string };

/** OpenSSL's codes as Node spells them; the first that matches says it. */
const FAILURES: readonly (readonly [RegExp, RefusalCause, string])[] = [
  [/HTTP_REQUEST|WRONG_VERSION_NUMBER/, "plain-on-tls-port", "its first bytes are not TLS"],
  [/ALERT_UNKNOWN_CA/, "unknown-ca", "it does not know the CA of the certificate"],
  // What libraries say of a certificate they do not like without saying why.
  [/ALERT_BAD_CERTIFICATE/, "unknown-ca", "it does not take the certificate: its name, or its CA"],
  [
    /ALERT_CERTIFICATE_UNKNOWN/,
    "unknown-ca",
    "it does not take the certificate, and does not say why",
  ],
  [/ALERT_CERTIFICATE_EXPIRED/, "expired-certificate", "to its clock the certificate has ended"],
  [/ALERT_CERTIFICATE_REVOKED/, "revoked-certificate", "to it the certificate was revoked"],
  [
    /UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW|ALERT_PROTOCOL_VERSION/,
    "tls-version",
    "it offers no version of TLS that is taken here",
  ],
  [/NO_SHARED_CIPHER/, "tls-handshake", "it offers no cipher suite that is taken here"],
  [/HANDSHAKE_TIMEOUT/, "tls-handshake", "it did not finish the handshake in time"],
  [/ECONNRESET|EPIPE/, "tls-handshake", "it hung up during the handshake"],
];

/** Of a handshake that was cut off by the client, and of every other error of TLS. */
export function handshakeFailure(error: unknown): HandshakeFailure {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  for (const [pattern, cause, detail] of FAILURES) {
    if (pattern.test(code)) return { cause, detail };
  }
  return { cause: "tls-handshake", detail: code === "" ? "no reason was given" : code };
}
