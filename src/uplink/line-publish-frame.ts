import type { MessageProperties, UpMessage } from "./message.ts";

/**
 * A PUBLISH of QoS 1, as bytes. `mqtt-packet` writes the other packets; this one is written by the
 * hundred thousand when a backlog drains. So what stands before the payload is put together as a text
 * with a character for each byte: that costs half of writing each field into a buffer.
 */
export function encodePublish(
  protocol: 4 | 5,
  message: UpMessage,
  packetId: number,
  dup: boolean,
): Buffer {
  const { topic, payload, retain } = message;
  const properties = protocol === 5 ? propertiesField(message.properties) : "";
  const header = textField(topic) + uint16(packetId) + properties;
  const flags = 0x32 | (dup ? 0x08 : 0) | (retain ? 0x01 : 0);
  const head = byte(flags) + varInt(header.length + payload.length) + header;
  const frame = Buffer.allocUnsafe(head.length + payload.length);
  frame.write(head, "latin1");
  payload.copy(frame, head.length);
  return frame;
}

/** The most bytes of text in one field (MQTT §1.5.3); a longer topic cannot be published. */
export const TEXT_BYTES_MAX = 65_535;

/** MQTT 5 §2.2.2.2, each as it stands before its value. */
const ID = {
  isText: byte(0x01),
  messageExpiryS: byte(0x02),
  contentType: byte(0x03),
  responseTopic: byte(0x08),
  correlationData: byte(0x09),
  user: byte(0x26),
} as const;

/** With their length in front. */
function propertiesField(properties: MessageProperties = {}): string {
  const { userProperties = {}, contentType, messageExpiryS, isText } = properties;
  const { responseTopic, correlationData } = properties;
  let fields = "";
  if (isText === true) fields += ID.isText + byte(1);
  if (messageExpiryS !== undefined) {
    fields += ID.messageExpiryS + uint16(messageExpiryS >>> 16) + uint16(messageExpiryS & 0xffff);
  }
  if (contentType !== undefined) fields += ID.contentType + textField(contentType);
  if (responseTopic !== undefined) fields += ID.responseTopic + textField(responseTopic);
  if (correlationData !== undefined) {
    fields += ID.correlationData + bytesField(correlationData.toString("latin1"));
  }
  for (const name of Object.keys(userProperties)) {
    fields += ID.user + textField(name) + textField(userProperties[name] ?? "");
  }
  return varInt(fields.length) + fields;
}

const NOT_ASCII = /[^\0-\x7f]/;

/** UTF-8, with its length in front (MQTT §1.5.3). */
function textField(text: string): string {
  return bytesField(NOT_ASCII.test(text) ? Buffer.from(text).toString("latin1") : text);
}

function bytesField(bytes: string): string {
  return uint16(bytes.length) + bytes;
}

function uint16(value: number): string {
  return String.fromCharCode((value >> 8) & 0xff, value & 0xff);
}

function byte(value: number): string {
  return String.fromCharCode(value);
}

/** The length of a packet (MQTT §2.2.3), with a character for each byte. */
export function varInt(value: number): string {
  let text = "";
  let rest = value;
  do {
    text += byte((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>>= 7;
  } while (rest > 0);
  return text;
}
