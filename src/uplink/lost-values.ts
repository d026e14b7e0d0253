import { FIXED_LIMITS } from "../limits.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";
import { isJsonObject, type Json } from "../thing/json.ts";

/** The last value that came for a slot while a local change stood against it. */
export type LostValue = {
  readonly value: Json;
  /** The newest change here when it came: a value set later is newer. */
  readonly since: number;
};

const NOTE = "lost ";

/** Values that lost and may have to be set yet; over a restart too, for they are acknowledged. */
export class LostValues {
  readonly #memory: UplinkMemory;
  readonly #bySlot = new Map<string, LostValue>();
  readonly #noted = new Set<string>();

  constructor(memory: UplinkMemory) {
    this.#memory = memory;
    for (const [name, note] of memory.notes()) {
      if (!name.startsWith(NOTE) || !isJsonObject(note)) continue;
      const { value, since } = note;
      if (value === undefined || typeof since !== "number") continue;
      const slot = name.slice(NOTE.length);
      this.#bySlot.set(slot, { value, since });
      this.#noted.add(slot);
    }
  }

  get size(): number {
    return this.#bySlot.size;
  }

  slots(): readonly string[] {
    return [...this.#bySlot.keys()];
  }

  get(slot: string): LostValue | undefined {
    return this.#bySlot.get(slot);
  }

  /** In place of an older one, which was written in the open batch if it was `onDisk`. */
  keep(slot: string, lost: LostValue, { onDisk }: { readonly onDisk: boolean }): void {
    this.#bySlot.delete(slot);
    this.#bySlot.set(slot, lost);
    if (onDisk || this.#noted.has(slot)) {
      this.#noted.add(slot);
      this.#memory.setNote(NOTE + slot, lost);
    }
    const [oldest] = this.#bySlot.keys();
    if (this.#bySlot.size > FIXED_LIMITS.uplinkLostMax && oldest !== undefined) this.forget(oldest);
  }

  forget(slot: string): void {
    this.#bySlot.delete(slot);
    if (this.#noted.delete(slot)) this.#memory.setNote(NOTE + slot, undefined);
  }
}
