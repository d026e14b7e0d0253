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
    isState: about === "property" || about === "connection",
    request: request === undefined ? undefined : { thing: thing.number, ...request },
  };
}

const PUBLISH = 0x30;
const DUP_BIT = 0x08;
const RETAIN_BIT = 0x01;

/** What stands in the fixed header of a PUBLISH; `packetId` counts for QoS 1 and 2 only. */
export type PublishHeader = { readonly qos: Qos; readonly packetId: number; readonly dup: boolean };

type Published = Pick<Message, "topic" | "payload" | "retain">;

/** A PUBLISH packet, MQTT 3.1.1 §3.3. */
export function encodePublish(message: Published, header: PublishHeader): Buffer {
  const bytes = Buffer.allocUnsafe(publishBytes(message, header.qos));
  writePublish(bytes, 0, message, header);
  return bytes;
}

/** Bytes of the packet. */
export function publishBytes(message: Published, qos: Qos): number {
  const remaining = remainingBytes(Buffer.byteLength(message.topic), message.payload.length, qos);
  return 1 + lengthBytes(remaining) + remaining;
}

/** Writes the packet at `start`. The room is the caller's to see to. */
export function writePublish(
  target: Buffer,
  start: number,
  message: Published,
  { qos, packetId, dup }: PublishHeader,
): void {
  const { topic, payload } = message;
  const topicBytes = Buffer.byteLength(topic);
  target[start] = PUBLISH | (dup ? DUP_BIT : 0) | (qos << 1) | (message.retain ? RETAIN_BIT : 0);
  let at = start + 1;
  for (let rest = remainingBytes(topicBytes, payload.length, qos); ; rest >>>= 7) {
    target[at++] = rest < 0x80 ? rest : (rest & 0x7f) | 0x80;
    if (rest < 0x80) break;
  }
  target[at++] = topicBytes >> 8;
  target[at++] = topicBytes & 0xff;
  at += target.write(topic, at, topicBytes === topic.length ? "latin1" : "utf8");
  if (qos !== 0) {
    target[at++] = packetId >> 8;
    target[at++] = packetId & 0xff;
  }
  target.set(payload, at);
}

function remainingBytes(topicBytes: number, payloadBytes: number, qos: Qos): number {
  return 2 + topicBytes + (qos === 0 ? 0 : 2) + payloadBytes;
}

function lengthBytes(remaining: number): number {
  if (remaining < 0x80) return 1;
  if (remaining < 0x4000) return 2;
  return remaining < 0x20_0000 ? 3 : 4;
}
