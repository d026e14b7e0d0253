import type { Channel, Peer } from "../channel.ts";
import type { ErrorCode, GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { RefusalCause } from "../refusal-causes.ts";
import type { Refusal } from "../refusal-log.ts";

/** Codes that mean that somebody was not let in, or not any further. The others are plain mistakes. */
const CAUSES: Partial<Record<ErrorCode, RefusalCause>> = {
  unauthorized: "no-credentials",
  forbidden: "not-its-right",
  "read-only": "not-its-right",
  "insecure-channel": "not-its-right",
  "wrong-claim-code": "wrong-password",
  unclaimed: "unclaimed",
  "rate-limited": "limits",
  "limit-reached": "limits",
  "too-large": "limits",
  "queue-full": "limits",
};

const PROTOCOLS = { plain: "http", tls: "https", local: "local" } as const;

/** As refusals and the audit log call it. */
export function protocolOf({ kind }: Channel): "http" | "https" | "local" {
  return PROTOCOLS[kind];
}

/** What the log of refusals has to say of an error answer; `undefined`: nothing. */
export function refusalOf(error: GatewayError, path: string, peer: Peer): Refusal | undefined {
  const cause = error.refusal?.cause ?? CAUSES[error.code];
  if (cause === undefined) return undefined;
  const { code, message: detail, refusal } = error;
  const user = refusal?.user;
  return {
    cause,
    protocol: protocolOf(peer.channel),
    address: peer.address,
    ...(user === undefined ? {} : { user }),
    topic: path,
    code,
    detail,
  };
}

/** The first byte of a ClientHello, RFC 8446 §5.1. */
const TLS_HANDSHAKE = 0x16;

/** What came and was no request; `undefined`: nothing to tell of. */
export function refusalOfUnread(error: unknown, peer: Peer): Refusal | undefined {
  const [code, first] = unreadOf(error);
  const of = { protocol: protocolOf(peer.channel), address: peer.address };
  switch (code) {
    case "ECONNRESET":
      return undefined;
    case "HPE_HEADER_OVERFLOW":
      return { ...of, cause: "limits", detail: "the header fields are too long" };
    case "ERR_HTTP_REQUEST_TIMEOUT":
      return { ...of, cause: "limits", detail: "the request did not arrive in time" };
    default: {
      const isTls = first === TLS_HANDSHAKE && peer.channel.kind === "plain";
      return isTls
        ? { ...of, cause: "tls-on-plain-port", detail: "the first byte is that of a TLS handshake" }
        : { ...of, cause: "bad-protocol", detail: "this is not HTTP/1.1" };
    }
  }
}

/** A connection beyond as many as there may be. */
export function refusalOfDropped(peer: Peer): Refusal {
  const { address, channel } = peer;
  const detail = `there are ${FIXED_LIMITS.httpConnectionsMax} connections`;
  return { cause: "limits", protocol: protocolOf(channel), address, detail };
}

/** Of an error of Node's HTTP parser: its code, and the first byte that it could not read. */
function unreadOf(error: unknown): readonly [code: unknown, first: number | undefined] {
  if (typeof error !== "object" || error === null) return [undefined, undefined];
  const code = "code" in error ? error.code : undefined;
  const raw: unknown = "rawPacket" in error ? error.rawPacket : undefined;
  return [code, raw instanceof Uint8Array ? raw[0] : undefined];
}
