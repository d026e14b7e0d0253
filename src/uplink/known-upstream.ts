import { FIXED_LIMITS } from "../limits.ts";
import type { Owed } from "../store/outbox-items.ts";
import { slotOf, valuesOf } from "./owed-values.ts";

/** The values that upstream acknowledged last, of the properties that changed last. */
export class KnownUpstream {
  readonly #values = new Map<string, string>();

  acknowledged(owed: Owed): void {
    for (const { slot, value } of valuesOf(owed)) {
      this.#values.delete(slot);
      this.#values.set(slot, value);
      const [oldest] = this.#values.keys();
      if (this.#values.size > FIXED_LIMITS.uplinkEchoesMax && oldest !== undefined) {
        this.#values.delete(oldest);
      }
    }
  }

  /** Whether this is what upstream has; it may be that nobody knows any more. */
  isHeld(thing: number, name: string, value: string): boolean {
    return this.#values.get(slotOf(thing, name)) === value;
  }
}
