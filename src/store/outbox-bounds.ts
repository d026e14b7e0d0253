import { CHANGE_CLASSES, type ChangeClass } from "./keys.ts";
import type { DropCause } from "./outbox-items.ts";
import { NO_AMOUNTS, plusAmount, totalOf, type Amount, type Amounts } from "./outbox-place.ts";
import type { OutboxTerms } from "./outbox-terms.ts";

/** A full class has room again when it is at this part of its bound: losses come in few ranges. */
const ROOM = 15 / 16;

/** How much of each class is owed, and whether that is too much. */
export class OutboxBounds {
  #bounds: OutboxTerms["bounds"];
  #pending: Record<ChangeClass, Amount>;
  /** Full, and for what; until there is room. */
  readonly #full = new Map<ChangeClass, DropCause>();
  /** Bounds in bytes are this part of what was asked for, so that all outboxes fit on the disk. */
  #bytesPart = 1;

  constructor(bounds: OutboxTerms["bounds"], pending: Amounts, full: readonly ChangeClass[]) {
    this.#bounds = bounds;
    this.#pending = { ...pending };
    for (const of of full) this.#full.set(of, this.#over(of, 1) ?? "bounds-rows");
  }

  get pending(): Amounts {
    return this.#pending;
  }

  get full(): readonly ChangeClass[] {
    return [...this.#full.keys()];
  }

  get total(): Amount {
    return totalOf(this.#pending);
  }

  /** `bytesMax`: what the disk has for this outbox. */
  set(bounds: OutboxTerms["bounds"], bytesMax: number): void {
    this.#bounds = bounds;
    const asked = CHANGE_CLASSES.reduce((sum, of) => sum + bounds[of].bytes, 0);
    this.#bytesPart = Math.min(1, bytesMax / Math.max(1, asked));
  }

  /** The bound of a class as it is kept now. */
  of(of: ChangeClass): Amount {
    const { rows, bytes } = this.#bounds[of];
    return { rows, bytes: bytes * this.#bytesPart };
  }

  add(of: ChangeClass, bytes: number): void {
    this.#pending[of] = plusAmount(this.#pending[of], { rows: 1, bytes });
  }

  remove(of: ChangeClass, { rows, bytes }: Amount): void {
    const before = this.#pending[of];
    this.#pending[of] = {
      rows: Math.max(0, before.rows - rows),
      bytes: Math.max(0, before.bytes - bytes),
    };
  }

  /** Nothing is owed: whatever was counted. */
  clear(of: ChangeClass): void {
    this.#pending[of] = NO_AMOUNTS[of];
  }

  /** Why a class has to lose rows until there is room again; `undefined`: it does not. */
  fullFor(of: ChangeClass): DropCause | undefined {
    const cause = this.#full.get(of);
    if (cause === undefined) {
      const over = this.#over(of, 1);
      if (over !== undefined) this.#full.set(of, over);
      return over;
    }
    if (this.#over(of, ROOM) !== undefined) return cause;
    this.#full.delete(of);
    return undefined;
  }

  #over(of: ChangeClass, part: number): DropCause | undefined {
    const [pending, most] = [this.#pending[of], this.of(of)];
    if (pending.rows >= most.rows * part) return "bounds-rows";
    return pending.bytes >= most.bytes * part ? "bounds-bytes" : undefined;
  }
}
