import { FIXED_LIMITS } from "../limits.ts";
import type { Database } from "./database.ts";
import { CHANGE_CLASSES, changesOfClass, sequenceOfChangeKey, type ChangeClass } from "./keys.ts";
import type { DropRange, DropRanges } from "./outbox-drops.ts";
import type { Part, Parts } from "./outbox-parts.ts";

/** What stands in the log in the order of sequences: a row, or rows that are passed over. */
export type Step = { readonly of: ChangeClass; readonly sequence: number } & (
  { readonly kind: "row"; readonly key: string; readonly row: string } | { readonly kind: "passed" }
);

export type RowStep = Step & { readonly kind: "row" };

/** One class of a part of the log, in order. What is passed over is not read. */
export class ClassSteps {
  readonly #database: Database;
  readonly #of: ChangeClass;
  readonly #through: number;
  readonly #ranges: readonly DropRange[];
  #after: number;
  #found: readonly Step[] = [];
  #next = 0;

  constructor(database: Database, of: ChangeClass, part: Part, drops: DropRanges) {
    this.#database = database;
    this.#of = of;
    this.#after = part.after;
    this.#through = part.through;
    this.#ranges = drops.of(of).filter(({ from, to }) => to > part.after && from <= part.through);
  }

  /** The next step, of those that `fetch` has fetched. */
  get head(): Step | undefined {
    return this.#found[this.#next];
  }

  /** Without a step at hand there may be more behind `fetch`. */
  get isDry(): boolean {
    return this.head === undefined && this.#after < this.#through;
  }

  /** Behind the step at hand. */
  skip(): void {
    this.#next += 1;
  }

  /** Fetches the next steps, if there are any. */
  async fetch(): Promise<void> {
    const range = this.#ranges.find(({ to }) => to > this.#after);
    const last = Math.min(this.#through, (range?.from ?? Infinity) - 1);
    const rows = last > this.#after ? await this.#some(last) : [];
    const of = this.#of;
    const steps = rows.map(([key, row]): Step => {
      return { kind: "row", of, sequence: sequenceOfChangeKey(key), key, row };
    });
    this.#found = steps;
    this.#next = 0;
    this.#after = steps.at(-1)?.sequence ?? Math.max(this.#after, last);
    if (this.#after < last) return;
    if (range === undefined || this.#after >= this.#through) return;
    const place = Math.max(this.#after + 1, Math.min(range.place, this.#through));
    steps.push({ kind: "passed", of, sequence: place });
    this.#after = range.to;
  }

  /** As many of the next rows as a page has, at once; none: there are none up to the last. */
  async #some(last: number): Promise<readonly (readonly [key: string, row: string])[]> {
    const { outboxPageItemsMax: limit, outboxPageBytesMax: highWaterMarkBytes } = FIXED_LIMITS;
    const range = changesOfClass(this.#of, this.#after + 1, last);
    const rows = this.#database.iterator({ ...range, limit, highWaterMarkBytes });
    try {
      return await rows.some();
    } finally {
      await rows.close();
    }
  }
}

/** All classes of a part of the log in one order. */
export class Steps {
  readonly #classes: readonly ClassSteps[];

  constructor(database: Database, part: Part, drops: DropRanges) {
    this.#classes = CHANGE_CLASSES.map((of) => new ClassSteps(database, of, part, drops));
  }

  /** The next step; `undefined`: the part has been read. */
  async next(): Promise<Step | undefined> {
    for (;;) {
      const dry = this.#classes.filter(({ isDry }) => isDry);
      if (dry.length === 0) break;
      await Promise.all(dry.map(async (one) => one.fetch()));
    }
    let first: ClassSteps | undefined;
    for (const one of this.#classes) {
      const { head } = one;
      if (head !== undefined && head.sequence < (first?.head?.sequence ?? Infinity)) first = one;
    }
    const step = first?.head;
    first?.skip();
    return step;
  }
}

/** The oldest rows of a class that are not passed over, and the part that they are of. */
export async function oldestRows(
  database: Database,
  of: ChangeClass,
  parts: Parts,
  drops: DropRanges,
  acknowledged: number,
): Promise<{ readonly part: Part; readonly rows: readonly RowStep[] } | undefined> {
  for (const part of parts) {
    const through = Math.min(part.through, acknowledged);
    const steps = new ClassSteps(database, of, { ...part, through }, drops);
    const rows: RowStep[] = [];
    while (rows.length === 0 && (steps.isDry || steps.head !== undefined)) {
      if (steps.head === undefined) await steps.fetch();
      for (let step = steps.head; step !== undefined; step = steps.head) {
        if (step.kind === "row") rows.push(step);
        steps.skip();
      }
    }
    if (rows.length > 0) return { part, rows };
  }
  return undefined;
}
