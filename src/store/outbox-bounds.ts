import { CHANGE_CLASSES, type ChangeClass } from "./keys.ts";
import type { DropCause } from "./outbox-items.ts";
import { totalOf, type Amount, type Amounts } from "./outbox-place.ts";
import type { OutboxTerms } from "./outbox-terms.ts";

/** A full class has room again when it is at this part of its bound: losses come in few ranges. */
const ROOM = 15 / 16;

/** How much of each class is owed, and whether that is too much. */
export class OutboxBounds {
  #bounds: OutboxTerms["bounds"];
  readonly #pending: Record<ChangeClass, { rows: number; bytes: number }>;
  /** Full, and for what; until there is room. */
  readonly #full = new Map<ChangeClass, DropCause>();
  /** Bounds in bytes are this part of what was asked for, so that all outboxes fit on the disk. */
  #bytesPart = 1;

  constructor(bounds: OutboxTerms["bounds"], pending: Amounts, full: readonly ChangeClass[]) {
    this.#bounds = bounds;
    const copy = (of: ChangeClass): { rows: number; bytes: number } => ({ ...pending[of] });
    this.#pending = {
      property: copy("property"),
      action: copy("action"),
      event: copy("event"),
      data: copy("data"),
      thing: copy("thing"),
    };
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

  get isEmpty(): boolean {
    for (const of of CHANGE_CLASSES) if (this.#pending[of].rows > 0) return false;
    return true;
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
    const pending = this.#pending[of];
    pending.rows += 1;
    pending.bytes += bytes;
  }

  remove(of: ChangeClass, { rows, bytes }: Amount): void {
    const pending = this.#pending[of];
    pending.rows = Math.max(0, pending.rows - rows);
    pending.bytes = Math.max(0, pending.bytes - bytes);
  }

  /** Nothing is owed: whatever was counted. */
  clear(of: ChangeClass): void {
    this.remove(of, this.#pending[of]);
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
    const { rows, bytes } = this.#bounds[of];
    const pending = this.#pending[of];
    if (pending.rows >= rows * part) return "bounds-rows";
    return pending.bytes >= bytes * this.#bytesPart * part ? "bounds-bytes" : undefined;
  }
}
