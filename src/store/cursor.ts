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
};

type CursorParts<Item> = {
  readonly open: (range: Range) => Source<Item>;
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
  #source: Source<Item>;
  #last: string | undefined;
  #left: number;
  #isPatient = false;
  #ended = false;

  constructor(parts: CursorParts<Item>, range: Range) {
    this.#parts = parts;
    this.#range = range;
    this.#left = range.limit ?? Infinity;
    this.#source = parts.open(range);
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
    await this.#source.close();
  }

  async #read(wanted: number): Promise<readonly Item[]> {
    const size = Math.min(wanted, this.#left);
    if (this.#ended || size <= 0) return [];
    let items: readonly Item[];
    try {
      items = await this.#fetch(size);
    } catch (error) {
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
  async #fetch(size: number): Promise<readonly Item[]> {
    if (this.#isPatient) return this.#source.nextv(1);
    if (size > 1) return this.#source.nextv(size);
    const item = await this.#source.next();
    return item === undefined ? [] : [item];
  }

  /** Without a bound: LevelDB tells of damage also where a bound ends the range, and keeps the rows. */
  async #goOnPatiently(): Promise<void> {
    await this.#source.close();
    this.#isPatient = true;
    const { limit: _, ...range } = this.#range;
    this.#source = this.#parts.open(restOf(range, this.#last));
  }
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
