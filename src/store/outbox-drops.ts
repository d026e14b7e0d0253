import { z } from "zod";
import { FIXED_LIMITS } from "../limits.ts";
import { CHANGE_CLASSES, type ChangeClass } from "./keys.ts";
import { DROP_CAUSES, type DropCause } from "./outbox-items.ts";
import type { Part, Parts } from "./outbox-parts.ts";

/** Owed changes that are not sent, in numbers. */
export type Loss = {
  readonly count: number;
  readonly bytes: number;
  /** Times of the first and the last one, ms since the epoch. */
  readonly since: number;
  readonly until: number;
};

/** Rows of one class that an uplink passes over: those owed from one sequence to another (inclusive). */
export type DropRange = Loss & {
  readonly from: number;
  readonly to: number;
  /** Where the first of them stands. */
  readonly place: number;
  readonly cause: DropCause;
  /** So many more held the present value of a property: that is sent in their place. */
  readonly carried: number;
};

const rangeSchema = z.object({
  from: z.number(),
  to: z.number(),
  place: z.number(),
  count: z.number(),
  bytes: z.number(),
  since: z.number(),
  until: z.number(),
  cause: z.enum(DROP_CAUSES),
  carried: z.number(),
});
const ranges = z.array(rangeSchema);
export const dropRangesSchema = z.object({
  property: ranges,
  action: ranges,
  event: ranges,
  data: ranges,
  thing: ranges,
});
export type DropRangesRow = z.infer<typeof dropRangesSchema>;

export const NO_LOSS: Loss = { count: 0, bytes: 0, since: 0, until: 0 };

/** Several losses as one. */
export function plus(a: Loss | undefined, b: Loss): Loss {
  if (a === undefined || a.count === 0) return b;
  if (b.count === 0) return a;
  return {
    count: a.count + b.count,
    bytes: a.bytes + b.bytes,
    since: Math.min(a.since, b.since),
    until: Math.max(a.until, b.until),
  };
}

/** What an uplink passes over, by class, in the order of the log. */
export class DropRanges {
  #ranges: Record<ChangeClass, readonly DropRange[]>;

  constructor(row: DropRangesRow = { property: [], action: [], event: [], data: [], thing: [] }) {
    this.#ranges = row;
  }

  of(of: ChangeClass): readonly DropRange[] {
    return this.#ranges[of];
  }

  get row(): DropRangesRow {
    const copy = (of: ChangeClass): DropRange[] => [...this.#ranges[of]];
    return {
      property: copy("property"),
      action: copy("action"),
      event: copy("event"),
      data: copy("data"),
      thing: copy("thing"),
    };
  }

  /** Changes that are carried: owed, though not in the log's rows that are read. */
  get carried(): number {
    return CHANGE_CLASSES.flatMap((of) => this.#ranges[of]).reduce(
      (sum, { carried }) => sum + carried,
      0,
    );
  }

  covers(of: ChangeClass, sequence: number): boolean {
    return this.#ranges[of].some(({ from, to }) => sequence >= from && sequence <= to);
  }

  /** Whether something behind a sequence is passed over. */
  reach(sequence: number): boolean {
    return CHANGE_CLASSES.some((of) => (this.#ranges[of].at(-1)?.to ?? 0) > sequence);
  }

  /** The last range that ends before a sequence. */
  before(of: ChangeClass, sequence: number): DropRange | undefined {
    return this.#ranges[of].findLast(({ to }) => to < sequence);
  }

  /** A range that begins where one with the same cause ends goes on with it. */
  add(of: ChangeClass, range: DropRange): void {
    const all = [...this.#ranges[of], range].sort((a, b) => a.from - b.from);
    const joined = join(all, (before, next) => before.cause === next.cause);
    // What was dropped for different causes is one range where there are too many.
    this.#ranges[of] =
      joined.length <= FIXED_LIMITS.outboxDropRangesMax ? joined : join(joined, () => true);
  }

  /**
   * Takes out the range that holds a sequence. What of it lies outside of the part that has been read
   * stays, with nothing more to tell.
   */
  take(of: ChangeClass, sequence: number, read: Part): DropRange | undefined {
    const range = this.#ranges[of].find(({ from, to }) => sequence >= from && sequence <= to);
    if (range === undefined) return undefined;
    const told = { ...range, ...NO_LOSS, carried: 0 };
    const before = { ...told, to: read.after };
    const behind = { ...told, from: read.through + 1, place: read.through + 1 };
    const rest = [before, behind].filter(({ from, to }) => from <= to);
    this.#ranges[of] = this.#ranges[of].flatMap((one) => (one === range ? rest : [one]));
    return range;
  }

  /** Where the first row of a class may be that is not passed over. */
  neededFrom(of: ChangeClass, parts: Parts): number {
    for (const { after, through } of parts) {
      let needed = after + 1;
      for (const { from, to } of this.#ranges[of]) {
        if (from <= needed && to >= needed) needed = to + 1;
      }
      if (needed <= through) return needed;
    }
    return Infinity;
  }
}

function hasNone({ count, carried }: DropRange): boolean {
  return count + carried === 0;
}

function join(
  sorted: readonly DropRange[],
  mayJoin: (before: DropRange, next: DropRange) => boolean,
): readonly DropRange[] {
  const joined: DropRange[] = [];
  for (const next of sorted) {
    const before = joined.at(-1);
    if (before?.to !== next.from - 1 || !mayJoin(before, next)) {
      joined.push(next);
      continue;
    }
    const { to, cause } = next;
    const { from } = before;
    const place = hasNone(before) ? next.place : before.place;
    const carried = before.carried + next.carried;
    joined[joined.length - 1] = { ...plus(before, next), from, to, place, cause, carried };
  }
  return joined;
}
