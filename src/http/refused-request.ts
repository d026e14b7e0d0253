import type { Channel, Peer } from "../channel.ts";
import type { ErrorCode, GatewayError } from "../errors.ts";
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
