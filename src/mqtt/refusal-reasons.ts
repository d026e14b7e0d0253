import type { Channel, Peer } from "../channel.ts";
import type { ErrorCode, GatewayError } from "../errors.ts";
import type { RefusalCause } from "../refusal-causes.ts";
import type { Refusal } from "../refusal-log.ts";
import type { Principal } from "../thing/access.ts";
import type { RefusedConnect } from "./admission.ts";
import type { Authenticated } from "../interactions/authentication.ts";
import type { ConnectFrame, FaultFrame } from "./frame-kinds.ts";
import type { Places } from "./places.ts";
import type { RefusedFilter } from "./subscriptions.ts";
import type { WebSocketFault } from "./web-socket.ts";

/** A connection, as far as a refusal tells of it. */
type Connection = Peer & {
  readonly clientId: string;
  readonly authenticated: Authenticated | undefined;
};

/** As refusals and the audit log call it. */
export function protocolOf({ kind }: Channel): "mqtt" | "mqtts" | "local" {
  return kind === "plain" ? "mqtt" : kind === "tls" ? "mqtts" : "local";
}

/** A CONNECT that was answered with another code than 0. */
export function refusalOfConnect(
  { address, channel }: Peer,
  { clientId, username }: ConnectFrame,
  { cause, code, reason, topic }: RefusedConnect,
): Refusal {
  return {
    cause,
    protocol: protocolOf(channel),
    address,
    ...(clientId === "" ? {} : { clientId }),
    ...(username === undefined ? {} : { user: username }),
    ...(topic === undefined ? {} : { topic }),
    detail: `CONNACK ${code}: ${reason}`,
  };
}

/** A connection that was closed before its first byte. */
export function refusalOfPlace({ address, channel }: Peer, places: Places): Refusal {
  const detail = `limits.${places.boundOf(address)} is reached`;
  return { cause: "limits", protocol: protocolOf(channel), address, detail };
}

/** A WebSocket that was refused, or closed, before MQTT had a say. */
export function refusalOfWebSocket({ address, channel }: Peer, fault: WebSocketFault): Refusal {
  return { ...fault, protocol: protocolOf(channel), address };
}

/** A topic filter that was answered with 0x80. */
export function refusalOfFilter(
  connection: Connection,
  { filter, cause, detail }: RefusedFilter,
): Refusal {
  return { ...of(connection), cause, topic: filter, detail };
}

/** A connection that was closed because of what was sent. */
export function refusalOfFault(
  connection: Connection,
  { reason, clause, connackCode }: FaultFrame,
): Refusal {
  const told = connackCode === undefined ? "closed" : `CONNACK ${connackCode}`;
  const detail = `${told}: ${FAULTS[reason] ?? reason} [${clause}]`;
  const cause =
    reason === "tls-hello"
      ? "tls-on-plain-port"
      : reason === "too-large"
        ? "limits"
        : "bad-protocol";
  return { ...of(connection), cause, detail };
}

/** Those that devices come with; the others have names that say it. */
const FAULTS: Partial<Record<FaultFrame["reason"], string>> = {
  "tls-hello": "the first byte is that of a TLS handshake",
  "connect-missing": "the first packet is no CONNECT",
  "protocol-name": "the protocol is not named MQTT",
  "protocol-level": "this version of MQTT is not spoken here, 3.1.1 is",
  "too-large": "the packet is larger than limits.packet_bytes",
  "client-id": "the client id is empty, or too long",
};

/** A publish that was acknowledged and dropped. */
export function refusalOfPublish(
  publish: {
    readonly principal: Principal;
    readonly clientId: string;
    readonly peer?: Peer;
    readonly topic: string;
  },
  { code, message }: GatewayError,
): Refusal {
  const { principal, clientId, peer, topic } = publish;
  return {
    cause: CAUSES[code] ?? "bad-message",
    protocol: peer === undefined ? "mqtt" : protocolOf(peer.channel),
    address: peer?.address ?? "",
    clientId,
    user: userOf(principal),
    topic,
    code,
    detail: message,
  };
}

const CAUSES: Partial<Record<ErrorCode, RefusalCause>> = {
  forbidden: "not-its-topic",
  "unknown-topic": "not-its-topic",
  "read-only": "not-its-right",
  "too-large": "limits",
  "too-many-levels": "limits",
  "limit-reached": "limits",
  "rate-limited": "limits",
  "queue-full": "limits",
};

function of({ address, channel, clientId, authenticated }: Connection) {
  const user = authenticated?.credential.username;
  return {
    protocol: protocolOf(channel),
    address,
    ...(clientId === "" ? {} : { clientId }),
    ...(user === undefined ? {} : { user }),
  } as const;
}

function userOf({ kind, name }: Principal): string {
  return kind === "credential" ? name.replace(/^credential /, "") : name;
}
