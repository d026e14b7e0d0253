import { maskedCrc } from "./crc32c.ts";

/** A file in LevelDB's log format: the log of writes, and MANIFEST (doc/log_format.md). */
export type LogFile = {
  /** Whole records that match their checksums, in order. */
  readonly records: readonly Buffer[];
  /**
   * What comes before the last good record does not match. A power cut cannot do that: it tears only
   * the end, because one batch is written at a time.
   */
  readonly isDamaged: boolean;
  /** The end does not match: torn, or damaged. */
  readonly isTorn: boolean;
};

const BLOCK = 32 * 1024;
const HEADER = 7;
const FULL = 1;
const FIRST = 2;
const LAST = 4;

/** Reads every record that is whole, also behind damage in the same block, which LevelDB drops. */
export function readLogFile(bytes: Buffer): LogFile {
  const records: Buffer[] = [];
  let [isDamaged, isTorn] = [false, false];
  let parts: Buffer[] | undefined;
  for (const fragment of fragmentsOf(bytes)) {
    if (fragment === undefined) {
      isTorn = true;
      parts = undefined;
      continue;
    }
    const { type, content } = fragment;
    const isBeginning = type === FULL || type === FIRST;
    if (isBeginning) parts = [];
    parts?.push(content);
    if (parts === undefined || (type !== FULL && type !== LAST)) continue;
    records.push(parts.length === 1 ? content : Buffer.concat(parts));
    parts = undefined;
    isDamaged ||= isTorn;
    isTorn = false;
  }
  return { records, isDamaged, isTorn };
}

type Fragment = { readonly type: number; readonly content: Buffer };

/** `undefined` where something does not match. */
function* fragmentsOf(bytes: Buffer): Generator<Fragment | undefined> {
  for (let block = 0; block < bytes.length; block += BLOCK) {
    const end = Math.min(block + BLOCK, bytes.length);
    for (let at = block; at + HEADER <= end;) {
      const length = bytes.readUInt16LE(at + 4);
      const type = bytes[at + 6] ?? 0;
      const next = at + HEADER + length;
      // Zeros: room that was given to the file and never written.
      if (type === 0 && length === 0) {
        if (bytes.subarray(at, end).some((byte) => byte !== 0)) yield undefined;
        break;
      }
      if (next > end) {
        yield undefined;
        break;
      }
      const isWhole = bytes.readUInt32LE(at) === maskedCrc(bytes, at + 6, next);
      yield isWhole ? { type, content: bytes.subarray(at + HEADER, next) } : undefined;
      at = next;
    }
  }
}
