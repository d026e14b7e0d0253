import { isUtf8 } from "node:buffer";
import { fault, type FaultFrame } from "./frame-kinds.ts";

/** A place in one packet. The packet ends where `bytes` ends. */
export type Cursor = { readonly bytes: Buffer; at: number };

/** The next field with a two-byte length before it (MQTT 3.1.1 §1.5.3); undefined if it is cut short. */
export function takeField(cursor: Cursor): Buffer | undefined {
  const length = takeUint16(cursor);
  if (length === undefined) return undefined;
  const end = cursor.at + length;
  if (end > cursor.bytes.length) return undefined;
  const field = cursor.bytes.subarray(cursor.at, end);
  cursor.at = end;
  return field;
}

export function takeByte(cursor: Cursor): number | undefined {
  return cursor.bytes[cursor.at++];
}

export function takeUint16(cursor: Cursor): number | undefined {
  if (cursor.at + 2 > cursor.bytes.length) return undefined;
  const value = uint16At(cursor.bytes, cursor.at);
  cursor.at += 2;
  return value;
}

/** The caller has checked that both bytes are there. */
export function uint16At(bytes: Buffer, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}

/** An MQTT string, MQTT 3.1.1 §1.5.3. */
export function readText(field: Buffer): string | FaultFrame {
  // isUtf8 also refuses the surrogates D800–DFFF, as it should.
  if (!isUtf8(field)) return fault("text", "MQTT-1.5.3-1");
  if (field.includes(0)) return fault("text", "MQTT-1.5.3-2");
  const text = field.toString("utf8");
  return SHOULD_NOT_BE_THERE.test(text) ? fault("text", "MQTT-1.5.3") : text;
}

/** A topic name, §4.7. */
export function readTopicName(field: Buffer): string | FaultFrame {
  if (field.length === 0) return fault("topic-name", "MQTT-4.7.3-1");
  if (field.includes(PLUS) || field.includes(HASH)) return fault("topic-name", "MQTT-3.3.2-2");
  return readText(field);
}

/**
 * Control characters and code points that are no characters. §1.5.3 lets a receiver close the
 * connection for them; mosquitto does, and in a log or a terminal they do harm.
 */
const SHOULD_NOT_BE_THERE = /[\p{Cc}\p{Noncharacter_Code_Point}]/u;

/**
 * Levels of a topic name that is plain ASCII, so that the usual one is checked, counted and known to
 * be latin1 in one pass. 0: it is empty, has a wildcard or a control character, or is not ASCII: look closer.
 */
export function plainTopicLevels(bytes: Buffer, start: number, end: number): number {
  if (start === end) return 0;
  let levels = 1;
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte === SLASH) levels++;
    else if (byte < 0x20 || byte > 0x7e || byte === PLUS || byte === HASH) return 0;
  }
  return levels;
}

/** The two bits of a quality of service; undefined for 3, which is reserved. */
export function qosOf(bits: number): 0 | 1 | 2 | undefined {
  return bits === 0 || bits === 1 || bits === 2 ? bits : undefined;
}

const HASH = 0x23;
const PLUS = 0x2b;
const SLASH = 0x2f;
