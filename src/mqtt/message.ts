import type { Publication } from "../interactions/publication.ts";
import type { Moment } from "../store/keys.ts";
import type { Qos } from "./frame-kinds.ts";

/** Something on its way to subscribers. */
export type Message = {
  readonly topic: string;
  readonly payload: Buffer;
  /** As published: a subscriber gets at most what it asked for. */
  readonly qos: Qos;
  readonly retain: boolean;
  /** Only the latest message on the topic matters to a session that is behind. */
  readonly isState: boolean;
  /** A pending action request, which is never delivered late. */
  readonly request: RequestReference | undefined;
};

export type RequestReference = {
  readonly thing: number;
  readonly name: string;
  readonly moment: Moment;
};

/** Status is published at QoS 1. */
export function messageOf(publication: Publication): Message {
  const { topic, payload, thing, about, request } = publication;
  return {
    topic,
    payload: Buffer.from(payload),
    qos: 1,
    retain: false,
    isState: about === "property",
    request: request === undefined ? undefined : { thing: thing.number, ...request },
  };
}

const PUBLISH = 0x30;
const DUP_BIT = 0x08;
const RETAIN_BIT = 0x01;

/** A PUBLISH packet, MQTT 3.1.1 §3.3. `packetId` counts for QoS 1 and 2 only. */
export function encodePublish(
  message: Pick<Message, "topic" | "payload" | "retain">,
  { qos, packetId, dup }: { readonly qos: Qos; readonly packetId: number; readonly dup: boolean },
): Buffer {
  const { topic, payload } = message;
  const topicBytes = Buffer.byteLength(topic);
  const idBytes = qos === 0 ? 0 : 2;
  const remaining = 2 + topicBytes + idBytes + payload.length;
  const bytes = Buffer.allocUnsafe(1 + lengthBytes(remaining) + remaining);
  bytes[0] = PUBLISH | (dup ? DUP_BIT : 0) | (qos << 1) | (message.retain ? RETAIN_BIT : 0);
  let at = 1;
  for (let rest = remaining; ; rest >>>= 7) {
    bytes[at] = rest < 0x80 ? rest : (rest & 0x7f) | 0x80;
    at += 1;
    if (rest < 0x80) break;
  }
  at = bytes.writeUInt16BE(topicBytes, at);
  at += bytes.write(topic, at);
  if (qos !== 0) at = bytes.writeUInt16BE(packetId, at);
  payload.copy(bytes, at);
  return bytes;
}

function lengthBytes(remaining: number): number {
  if (remaining < 0x80) return 1;
  if (remaining < 0x4000) return 2;
  return remaining < 0x20_0000 ? 3 : 4;
}
