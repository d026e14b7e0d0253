import { FIXED_LIMITS } from "../limits.ts";
import type { Database, Rows } from "./database.ts";
import { keysOfRow, rangeOfRuns } from "./history-runs.ts";
import {
  historyRange,
  momentOfKey,
  orderOfKey,
  type HistorySource,
  type MomentBounds,
} from "./keys.ts";

/** A history, and the last sequence that is not there any more, though rows may still say so. */
type Part = { readonly source: HistorySource; readonly goneThrough: number };

type Wanted = {
  readonly bounds: MomentBounds;
  /** From the newest down. */
  readonly reverse: boolean;
  readonly limit: number;
};

type Keys = Pick<Rows<string>, "next" | "close">;
type Head = Part & { order: string; key: string; readonly keys: Keys };

/**
 * Merges several histories of one class by moment; equal moments (one change, several names) come
 * once, and what is gone not at all. A moment is given as the key of its own that it would have.
 */
export async function mergeKeys(
  database: Database,
  parts: readonly Part[],
  { bounds, reverse, limit }: Wanted,
): Promise<readonly string[]> {
  const heads: Head[] = [];
  const found: string[] = [];
  try {
    for (const part of parts) {
      const most = part.goneThrough === 0 ? limit : Infinity;
      const keys = keysOf(database, part.source, { bounds, reverse, limit: most });
      const key = await keys.next();
      if (key === undefined) await keys.close();
      else heads.push({ ...part, order: orderOfKey(key), key, keys });
    }
    let last = "";
    while (heads.length > 0 && found.length < limit) {
      const head = heads.reduce((best, one) => (one.order > best.order === reverse ? one : best));
      const { sequence } = momentOfKey(head.source.of, head.key);
      if (head.order !== last && sequence > head.goneThrough) {
        found.push(head.key);
        last = head.order;
      }
      const key = await head.keys.next();
      if (key === undefined) {
        heads.splice(heads.indexOf(head), 1);
        await head.keys.close();
      } else {
        head.key = key;
        head.order = orderOfKey(key);
      }
    }
  } finally {
    await Promise.all(heads.map(async ({ keys }) => keys.close()));
  }
  return found;
}

/** Only values share rows. `limit` is what will be asked for at most. */
function keysOf(
  database: Database,
  source: HistorySource,
  { bounds, reverse, limit }: Wanted,
): Keys {
  if (source.of === "property") return new RunKeys(database, source, bounds, reverse);
  const bound = limit === Infinity ? {} : { limit };
  return database.keys({ ...historyRange(source, bounds), ...bound, reverse });
}

/**
 * The keys of all moments of a history in their order. Runs may overlap with what was back-filled, by
 * no more than the longest is: so far it reads ahead.
 */
class RunKeys {
  readonly #rows: Rows<readonly [key: string, content: string]>;
  readonly #range: { readonly gt: string; readonly lt: string };
  readonly #reverse: boolean;
  /** Read and not given yet; the next is the last. */
  readonly #read: string[] = [];
  #ahead: readonly [key: string, content: string] | undefined;
  #hasBegun = false;

  constructor(database: Database, source: HistorySource, bounds: MomentBounds, reverse: boolean) {
    this.#rows = database.iterator({ ...rangeOfRuns(source, bounds), reverse });
    this.#range = historyRange(source, bounds);
    this.#reverse = reverse;
  }

  async next(): Promise<string | undefined> {
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      this.#ahead = await this.#rows.next();
    }
    while (this.#ahead !== undefined) {
      const next = this.#read.at(-1);
      if (next !== undefined && this.#isBefore(next, this.#ahead[0])) break;
      this.#take(this.#ahead);
      this.#ahead = await this.#rows.next();
    }
    return this.#read.pop();
  }

  async close(): Promise<void> {
    await this.#rows.close();
  }

  /** Whether nothing that comes before a key can be in a row, or in any behind it. */
  #isBefore(key: string, row: string): boolean {
    if (this.#reverse) return key >= row;
    return (
      momentOfKey("property", key).at <
      momentOfKey("property", row).at - FIXED_LIMITS.historyRunMsMax
    );
  }

  #take([row, content]: readonly [string, string]): void {
    const { gt, lt } = this.#range;
    const keys = keysOfRow(row, content).filter((key) => key > gt && key < lt);
    if (keys.length === 0) return;
    const isInOrder = this.#read.length === 0;
    this.#read.push(...(isInOrder && !this.#reverse ? keys.reverse() : keys));
    if (isInOrder) return;
    this.#read.sort();
    if (!this.#reverse) this.#read.reverse();
  }
}
