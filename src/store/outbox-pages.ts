import { z } from "zod";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import {
  CHANGE_CLASSES,
  classOfChangeKey,
  firstOfOutboxPageKey,
  outboxPageKey,
  outboxPageRows,
  sequenceOfChangeKey,
  type ChangeClass,
} from "./keys.ts";
import { classOf, gapContent, type Content } from "./outbox-content.ts";
import { DROP_CAUSES } from "./outbox-items.ts";
import { NO_AMOUNTS, type Amounts, type Place } from "./outbox-place.ts";

const gapSchema = z.object({
  from: z.number(),
  to: z.number(),
  class: z.enum(CHANGE_CLASSES).exactOptional(),
  cause: z.enum(DROP_CAUSES),
  since: z.number(),
  until: z.number(),
});
const describedSchema = z.object({
  thing: z.number(),
  /** Absent: its description. */
  name: z.string().exactOptional(),
  at: z.number(),
  sequence: z.number(),
});
/** Leads to what a number stands for: the key of a change, a value or description, or a gap itself. */
const gapRefSchema = z.object({ id: z.string(), gap: gapSchema });
const refSchema = z.union([z.string(), gapRefSchema, describedSchema]);
type GapRef = z.infer<typeof gapRefSchema>;
export type Ref = z.infer<typeof refSchema>;

/** Numbers count up from one item to the next, but for those that a gap names. */
const pageSchema = z.array(z.object({ seq: z.number(), ref: refSchema }));

/** An item without its number. */
export type Numbered = { readonly ref: Ref; readonly content: Content };

export type PageItem = {
  readonly seq: number;
  readonly page: Page;
  ref: Ref;
  /** Absent: not read since the start. */
  content: Content | undefined;
  isAcknowledged: boolean;
  /** Waits to be taken. */
  isQueued: boolean;
};

export type Page = {
  readonly first: number;
  /** Of the newer of two streams. */
  isLive: boolean;
  /** On disk: its items may be handed out. */
  isSettled: boolean;
  readonly items: PageItem[];
  unacknowledged: number;
};

/** Items that have numbers and are not acknowledged, in pages: a row each. */
export class OutboxPages {
  readonly #commit: Commit;
  readonly #uplink: number;
  /** In the order of their numbers. */
  readonly #pages = new Map<number, Page>();
  readonly #bySeq = new Map<number, PageItem>();
  readonly #byKey = new Map<string, PageItem>();
  readonly #finished = new Set<number>();
  readonly #restored = new Set<Page>();

  constructor(commit: Commit, uplink: number) {
    this.#commit = commit;
    this.#uplink = uplink;
  }

  /** `acknowledged`: all up to this number is. `live`: first numbers of pages of the newer stream. */
  async load(
    database: Database,
    { acknowledged, live }: Pick<Place, "acknowledged" | "live">,
  ): Promise<void> {
    const rows = await readRows(database, outboxPageRows(this.#uplink), (key, row) => {
      return [firstOfOutboxPageKey(key), pageSchema.parse(JSON.parse(row))] as const;
    });
    for (const [first, row] of rows) {
      const page = makePage(first, live.includes(first));
      page.isSettled = true;
      for (const { seq, ref } of row) {
        page.items.push(makeItem(seq, page, ref, undefined, seq <= acknowledged));
      }
      page.unacknowledged = page.items.filter((item) => !item.isAcknowledged).length;
      if (page.unacknowledged === 0) this.#finished.add(first);
      else this.#hold(page);
    }
  }

  has(first: number): boolean {
    return this.#pages.has(first);
  }

  /** First and last number of each. */
  get extents(): [first: number, last: number][] {
    return [...this.#pages.values()].map(({ first, items }) => [first, items.at(-1)?.seq ?? first]);
  }

  /** First numbers of those of the newer of two streams. */
  get live(): number[] {
    return [...this.#pages.values()].filter(({ isLive }) => isLive).map(({ first }) => first);
  }

  get pages(): Iterable<Page> {
    return this.#pages.values();
  }

  /** The last number that is in a page. */
  get last(): number {
    return Math.max(0, ...this.#bySeq.keys());
  }

  get outstanding(): number {
    return this.#bySeq.size;
  }

  /** What is outstanding, by class and as far as it has been read; gaps are of none. */
  get amounts(): Amounts {
    const amounts = { ...NO_AMOUNTS };
    for (const { content } of this.#bySeq.values()) {
      if (content === undefined || content.item.kind === "gap") continue;
      const of = classOf(content.item);
      const { rows, bytes } = amounts[of];
      amounts[of] = { rows: rows + 1, bytes: bytes + content.bytes };
    }
    return amounts;
  }

  /** Outstanding changes that have not been read since the start: `amounts` lacks them. */
  get unread(): number {
    let unread = 0;
    for (const { content } of this.#bySeq.values()) if (content === undefined) unread += 1;
    return unread;
  }

  /**
   * What goes on with the newer of two streams beside a new line: what was of it, though older changes
   * are gone by now, because newer ones of the other stream may have gone with them; and what is newer
   * than something with a later number, or with none yet: from `unread` on.
   */
  goingOn(unread: number): ReadonlySet<Page> {
    const live = new Set<Page>();
    let oldest = unread;
    for (const page of [...this.#pages.values()].reverse()) {
      const sequence = sequenceOf(page);
      if (page.isLive || sequence > oldest) live.add(page);
      else oldest = sequence;
    }
    return live;
  }

  countOf(isLive: boolean): number {
    let count = 0;
    for (const page of this.#pages.values()) if (page.isLive === isLive) count += 1;
    return count;
  }

  get(seq: number): PageItem | undefined {
    return this.#bySeq.get(seq);
  }

  /** By the key of a change. */
  holds(key: string): boolean {
    return this.#byKey.has(key);
  }

  /** The oldest that is not acknowledged. */
  get first(): PageItem | undefined {
    for (const page of this.#pages.values()) {
      const item = page.items.find(({ isAcknowledged }) => !isAcknowledged);
      if (item !== undefined) return item;
    }
    return undefined;
  }

  /** Adds a page in the open batch; its numbers are behind all others. */
  add(isLive: boolean, items: readonly (Numbered & { readonly seq: number })[]): Page {
    const page = makePage(items[0]?.seq ?? 0, isLive);
    for (const { seq, ref, content } of items) {
      page.items.push(makeItem(seq, page, ref, content));
    }
    page.unacknowledged = items.length;
    this.#hold(page);
    this.put(page);
    return page;
  }

  /** A gap stands where a page was lost. It is put with `write`. */
  restore(item: { readonly seq: number; readonly ref: GapRef }): void {
    const page = makePage(item.ref.gap.from, false);
    page.items.push(makeItem(item.seq, page, item.ref));
    page.unacknowledged = 1;
    page.isSettled = true;
    this.#hold(page);
    this.#sort();
    // Behind the deletion of the row that it stands for.
    this.#restored.add(page);
  }

  /** What a number stands for has changed: the row is put anew. */
  put(page: Page): void {
    const row = page.items.map(({ seq, ref }) => ({ seq, ref }));
    this.#commit.put(outboxPageKey(this.#uplink, page.first), JSON.stringify(row));
  }

  /** The row of a change goes: of what waits it is looked again what there is of it. */
  rowGoes(key: string): void {
    const item = this.#byKey.get(key);
    if (item?.isQueued === true) item.content = undefined;
  }

  /** A gap stands where the item was: put its page, and show it when that is on disk. */
  replace(item: PageItem, ref: GapRef): void {
    if (typeof item.ref === "string") this.#byKey.delete(item.ref);
    item.ref = ref;
    item.content = undefined;
  }

  showGap(item: PageItem): void {
    const { ref } = item;
    if (item.isAcknowledged || typeof ref === "string" || !("gap" in ref)) return;
    item.content = gapContent(ref.id, ref.gap, 0);
  }

  acknowledge(item: PageItem): void {
    const { page } = item;
    item.isAcknowledged = true;
    item.content = undefined;
    this.#bySeq.delete(item.seq);
    if (typeof item.ref === "string") this.#byKey.delete(item.ref);
    page.unacknowledged -= 1;
    if (page.unacknowledged > 0) return;
    this.#pages.delete(page.first);
    this.#finished.add(page.first);
  }

  /** The first sequence of a class that is owed; `Infinity`: none is. */
  neededFrom(of: ChangeClass): number {
    let needed = Infinity;
    for (const key of this.#byKey.keys()) {
      if (classOfChangeKey(key) === of) needed = Math.min(needed, sequenceOfChangeKey(key));
    }
    return needed;
  }

  /** Takes pages of which everything is acknowledged from the disk, in the open batch. */
  write(): void {
    for (const page of this.#restored) this.put(page);
    this.#restored.clear();
    for (const first of this.#finished) this.#commit.delete(outboxPageKey(this.#uplink, first));
    this.#finished.clear();
  }

  erase(): void {
    for (const first of this.#pages.keys()) this.#finished.add(first);
    for (const kept of [this.#pages, this.#bySeq, this.#byKey]) kept.clear();
    this.write();
  }

  #sort(): void {
    const sorted = [...this.#pages].sort(([a], [b]) => a - b);
    this.#pages.clear();
    for (const [first, page] of sorted) this.#pages.set(first, page);
  }

  #hold(page: Page): void {
    this.#pages.set(page.first, page);
    for (const item of page.items) {
      if (item.isAcknowledged) continue;
      this.#bySeq.set(item.seq, item);
      if (typeof item.ref === "string") this.#byKey.set(item.ref, item);
    }
  }
}

/** Of its first change; what a snapshot has is older than all of them. */
function sequenceOf({ items }: Page): number {
  for (const { ref } of items) {
    if (typeof ref === "string") return sequenceOfChangeKey(ref);
    if (!("gap" in ref)) return 0;
  }
  return 0;
}

function makeItem(
  seq: number,
  page: Page,
  ref: Ref,
  content?: Content,
  isAcknowledged = false,
): PageItem {
  return { seq, page, ref, content, isAcknowledged, isQueued: false };
}

function makePage(first: number, isLive: boolean): Page {
  return { first, isLive, isSettled: false, items: [], unacknowledged: 0 };
}
