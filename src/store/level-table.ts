import { FIXED_LIMITS } from "../limits.ts";
import { crcStep, mask, maskedCrc } from "./crc32c.ts";
import { FragileFile } from "./fragile-file.ts";
import { uncompress } from "./snappy.ts";

/** One version of a row as LevelDB keeps it. The key as latin1 text: it sorts as its bytes do. */
export type Entry = {
  readonly key: string;
  /** LevelDB's own sequence: the highest is the newest version. */
  readonly version: bigint;
  /** `undefined`: deleted. */
  readonly value: Buffer | undefined;
};

const FOOTER = 48;
const MAGIC = 0xdb4775248b80fb57n;
/** Type and checksum behind each block. */
const TRAILER = 5;

/** Checked at once: some milliseconds. */
const STEP_BYTES = 64 * 1024;

type Handle = { readonly offset: number; readonly size: number };

/**
 * A table of LevelDB (doc/table_format.md), read block by block, each checked: LevelDB does not. If
 * its index cannot be read, its blocks are found by their checksums, one after the other, up to the
 * first that does not match. A block that the disk cannot give is a damaged one.
 */
export class TableFile {
  readonly #file: FragileFile;
  readonly #handles: readonly Handle[];
  #damagedBlocks = 0;

  /** @throws Error of the file system. */
  constructor(path: string) {
    this.#file = new FragileFile(path);
    const index = this.#readIndex();
    if (index === undefined) this.#damagedBlocks += 1;
    this.#handles = index ?? scanBlocks(this.#file.read(0, this.#file.size));
  }

  /** Met so far; a table that is cut short or has no index counts one for that. */
  get damagedBlocks(): number {
    return this.#damagedBlocks;
  }

  /** In the order of their keys, the newest version of a key first. */
  *entries(): Generator<Entry> {
    for (const handle of this.#handles) {
      const contents = this.#block(handle);
      if (contents === undefined) this.#damagedBlocks += 1;
      else yield* entriesOf(contents);
    }
  }

  /** Compares all of it with its checksums, some blocks a step. */
  *check(): Generator<void> {
    for (const run of runsOf(this.#handles)) {
      const bytes = this.#file.read(run.offset, run.size);
      for (const { offset, size } of run.blocks) {
        if (!isWhole(bytes, offset - run.offset, size)) this.#damagedBlocks += 1;
      }
      yield;
    }
  }

  close(): void {
    this.#file.close();
  }

  #readIndex(): readonly Handle[] | undefined {
    const { size } = this.#file;
    if (size < FOOTER) return undefined;
    const footer = this.#file.read(size - FOOTER, FOOTER);
    if (footer.readBigUInt64LE(FOOTER - 8) !== MAGIC) return undefined;
    const [, metaEnd] = handleAt(footer, 0);
    const [handle] = handleAt(footer, metaEnd);
    const contents = this.#block(handle);
    if (contents === undefined) return undefined;
    return [...pairsOf(contents)].map(([, value]) => handleAt(value, 0)[0]);
  }

  #block({ offset, size }: Handle): Buffer | undefined {
    const bytes = this.#file.read(offset, size + TRAILER);
    return isWhole(bytes, 0, size) ? contentsOf(bytes, { offset: 0, size }) : undefined;
  }
}

/** Is the block that begins at `at` there to its end, and does it match its checksum? */
function isWhole(bytes: Buffer, at: number, size: number): boolean {
  const end = at + size + 1;
  return end + 4 <= bytes.length && bytes.readUInt32LE(end) === maskedCrc(bytes, at, end);
}

/** Blocks that are read at once. */
type Run = Handle & { readonly blocks: readonly Handle[] };

function* runsOf(handles: readonly Handle[]): Generator<Run> {
  let blocks: Handle[] = [];
  let [from, to] = [0, 0];
  for (const handle of handles) {
    if (handle.offset !== to || to - from >= STEP_BYTES) {
      if (blocks.length > 0) yield { offset: from, size: to - from, blocks };
      blocks = [];
      from = handle.offset;
    }
    blocks.push(handle);
    to = handle.offset + handle.size + TRAILER;
  }
  if (blocks.length > 0) yield { offset: from, size: to - from, blocks };
}

/** Blocks from the start of the file on. The first without rows is behind the last one with rows. */
function scanBlocks(bytes: Buffer): readonly Handle[] {
  const found: Handle[] = [];
  for (let offset = 0; ;) {
    const size = sizeAt(bytes, offset);
    if (size === undefined) return found;
    const handle = { offset, size };
    const contents = contentsOf(bytes, handle);
    if (contents === undefined || pairsOf(contents).next().done === true) return found;
    found.push(handle);
    offset += size + TRAILER;
  }
}

/** Of the block that begins here: it ends where the checksum of what has been read follows. */
function sizeAt(bytes: Buffer, offset: number): number | undefined {
  let crc = 0xffffffff;
  const end = Math.min(bytes.length - 4, offset + FIXED_LIMITS.blockBytesMax);
  for (let at = offset; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    crc = crcStep(crc, byte);
    if (byte <= 1 && bytes.readUInt32LE(at + 1) === mask(crc)) return at - offset;
  }
  return undefined;
}

function contentsOf(bytes: Buffer, { offset, size }: Handle): Buffer | undefined {
  const contents = bytes.subarray(offset, offset + size);
  return bytes[offset + size] === 1 ? uncompress(contents) : contents;
}

function* entriesOf(contents: Buffer): Generator<Entry> {
  for (const [internalKey, value] of pairsOf(contents)) {
    const keyEnd = internalKey.length - 8;
    const tail = internalKey.readBigUInt64LE(keyEnd);
    yield {
      key: internalKey.toString("latin1", 0, keyEnd),
      version: tail >> 8n,
      value: (tail & 0xffn) === 0n ? undefined : value,
    };
  }
}

/** The pairs of a block: each key begins with a part of the one before. */
function* pairsOf(contents: Buffer): Generator<readonly [key: Buffer, value: Buffer]> {
  const restarts = contents.readUInt32LE(contents.length - 4);
  const end = contents.length - 4 * (restarts + 1);
  let key = Buffer.alloc(0);
  for (let at = 0; at < end;) {
    const [shared, afterShared] = varintAt(contents, at);
    const [own, afterOwn] = varintAt(contents, afterShared);
    const [length, start] = varintAt(contents, afterOwn);
    key = Buffer.concat([key.subarray(0, shared), contents.subarray(start, start + own)]);
    at = start + own + length;
    yield [key, contents.subarray(start + own, at)];
  }
}

function handleAt(bytes: Buffer, at: number): readonly [Handle, end: number] {
  const [offset, afterOffset] = varintAt(bytes, at);
  const [size, end] = varintAt(bytes, afterOffset);
  return [{ offset, size }, end];
}

/** A varint of LevelDB, and where it ends. */
export function varintAt(bytes: Buffer, at: number): readonly [value: number, end: number] {
  let value = 0;
  for (let index = 0; index < 10; index += 1) {
    const byte = bytes[at + index] ?? 0;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return [value, at + index + 1];
  }
  return [value, at + 10];
}
