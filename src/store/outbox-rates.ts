import { CHANGE_CLASSES } from "./keys.ts";
import type { OutboxBounds } from "./outbox-bounds.ts";
import { NO_AMOUNTS, type Amounts } from "./outbox-place.ts";

/** Rates are of about the last minute: devices report once a minute, and people want to see a cut. */
const OVER_MS = 60_000;

type Counts = { readonly added: number; readonly acknowledged: number };

/** How fast an outbox fills and empties. */
export class OutboxRates {
  #seen: (Counts & { readonly ms: number; readonly owed: Amounts }) | undefined;
  #inPerS = 0;
  #outPerS = 0;
  /** Rows and bytes a second by which each class grows. */
  #growth: Amounts | undefined;

  get inPerS(): number {
    return this.#inPerS;
  }

  get outPerS(): number {
    return this.#outPerS;
  }

  /** Call it now and then, with what is owed. `counts` only grow. */
  look(monotonicMs: number, counts: Counts, owed: Amounts): void {
    const before = this.#seen;
    this.#seen = { ...counts, ms: monotonicMs, owed };
    const passedMs = monotonicMs - (before?.ms ?? monotonicMs);
    if (before === undefined || passedMs <= 0) return;
    const isFirst = this.#growth === undefined;
    const weight = isFirst ? 1 : 1 - Math.exp(-passedMs / OVER_MS);
    const move = (rate: number, change: number): number =>
      rate + weight * ((change * 1_000) / passedMs - rate);
    this.#inPerS = move(this.#inPerS, counts.added - before.added);
    this.#outPerS = move(this.#outPerS, counts.acknowledged - before.acknowledged);
    const growth = { ...(this.#growth ?? NO_AMOUNTS) };
    for (const of of CHANGE_CLASSES) {
      const [now, then] = [owed[of], before.owed[of]];
      growth[of] = {
        rows: move(growth[of].rows, now.rows - then.rows),
        bytes: move(growth[of].bytes, now.bytes - then.bytes),
      };
    }
    this.#growth = growth;
  }

  /** Seconds until the first class is full; `null`: none will be. */
  fullInS(bounds: OutboxBounds): number | null {
    let least = Infinity;
    for (const of of CHANGE_CLASSES) {
      const [pending, most] = [bounds.pending[of], bounds.of(of)];
      const growth = this.#growth?.[of] ?? NO_AMOUNTS[of];
      for (const unit of ["rows", "bytes"] as const) {
        const room = Math.max(0, most[unit] - pending[unit]);
        if (growth[unit] > 0 || (room === 0 && pending[unit] > 0)) {
          least = Math.min(least, room === 0 ? 0 : room / growth[unit]);
        }
      }
    }
    return least === Infinity ? null : Math.round(least);
  }

  /** Seconds until nothing is owed any more; `null`: it never comes to that. */
  emptyInS(rows: number): number | null {
    if (rows === 0) return 0;
    const drain = this.#outPerS - this.#inPerS;
    return drain > 0 ? Math.round(rows / drain) : null;
  }
}
