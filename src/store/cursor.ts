/** What LevelDB's iterators have in common. */
export type Source<Item> = {
  readonly next: () => Promise<Item | undefined>;
  readonly nextv: (size: number) => Promise<readonly Item[]>;
  readonly close: () => Promise<void>;
};

/** Rows of a range in key order; `reverse` begins at the end. */
export type Range = {
  readonly gt?: string;
  readonly lt?: string;
  readonly gte?: string;
  readonly lte?: string;
  readonly reverse?: boolean;
  readonly limit?: number;
  /** About as many bytes are read ahead, or with `some` at once; LevelDB's own bound is 16 KiB. */
  readonly highWaterMarkBytes?: number;
};

type CursorParts<Item> = {
  readonly open: (range: Range) => Source<Item>;
  /** Resolves when sources can be opened, though the database is closed and opened just now. */
  readonly whenOpen: () => Promise<void>;
  readonly keyOf: (item: Item) => string;
  /** A fault that hides rows, and not the whole disk: reading can go on behind it. */
  readonly isDamage: (error: unknown) => boolean;
  readonly onDamage: (error: unknown) => void;
};

/** Rows fetched at once where all are wanted. */
const CHUNK = 1_000;

/**
 * Reads a range over damaged places. LevelDB skips a block it cannot read and says so only when the
 * range ends: whoever reads ahead loses the good rows behind the damage with it. So after a fault the
 * rest is read row by row.
 */
export class Cursor<Item> {
  readonly #parts: CursorParts<Item>;
  readonly #range: Range;
  #source: Source<Item> | undefined;
  #last: string | undefined;
  #left: number;
  #isPatient = false;
  #ended = false;

  constructor(parts: CursorParts<Item>, range: Range) {
    this.#parts = parts;
    this.#range = range;
    this.#left = range.limit ?? Infinity;
  }

  /** The next row, or `undefined` behind the last one. */
  async next(): Promise<Item | undefined> {
    const [item] = await this.#read(1);
    return item;
  }

  /** The next rows, as many as are fetched at once; none behind the last one. */
  async some(): Promise<readonly Item[]> {
    return this.#read(CHUNK);
  }

  /** What is left of the range; closes the cursor. */
  async all(): Promise<readonly Item[]> {
    const items: Item[] = [];
    try {
      for (let some = await this.some(); some.length > 0; some = await this.some()) {
        items.push(...some);
      }
    } finally {
      await this.close();
    }
    return items;
  }

  async close(): Promise<void> {
    await this.#source?.close();
    this.#ended = true;
  }

  async #read(wanted: number): Promise<readonly Item[]> {
    const size = Math.min(wanted, this.#left);
    if (this.#ended || size <= 0) return [];
    let items: readonly Item[];
    try {
      items = await this.#fetch(await this.#opened(), size);
    } catch (error) {
      if (isClosed(error) && this.#source !== undefined) {
        // With the database, which is opened again: the range goes on where it was.
        this.#source = undefined;
        return this.#read(wanted);
      }
      if (!this.#parts.isDamage(error)) throw error;
      if (this.#isPatient) {
        this.#ended = true;
        this.#parts.onDamage(error);
        return [];
      }
      await this.#goOnPatiently();
      return this.#read(wanted);
    }
    const last = items.at(-1);
    if (last === undefined) this.#ended = true;
    else this.#last = this.#parts.keyOf(last);
    this.#left -= items.length;
    return items;
  }

  /** `next` of LevelDB reads ahead, `nextv` does not. */
  async #fetch(source: Source<Item>, size: number): Promise<readonly Item[]> {
    if (this.#isPatient) return source.nextv(1);
    if (size > 1) return source.nextv(size);
    const item = await source.next();
    return item === undefined ? [] : [item];
  }

  async #opened(): Promise<Source<Item>> {
    if (this.#source !== undefined) return this.#source;
    await this.#parts.whenOpen();
    const { limit: _, ...range } = this.#range;
    // LevelDB tells of damage also where a bound ends the range, and keeps the rows: none then.
    const limit = this.#isPatient || this.#left === Infinity ? {} : { limit: this.#left };
    this.#source = this.#parts.open({ ...restOf(range, this.#last), ...limit });
    return this.#source;
  }

  async #goOnPatiently(): Promise<void> {
    await this.#source?.close();
    this.#source = undefined;
    this.#isPatient = true;
  }
}

/** Before the first read that waits for it, or while it waits, the database was closed. */
function isClosed(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "LEVEL_ITERATOR_NOT_OPEN" || code === "LEVEL_DATABASE_NOT_OPEN";
}

function restOf(range: Range, last: string | undefined): Range {
  if (last === undefined) return range;
  if (range.reverse === true) {
    const { lte: _, ...rest } = range;
    return { ...rest, lt: last };
  }
  const { gte: _, ...rest } = range;
  return { ...rest, gt: last };
}
