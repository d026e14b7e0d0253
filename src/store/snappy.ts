import { FIXED_LIMITS } from "../limits.ts";

/**
 * Decompresses a block in the raw Snappy format (format_description.txt of google/snappy).
 * @returns `undefined` for bytes that are none.
 */
export function uncompress(bytes: Buffer): Buffer | undefined {
  const header = readLength(bytes);
  if (header === undefined || header.length > FIXED_LIMITS.unpackedBlockBytesMax) return undefined;
  const out = Buffer.allocUnsafe(header.length);
  let [from, to] = [header.end, 0];
  while (from < bytes.length) {
    const tag = bytes[from] ?? 0;
    const element = (tag & 3) === 0 ? literalAt(bytes, from, tag) : copyAt(bytes, from, tag);
    if (element === undefined || to + element.length > out.length) return undefined;
    if (element.kind === "literal") {
      bytes.copy(out, to, element.start, element.start + element.length);
    } else {
      if (element.offset === 0 || element.offset > to) return undefined;
      // Byte by byte: a copy may overlap what it makes.
      for (let index = 0; index < element.length; index += 1) {
        out[to + index] = out[to + index - element.offset] ?? 0;
      }
    }
    to += element.length;
    from = element.end;
  }
  return to === out.length ? out : undefined;
}

type Literal = {
  readonly kind: "literal";
  readonly start: number;
  readonly length: number;
  readonly end: number;
};
type Copy = {
  readonly kind: "copy";
  readonly offset: number;
  readonly length: number;
  readonly end: number;
};

function literalAt(bytes: Buffer, at: number, tag: number): Literal | undefined {
  const short = tag >> 2;
  const extra = Math.max(0, short - 59);
  if (at + 1 + extra > bytes.length) return undefined;
  const length = (extra === 0 ? short : bytes.readUIntLE(at + 1, extra)) + 1;
  const start = at + 1 + extra;
  const end = start + length;
  return end > bytes.length ? undefined : { kind: "literal", start, length, end };
}

function copyAt(bytes: Buffer, at: number, tag: number): Copy | undefined {
  const width = [0, 1, 2, 4][tag & 3] ?? 0;
  const end = at + 1 + width;
  if (end > bytes.length) return undefined;
  const low = bytes.readUIntLE(at + 1, width);
  return width === 1
    ? { kind: "copy", offset: ((tag >> 5) << 8) | low, length: ((tag >> 2) & 7) + 4, end }
    : { kind: "copy", offset: low, length: (tag >> 2) + 1, end };
}

function readLength(bytes: Buffer): { readonly length: number; readonly end: number } | undefined {
  let length = 0;
  for (let at = 0; at < 5; at += 1) {
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    length += (byte & 0x7f) * 2 ** (7 * at);
    if (byte < 0x80) return { length, end: at + 1 };
  }
  return undefined;
}
