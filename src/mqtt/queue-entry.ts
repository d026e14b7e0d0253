import type { Qos } from "./frame-kinds.ts";
import type { Message, RequestReference } from "./message.ts";
import type { QueuedHead } from "./session-rows.ts";

/** What a session's queue holds of a message. */
export type QueueEntry = {
  readonly counter: number;
  readonly topic: string;
  readonly qos: Qos;
  readonly isState: boolean;
  readonly request: RequestReference | undefined;
  readonly bytes: number;
  /** The row on disk, or `undefined`: in memory only. */
  readonly key: string | undefined;
  /** Read again from its row when it is needed after a disconnect. */
  message: Message | undefined;
  /** 0: not sent yet. */
  packetId: number;
  /** QoS 2: PUBREC has come, PUBCOMP has not. */
  isReceived: boolean;
  /** Its packet id is in its row. */
  isIdStored: boolean;
  /** It was in flight when the gateway ended, or may have been: it goes with DUP [MQTT-3.3.1-1]. */
  readonly mayHaveBeenSent: boolean;
};

/** Of a message that a session gets at this QoS. */
export function newEntry(
  counter: number,
  message: Message,
  qos: Qos,
  key: string | undefined,
): QueueEntry {
  const { topic, isState, request } = message;
  return {
    counter,
    topic,
    qos,
    isState,
    request,
    bytes: topic.length + message.payload.length,
    key,
    message,
    packetId: 0,
    isReceived: false,
    isIdStored: false,
    mayHaveBeenSent: false,
  };
}

/** Of a row found on disk. The message itself stays there. */
export function storedEntry(
  counter: number,
  { message, packetId, isReceived }: QueuedHead,
  stored: { readonly bytes: number; readonly key: string; readonly mayHaveBeenSent: boolean },
): QueueEntry {
  return {
    counter,
    topic: message.topic,
    qos: message.qos,
    isState: message.isState,
    request: message.request,
    bytes: stored.bytes,
    key: stored.key,
    message: undefined,
    packetId,
    isReceived,
    isIdStored: packetId !== 0,
    mayHaveBeenSent: stored.mayHaveBeenSent,
  };
}
