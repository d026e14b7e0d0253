/** CONNACK return codes, MQTT 3.1.1 §3.2.2.3; complete. */
export type ConnackCode = 0 | 1 | 2 | 3 | 4 | 5;

/** SUBACK return codes, MQTT 3.1.1 §3.9.3; complete. 0x80 is a refusal. */
export type SubackCode = 0 | 1 | 2 | 0x80;

/** Bytes of a PUBACK, PUBREC or PUBCOMP. */
export const ACK_BYTES = 4;

export function encodePuback(packetId: number): Buffer {
  return encodeAck(PUBACK, packetId);
}

export function encodePubrec(packetId: number): Buffer {
  return encodeAck(PUBREC, packetId);
}

export function encodePubcomp(packetId: number): Buffer {
  return encodeAck(PUBCOMP, packetId);
}

/** Writes a PUBACK at `at` and returns where the next packet goes. The room is the caller's to see to. */
export function writePuback(target: Buffer, at: number, packetId: number): number {
  return writeAck(target, at, PUBACK, packetId);
}

/** As `writePuback`. */
export function writePubrec(target: Buffer, at: number, packetId: number): number {
  return writeAck(target, at, PUBREC, packetId);
}

/** As `writePuback`. */
export function writePubcomp(target: Buffer, at: number, packetId: number): number {
  return writeAck(target, at, PUBCOMP, packetId);
}

/** A refusal never says that a session is present [MQTT-3.2.2-4]. */
export function encodeConnack(sessionPresent: boolean, code: ConnackCode): Buffer {
  return Buffer.of(CONNACK, 2, sessionPresent && code === 0 ? 1 : 0, code);
}

/** One code for each filter of the SUBSCRIBE, in its order [MQTT-3.9.3-1]. */
export function encodeSuback(packetId: number, codes: readonly SubackCode[]): Buffer {
  const length = encodeLength(2 + codes.length);
  const head = Buffer.of(SUBACK, ...length, packetId >> 8, packetId & 0xff);
  return Buffer.concat([head, Uint8Array.from(codes)]);
}

export function encodeUnsuback(packetId: number): Buffer {
  return encodeAck(UNSUBACK, packetId);
}

const CONNACK = 0x20;
const PUBACK = 0x40;
const PUBREC = 0x50;
const PUBCOMP = 0x70;
const SUBACK = 0x90;
const UNSUBACK = 0xb0;

function encodeAck(first: number, packetId: number): Buffer {
  const bytes = Buffer.allocUnsafe(ACK_BYTES);
  writeAck(bytes, 0, first, packetId);
  return bytes;
}

function writeAck(target: Buffer, at: number, first: number, packetId: number): number {
  target[at] = first;
  target[at + 1] = 2;
  target[at + 2] = packetId >> 8;
  target[at + 3] = packetId & 0xff;
  return at + ACK_BYTES;
}

/** Remaining length, §2.2.3: seven bits a byte, the lowest first. */
function encodeLength(length: number): number[] {
  const bytes: number[] = [];
  for (let rest = length; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}
