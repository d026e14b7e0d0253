import { FrameReader } from "../../src/mqtt/frames.ts";
import type { Frame } from "../../src/mqtt/frame-kinds.ts";

/** Bytes from hex digits and quoted text: `raw("0003 'a/b' 00")`. */
export function raw(text: string): Buffer {
  const parts = text.match(/'[^']*'|[0-9a-f]+/g) ?? [];
  return Buffer.concat(
    parts.map((part) =>
      part.startsWith("'") ? Buffer.from(part.slice(1, -1), "utf8") : Buffer.from(part, "hex"),
    ),
  );
}

/** A whole packet: its first byte, the remaining length that fits, its body. */
export function packet(first: string, body = "", rest: Buffer = Buffer.alloc(0)): Buffer {
  const whole = Buffer.concat([raw(body), rest]);
  const length: number[] = [];
  for (let left = whole.length; ; left >>= 7) {
    length.push(left < 0x80 ? left : (left & 0x7f) | 0x80);
    if (left < 0x80) break;
  }
  return Buffer.concat([raw(first), Buffer.from(length), whole]);
}

/** MQTT 3.1.1, clean, keepalive 60 s, client id `c1`. */
export const CONNECT = packet("10", "0004 'MQTT' 04 02 003c 0002 'c1'");

/** MQTT 3.1, otherwise the same. */
export const CONNECT_31 = packet("10", "0006 'MQIsdp' 03 02 003c 0002 'c1'");

/** All frames that the chunks hold. Fails if more memory is held than a packet may have. */
export function framesOf(chunks: Iterable<Buffer>, packetBytesMax = 1024): Frame[] {
  const reader = new FrameReader({ packetBytesMax });
  const frames: Frame[] = [];
  for (const chunk of chunks) {
    reader.push(chunk);
    for (let frame = reader.next(); frame !== undefined; frame = reader.next()) frames.push(frame);
    if (reader.bufferedBytes > packetBytesMax) {
      throw new Error(`${reader.bufferedBytes} bytes held, ${packetBytesMax} allowed`);
    }
  }
  return frames;
}

/** Cuts into chunks of `size` bytes, each in memory of its own. */
export function inChunksOf(bytes: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) {
    chunks.push(Buffer.from(bytes.subarray(at, at + size)));
  }
  return chunks;
}

/** Cuts at the given places, whatever their order; each chunk is in memory of its own. */
export function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = new Set([0, ...places.map((place) => place % (bytes.length + 1)), bytes.length]);
  const sorted = [...cuts].sort((a, b) => a - b);
  return sorted.slice(1).map((end, index) => Buffer.from(bytes.subarray(sorted[index], end)));
}
