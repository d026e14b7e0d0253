import type { MessageProperties, UpMessage } from "./message.ts";

/**
 * A PUBLISH of QoS 1, as bytes. `mqtt-packet` writes the other packets; this one is written by the
 * hundred thousand when a backlog drains.
 */
export function encodePublish(
  protocol: 4 | 5,
  message: UpMessage,
  packetId: number,
  dup: boolean,
): Buffer {
  const { topic, payload, retain } = message;
  const topicBytes = Buffer.byteLength(topic);
  const properties = protocol === 5 ? propertyWriter(message.properties) : undefined;
  const length = 2 + topicBytes + 2 + (properties?.bytes ?? 0) + payload.length;
  const frame = Buffer.allocUnsafe(1 + varIntBytes(length) + length);
  frame[0] = 0x32 | (dup ? 0x08 : 0) | (retain ? 0x01 : 0);
  let at = writeVarInt(frame, 1, length);
  at = frame.writeUInt16BE(topicBytes, at);
  at += frame.write(topic, at);
  at = frame.writeUInt16BE(packetId, at);
  if (properties !== undefined) at = properties.write(frame, at);
  payload.copy(frame, at);
  return frame;
}

/** The most bytes of text in one field (MQTT §1.5.3); a longer topic cannot be published. */
export const TEXT_BYTES_MAX = 65_535;

type PropertyWriter = {
  /** With their own length in front. */
  readonly bytes: number;
  readonly write: (frame: Buffer, at: number) => number;
};

/** MQTT 5 §2.2.2.2. */
const ID = {
  isText: 0x01,
  messageExpiryS: 0x02,
  contentType: 0x03,
  responseTopic: 0x08,
  correlationData: 0x09,
  user: 0x26,
} as const;

const NO_PROPERTIES: PropertyWriter = {
  bytes: 1,
  write: (frame, at) => frame.writeUInt8(0, at),
};

function propertyWriter(properties: MessageProperties | undefined): PropertyWriter {
  if (properties === undefined) return NO_PROPERTIES;
  const { userProperties, contentType, messageExpiryS, isText } = properties;
  const { responseTopic, correlationData } = properties;
  const user = userProperties === undefined ? [] : Object.entries(userProperties);
  let length = 0;
  if (isText === true) length += 2;
  if (messageExpiryS !== undefined) length += 5;
  if (contentType !== undefined) length += 3 + Buffer.byteLength(contentType);
  if (responseTopic !== undefined) length += 3 + Buffer.byteLength(responseTopic);
  if (correlationData !== undefined) length += 3 + correlationData.length;
  for (const [name, value] of user)
    length += 5 + Buffer.byteLength(name) + Buffer.byteLength(value);
  return {
    bytes: varIntBytes(length) + length,
    write: (frame, start) => {
      let at = writeVarInt(frame, start, length);
      if (isText === true) at = frame.writeUInt16BE((ID.isText << 8) | 1, at);
      if (messageExpiryS !== undefined) {
        at = frame.writeUInt8(ID.messageExpiryS, at);
        at = frame.writeUInt32BE(messageExpiryS, at);
      }
      if (contentType !== undefined) at = writeText(frame, at, ID.contentType, contentType);
      if (responseTopic !== undefined) at = writeText(frame, at, ID.responseTopic, responseTopic);
      if (correlationData !== undefined) {
        at = frame.writeUInt8(ID.correlationData, at);
        at = frame.writeUInt16BE(correlationData.length, at);
        at += correlationData.copy(frame, at);
      }
      for (const [name, value] of user) {
        at = writeText(frame, at, ID.user, name);
        const bytes = frame.write(value, at + 2);
        frame.writeUInt16BE(bytes, at);
        at += 2 + bytes;
      }
      return at;
    },
  };
}

function writeText(frame: Buffer, at: number, id: number, text: string): number {
  frame[at] = id;
  const bytes = frame.write(text, at + 3);
  frame.writeUInt16BE(bytes, at + 1);
  return at + 3 + bytes;
}

function varIntBytes(value: number): number {
  return value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : 4;
}

function writeVarInt(frame: Buffer, start: number, value: number): number {
  let at = start;
  let rest = value;
  do {
    frame[at] = (rest & 0x7f) | (rest > 0x7f ? 0x80 : 0);
    rest >>>= 7;
    at += 1;
  } while (rest > 0);
  return at;
}
