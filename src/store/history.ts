import { parseActionRequest, type ActionRequest } from "./action-requests.ts";
import { openChange, type RecordedChange } from "./changes.ts";
import type { Database } from "./database.ts";
import type { Deletions } from "./deletions.ts";
import { mergeKeys } from "./history-keys.ts";
import {
  changeKey,
  momentOfKey,
  type HistoryClass,
  type HistorySource,
  type MomentBounds,
} from "./keys.ts";

/** Which part of a history: at most `limit` items from the newest down, or from the oldest up. */
export type Slice = MomentBounds & { readonly limit: number; readonly oldestFirst?: boolean };

/** What a slice held, in its order. `more`: the range goes on behind the last item. */
export type HistoryPage<Item> = { readonly items: readonly Item[]; readonly more: boolean };

/** Looked at together once a row could not be read: of a lost table there are thousands in a row. */
const UNREADABLE_ROWS = 256;

/**
 * Reads history from disk: call it when the writes it should show are settled. Rows that retention
 * swept while it read are left out.
 */
export class History {
  readonly #database: Database;
  readonly #deletions: Deletions;
  readonly #firstValue: () => number;

  /** `firstValue`: the first sequence of a change of properties that retention has left. */
  constructor(database: Database, deletions: Deletions, firstValue: () => number) {
    this.#database = database;
    this.#deletions = deletions;
    this.#firstValue = firstValue;
  }

  /**
   * Changes of several sources of one class in one order; a change of several names comes once, with
   * the values of the names that were asked for. A row that cannot be read is left out, and told.
   */
  async changes(
    sources: readonly HistorySource[],
    slice: Slice,
  ): Promise<HistoryPage<RecordedChange>> {
    const of = sources[0]?.of;
    if (of === undefined) return { items: [], more: false };
    return this.#page(of, sources, slice, async (indexKeys) => {
      const sequences = indexKeys.map((key) => momentOfKey(of, key).sequence);
      const keys = sequences.map((sequence) => changeKey(of, sequence));
      const changes = await this.#readable(keys, (row, index) =>
        openChange(of, sequences[index] ?? 0, row),
      );
      return changes
        .filter((change) => isOfOne(change, sources))
        .map((change) => this.#ofSources(change, sources));
    });
  }

  async requests(
    sources: readonly HistorySource[],
    slice: Slice,
  ): Promise<HistoryPage<ActionRequest>> {
    return this.#page("action", sources, slice, async (keys) =>
      this.#readable(keys, parseActionRequest),
    );
  }

  /** The newest moment at or before a time. */
  async latestAt(source: HistorySource, at: number): Promise<RecordedChange | undefined> {
    const page = await this.changes([source], { before: { at: at + 1, sequence: 0 }, limit: 1 });
    return page.items[0];
  }

  async hasAt(source: HistorySource, at: number): Promise<boolean> {
    const bounds = { after: { at, sequence: 0 }, before: { at: at + 1, sequence: 0 } };
    const found = await this.#keys(source.of, [source], { ...bounds, limit: 1 });
    return found.keys.length > 0;
  }

  /** Goes on behind what cannot be read: only at the end of the range is a page not full. */
  async #page<Item>(
    of: HistoryClass,
    sources: readonly HistorySource[],
    slice: Slice,
    open: (keys: readonly string[]) => Promise<readonly Item[]>,
  ): Promise<HistoryPage<Item>> {
    const { limit, oldestFirst } = slice;
    const items: Item[] = [];
    let rest = slice;
    for (;;) {
      const { keys, more } = await this.#keys(of, sources, rest);
      items.push(...(await open(keys)));
      const last = keys.at(-1);
      if (items.length >= limit || !more || last === undefined) {
        return { items: items.slice(0, limit), more: more || items.length > limit };
      }
      const moment = momentOfKey(of, last);
      const behind = oldestFirst === true ? { after: moment } : { before: moment };
      rest = { ...slice, ...behind, limit: Math.max(limit, UNREADABLE_ROWS) };
    }
  }

  async #keys(
    of: HistoryClass,
    sources: readonly HistorySource[],
    slice: Slice,
  ): Promise<{ readonly keys: readonly string[]; readonly more: boolean }> {
    // A row of the index stays until the last of its values goes.
    const swept = of === "property" ? this.#firstValue() - 1 : 0;
    const parts = sources.map((source) => ({
      source,
      goneThrough: Math.max(this.#deletions.throughOf(source), swept),
    }));
    const keys = await mergeKeys(this.#database, parts, {
      bounds: slice,
      reverse: slice.oldestFirst !== true,
      limit: slice.limit + 1,
    });
    return { keys: keys.slice(0, slice.limit), more: keys.length > slice.limit };
  }

  async #readable<Item>(
    keys: readonly string[],
    parse: (row: string, index: number) => Item,
  ): Promise<readonly Item[]> {
    const rows = await this.#database.getMany(keys);
    return rows.flatMap((row, index) => {
      if (row === undefined) return [];
      try {
        return [parse(row, index)];
      } catch {
        this.#database.damage.addRow(keys[index] ?? "", row);
        return [];
      }
    });
  }

  #ofSources(change: RecordedChange, sources: readonly HistorySource[]): RecordedChange {
    if (change.class !== "property") return change;
    const isAskedFor = new Set(
      sources.flatMap((source) =>
        change.sequence > this.#deletions.throughOf(source) ? source.name : [],
      ),
    );
    const values = Object.entries(change.values).filter(([name]) => isAskedFor.has(name));
    return { ...change, values: Object.fromEntries(values) };
  }
}

/** The index has no checksum: a damaged key of it may lead to a change of something else. */
function isOfOne(change: RecordedChange, sources: readonly HistorySource[]): boolean {
  const names = namesIn(change);
  return sources.some(({ thing, name }) => thing === change.thing && names.includes(name));
}

function namesIn(change: RecordedChange): readonly string[] {
  switch (change.class) {
    case "property":
      return [...Object.keys(change.values), ...(change.writeOnly ?? [])];
    case "action":
    case "event":
      return [change.name];
    case "data":
    case "thing":
      return [""];
  }
}
