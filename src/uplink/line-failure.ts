import { FORBIDDEN_ADDRESS } from "../upstream-addresses.ts";

/**
 * Why a line did not come about, or ended. `refused`: the broker answered and said no; `unreachable`:
 * no way to it; `forbidden`: no uplink must be there; `tls`: no trust between us; `timeout`: no answer to the connect; `stalled`: it owes an
 * acknowledgement for too long; `protocol`: it broke the standard; `closed`: it hung up, or the network
 * did; `ended`: by ourselves.
 */
export type LineFailureKind =
  | "refused"
  | "unreachable"
  | "forbidden"
  | "tls"
  | "timeout"
  | "stalled"
  | "protocol"
  | "closed"
  | "ended";

/** `message` is plain words for an operator: no secret, no payload. */
export class LineFailure extends Error {
  override readonly name = "LineFailure";
  readonly kind: LineFailureKind;
  /** The broker's return code or reason code, where it gave one. */
  readonly code: number | undefined;

  constructor(
    kind: LineFailureKind,
    message: string,
    extra: { cause?: unknown; code?: number } = {},
  ) {
    super(message, extra.cause === undefined ? undefined : { cause: extra.cause });
    this.kind = kind;
    this.code = extra.code;
  }
}

/**
 * The line stands, but the broker does not take this one message. `code`: its reason code; without one
 * the message is larger than it said it takes, and was not sent.
 */
export class MessageFailure extends Error {
  override readonly name = "MessageFailure";
  readonly code: number | undefined;

  constructor(message: string, code?: number) {
    super(message);
    this.code = code;
  }
}

/** A failure of the network or of TLS, in plain words. `at` names the other end. */
export function lineFailureOf(error: unknown, at: string): LineFailure {
  if (error instanceof LineFailure) return error;
  const code = codeOf(error);
  const options = { cause: error };
  if (code === FORBIDDEN_ADDRESS) {
    return new LineFailure("forbidden", error instanceof Error ? error.message : at, options);
  }
  const tls = TLS_WORDS.find(([pattern]) => pattern.test(code));
  if (tls !== undefined) return new LineFailure("tls", `${at}: ${tls[1]}`, options);
  const words = NETWORK_WORDS[code];
  if (words !== undefined) {
    return new LineFailure(
      HANG_UPS.has(code) ? "closed" : "unreachable",
      `${at}: ${words}`,
      options,
    );
  }
  const said = error instanceof Error && error.message !== "" ? error.message : String(error);
  return new LineFailure("unreachable", `${at}: ${said}`, options);
}

/** The system's or OpenSSL's code; of several addresses that were tried, the last one's. */
function codeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  const own = "code" in error && typeof error.code === "string" ? error.code : "";
  if (own !== "" || !(error instanceof AggregateError)) return own;
  return codeOf(error.errors.at(-1));
}

const HANG_UPS: ReadonlySet<string> = new Set(["ECONNRESET", "EPIPE", "ECONNABORTED"]);

const NETWORK_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: "nothing listens there (connection refused)",
  ECONNRESET: "the connection was reset",
  ECONNABORTED: "the connection was aborted",
  EPIPE: "the connection was closed",
  ENOTFOUND: "the name is not known (DNS)",
  EAI_AGAIN: "the name cannot be looked up now (DNS does not answer)",
  ETIMEDOUT: "no answer (timed out)",
  EHOSTUNREACH: "the host cannot be reached",
  EHOSTDOWN: "the host is down",
  ENETUNREACH: "the network cannot be reached",
  ENETDOWN: "the network is down",
  EADDRNOTAVAIL: "this machine has no address to connect from",
};

const TLS_WORDS: readonly (readonly [RegExp, string])[] = [
  [/^CERT_HAS_EXPIRED$/, "its certificate has expired, or this machine's time is wrong"],
  [/^CERT_NOT_YET_VALID$/, "its certificate is not valid yet: is this machine's time right?"],
  [
    /SELF_SIGNED_CERT|^UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT)|^CERT_UNTRUSTED$/,
    "its certificate is not trusted: give it, or its issuer, as ca",
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    "its certificate is for another name: connect by that name, or give it as servername",
  ],
  [/^CERT_REVOKED$/, "its certificate has been revoked"],
  [/CERTIFICATE_REQUIRED/, "it wants a client certificate: give cert and key"],
  // TLS 1.2 says no more than this (RFC 5246 §7.2.2).
  [
    /HANDSHAKE_FAILURE/,
    "it ended the TLS handshake: we have nothing in common, or it wants a client certificate: give cert and key",
  ],
  [
    /ALERT_(BAD_CERTIFICATE|UNKNOWN_CA|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED|CERTIFICATE_REVOKED|ACCESS_DENIED)/,
    "it does not take our client certificate",
  ],
  [/NO_APPLICATION_PROTOCOL/, "it does not speak the protocol given as alpn"],
  [/^ERR_SSL_BAD_EXTENSION$/, "it chose a protocol that alpn does not offer"],
  [
    /UNRECOGNIZED_NAME/,
    "it does not know the name that it is asked for (SNI): give the one it has as servername",
  ],
  [/PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL/, "it speaks neither TLS 1.2 nor a newer version"],
  [/WRONG_VERSION_NUMBER|^ERR_SSL_PACKET_LENGTH/, "it does not speak TLS on this port"],
  [/KEY_VALUES_MISMATCH/, "cert and key do not belong together"],
  [/^(ERR_SSL_|ERR_OSSL_|ERR_TLS_|EPROTO$)/, "no TLS connection came about"],
];
