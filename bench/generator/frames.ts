/**
 * MQTT 3.1.1 frames as bytes, encoded once. A generator that went through a client library would
 * measure the library.
 */
export const TYPE = {
  connack: 2,
  publish: 3,
  puback: 4,
  suback: 9,
} as const;

export type Login = { readonly username?: string; readonly password?: string };

/** Long enough never to matter in a run, and not 0, which some brokers refuse. */
const KEEP_ALIVE_S = 3_600;

export function encodeConnect(clientId: string, clean: boolean, login: Login): Buffer {
  const { username, password } = login;
  const flags =
    (clean ? 0x02 : 0) | (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40);
  const fields = [clientId, username, password].filter((field) => field !== undefined);
  return frame(
    0x10,
    text("MQTT"),
    Buffer.of(4, flags, KEEP_ALIVE_S >> 8, KEEP_ALIVE_S & 0xff),
    ...fields.map(text),
  );
}

export function encodeSubscribe(packetId: number, filter: string, qos: 0 | 1): Buffer {
  return frame(0x82, number16(packetId), text(filter), Buffer.of(qos));
}

/** A QoS 1 PUBLISH. */
export function encodePublish(
  packetId: number,
  topic: string,
  payload: Buffer,
  retain = false,
): Buffer {
  return frame(retain ? 0x33 : 0x32, text(topic), number16(packetId), payload);
}

/** The packet id of each, one PUBACK after the other, for one write. */
export function encodePubacks(packetIds: readonly number[]): Buffer {
  const bytes = Buffer.allocUnsafe(4 * packetIds.length);
  let at = 0;
  for (const packetId of packetIds) {
    bytes[at] = 0x40;
    bytes[at + 1] = 2;
    bytes[at + 2] = packetId >> 8;
    bytes[at + 3] = packetId & 0xff;
    at += 4;
  }
  return bytes;
}

/** Takes one frame: its first byte, and where in `bytes` what follows the fixed header stands. */
export type TakeFrame = (first: number, bytes: Buffer, from: number, to: number) => void;

/**
 * Calls back for each whole frame from `start` on and returns where the first incomplete one begins.
 */
export function readFrames(bytes: Buffer, start: number, end: number, take: TakeFrame): number {
  let at = start;
  while (at + 2 <= end) {
    let length = 0;
    let shift = 0;
    let from = at + 1;
    for (;;) {
      if (from >= end) return at;
      const digit = bytes[from] ?? 0;
      from += 1;
      length |= (digit & 0x7f) << shift;
      if (digit < 0x80) break;
      shift += 7;
    }
    if (from + length > end) return at;
    take(bytes[at] ?? 0, bytes, from, from + length);
    at = from + length;
  }
  return at;
}

function frame(first: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length: number[] = [];
  let rest = body.length;
  do {
    length.push((rest & 0x7f) | (rest > 0x7f ? 0x80 : 0));
    rest >>= 7;
  } while (rest > 0);
  return Buffer.concat([Buffer.of(first, ...length), body]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number16(bytes.length), bytes]);
}

function number16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 0xff);
}
