import type { Clock } from "../clock.ts";

const MINUTE_MS = 60_000;
/** Addresses remembered; beyond it the ones that have all their tries are forgotten. */
const ADDRESSES_MAX = 10_000;

/** So many tries a minute and address, regained evenly. `perMinute` 0: no bound. */
export class AddressRate {
  readonly #clock: Clock;
  readonly #perMinute: number;
  readonly #left = new Map<string, { tries: number; atMs: number }>();

  constructor(clock: Clock, perMinute: number) {
    this.#clock = clock;
    this.#perMinute = perMinute;
  }

  /** Is a try left? */
  has(address: string): boolean {
    return this.#perMinute === 0 || this.#triesOf(address) >= 1;
  }

  /** Uses up a try. False if there was none; then what is regained in part is kept. */
  take(address: string): boolean {
    if (this.#perMinute === 0) return true;
    const tries = this.#triesOf(address);
    if (tries < 1) return false;
    if (this.#left.size >= ADDRESSES_MAX) this.#forgetFull();
    this.#left.set(address, { tries: tries - 1, atMs: this.#clock.monotonicMs() });
    return true;
  }

  #triesOf(address: string): number {
    const row = this.#left.get(address);
    if (row === undefined) return this.#perMinute;
    const regained = ((this.#clock.monotonicMs() - row.atMs) / MINUTE_MS) * this.#perMinute;
    return Math.min(this.#perMinute, row.tries + regained);
  }

  #forgetFull(): void {
    for (const address of [...this.#left.keys()]) {
      if (this.#triesOf(address) >= this.#perMinute) this.#left.delete(address);
    }
    // All of them are busy: begin anew rather than grow.
    if (this.#left.size >= ADDRESSES_MAX) this.#left.clear();
  }
}
