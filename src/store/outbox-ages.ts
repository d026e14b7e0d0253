import { z } from "zod";
import { CHANGE_CLASSES, type ChangeClass } from "./keys.ts";
import type { OutboxTerms } from "./outbox-terms.ts";

/** The newest sequence at an age of the store, and the time then. */
const markSchema = z.object({ sequence: z.number(), ageMs: z.number(), at: z.number() });
type Mark = z.infer<typeof markSchema>;

export const agesSchema = z.partialRecord(z.enum(CHANGE_CLASSES), z.array(markSchema));
type Ages = Partial<Record<ChangeClass, readonly Mark[]>>;

/** A bound by age is kept to this part of it. */
const PARTS = 16;

/** Where the store stands. */
export type Now = Mark;

/**
 * How old the changes of each class are that has a bound by age: marks, a sixteenth of the bound apart,
 * of where the log stood. Ages are of running time, so that neither a step of the wall clock nor time
 * powered off expires anything, unless the bound says so.
 */
export class OutboxAges {
  #marks: Ages;

  constructor(row: Ages = {}) {
    this.#marks = row;
  }

  get row(): Ages {
    return this.#marks;
  }

  /** @returns whether there is a new mark, to be written. */
  mark(bounds: OutboxTerms["bounds"], now: Now): boolean {
    let isMarked = false;
    for (const of of CHANGE_CLASSES) {
      const { ageS } = bounds[of];
      const marks = this.#marks[of] ?? [];
      if (ageS === 0) {
        this.#marks = { ...this.#marks, [of]: [] };
        continue;
      }
      const last = marks.at(-1);
      const isDue = last === undefined || now.ageMs - last.ageMs >= (ageS * 1_000) / PARTS;
      if (!isDue || last?.sequence === now.sequence) continue;
      this.#marks = { ...this.#marks, [of]: [...marks, now] };
      isMarked = true;
    }
    return isMarked;
  }

  /** Changes of a class up to this sequence are too old; 0: none is. Older marks are forgotten. */
  expired(of: ChangeClass, bounds: OutboxTerms["bounds"], now: Now): number {
    const { ageS, countsTimeOff } = bounds[of];
    const marks = this.#marks[of] ?? [];
    if (ageS === 0) return 0;
    const age = (mark: Mark): number =>
      countsTimeOff === true ? now.at - mark.at : now.ageMs - mark.ageMs;
    const newest = marks.findLastIndex((mark) => age(mark) >= ageS * 1_000);
    if (newest > 0) this.#marks = { ...this.#marks, [of]: marks.slice(newest) };
    return marks[newest]?.sequence ?? 0;
  }
}
