import { z } from "zod";
import type { Commit } from "./commit.ts";
import { CHANGE_CLASSES, pageKey, type ChangeClass } from "./keys.ts";

/** Rows by class. */
export type Counts = Readonly<Record<ChangeClass, number>>;

export const NO_ROWS: Counts = { property: 0, action: 0, event: 0, data: 0, thing: 0 };

const count = z.number().int();
export const countsSchema = z.object({
  property: count,
  action: count,
  event: count,
  data: count,
  thing: count,
});

/** Sequences of one page. */
const PAGE = 4_096;

export const pageOf = (sequence: number): number => Math.floor(sequence / PAGE);
/** The sequences of a page; they begin at 1. */
export const boundsOf = (page: number): { readonly first: number; readonly last: number } => ({
  first: Math.max(1, page * PAGE),
  last: (page + 1) * PAGE - 1,
});

/**
 * How many rows of the log there have to be, by page and class. Deletions and retention leave holes
 * in the log: only a count tells a hole that was made from one that damage left.
 *
 * The newest page is in the mark of the log; it gets a row when the next one begins.
 */
export class PageCounts {
  readonly #commit: Commit;
  #page: number;
  #counts: Record<ChangeClass, number>;

  constructor(commit: Commit, sequence: number, counts: Counts) {
    this.#commit = commit;
    this.#page = pageOf(sequence);
    this.#counts = { ...counts };
  }

  /** Of the newest page. */
  get newest(): Counts {
    return this.#counts;
  }

  /** `undefined`: nothing has to be there, or nobody knows. */
  of(page: number): Counts | undefined {
    if (page === this.#page) return { ...this.#counts };
    const row = this.#commit.read(pageKey(page));
    if (row === undefined) return undefined;
    const parsed = countsSchema.safeParse(parseJson(row));
    return parsed.success ? parsed.data : undefined;
  }

  add(of: ChangeClass, sequence: number): void {
    this.goTo(sequence);
    this.#counts[of] += 1;
  }

  take(of: ChangeClass, page: number, rows: number): void {
    if (page === this.#page) {
      this.#counts[of] -= rows;
      return;
    }
    const counts = this.of(page);
    if (counts !== undefined) this.set(page, { ...counts, [of]: counts[of] - rows });
  }

  /** Writes what is there as what has to be there. */
  set(page: number, counts: Counts): void {
    const isEmpty = CHANGE_CLASSES.every((of) => counts[of] <= 0);
    if (page === this.#page) this.#counts = { ...counts };
    else if (isEmpty) this.#commit.delete(pageKey(page));
    else this.#commit.put(pageKey(page), JSON.stringify(counts));
  }

  /** The page of a sequence becomes the newest. */
  goTo(sequence: number): void {
    const page = pageOf(sequence);
    if (page === this.#page) return;
    const [before, counts] = [this.#page, this.#counts];
    this.#page = page;
    this.#counts = { ...NO_ROWS };
    this.set(before, counts);
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
