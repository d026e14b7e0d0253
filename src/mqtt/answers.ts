/** CONNACK return codes, MQTT 3.1.1 §3.2.2.3; complete. */
export type ConnackCode = 0 | 1 | 2 | 3 | 4 | 5;

/** SUBACK return codes, MQTT 3.1.1 §3.9.3; complete. 0x80 is a refusal. */
export type SubackCode = 0 | 1 | 2 | 0x80;

/** Bytes of a PUBACK, PUBREC, PUBREL, PUBCOMP or UNSUBACK. */
export const ACK_BYTES = 4;

/** The first byte of the packets that hold a packet id and nothing else. */
export const ACK = {
  puback: 0x40,
  pubrec: 0x50,
  pubrel: 0x62,
  pubcomp: 0x70,
  unsuback: 0xb0,
} as const;
export type AckByte = (typeof ACK)[keyof typeof ACK];

/** Writes one of them at `at`. The room is the caller's to see to. */
export function writeAck(target: Buffer, at: number, first: AckByte, packetId: number): void {
  target[at] = first;
  target[at + 1] = 2;
  target[at + 2] = packetId >> 8;
  target[at + 3] = packetId & 0xff;
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

const CONNACK = 0x20;
const SUBACK = 0x90;

/** Remaining length, §2.2.3: seven bits a byte, the lowest first. */
function encodeLength(length: number): number[] {
  const bytes: number[] = [];
  for (let rest = length; ; rest >>>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}
