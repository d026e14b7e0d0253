import { CHANGE_CLASSES } from "./keys.ts";
import type { OutboxBounds } from "./outbox-bounds.ts";
import { NO_AMOUNTS, type Amounts } from "./outbox-place.ts";

/** Rates are of about the last minute: devices report once a minute. */
const OVER_MS = 60_000;
/** What was before the line came or went counts as so much: people want to see a cut. */
const OVER_TURN_MS = 2_000;
/** Less says nothing. */
const LOOK_MS_MIN = 1_000;

type Seen = {
  readonly ms: number;
  /** These only grow. */
  readonly added: number;
  readonly acknowledged: number;
  readonly owed: Amounts;
  /** Rows of which `owed` has no bytes yet. */
  readonly unread: number;
};

/** How fast an outbox fills and empties. */
export class OutboxRates {
  #seen: Seen;
  /** So long rates are of what has been seen. */
  #overMs = 0;
  #inPerS = 0;
  #outPerS = 0;
  /** Rows and bytes a second by which each class grows. */
  #growth: Amounts = NO_AMOUNTS;

  constructor(seen: Seen) {
    this.#seen = seen;
  }

  get inPerS(): number {
    return this.#inPerS;
  }

  get outPerS(): number {
    return this.#outPerS;
  }

  /** Whether something can be said of the time since it was looked at last. */
  isDue(ms: number): boolean {
    return ms - this.#seen.ms >= LOOK_MS_MIN;
  }

  /** The line has come or gone: what was before soon says nothing. */
  turn(): void {
    this.#overMs = Math.min(this.#overMs, OVER_TURN_MS);
  }

  /** Call it now and then, and as soon as somebody asks. */
  look(now: Seen): void {
    const before = this.#seen;
    this.#seen = now;
    const passedMs = now.ms - before.ms;
    if (passedMs <= 0) return;
    const weight = passedMs / (this.#overMs + passedMs);
    this.#overMs = Math.min(this.#overMs + passedMs, OVER_MS);
    const move = (rate: number, change: number): number =>
      rate + weight * ((change * 1_000) / passedMs - rate);
    this.#inPerS = move(this.#inPerS, now.added - before.added);
    this.#outPerS = move(this.#outPerS, now.acknowledged - before.acknowledged);
    // What has been read since is not new.
    if (now.unread !== before.unread) return;
    const growth = { ...this.#growth };
    for (const of of CHANGE_CLASSES) {
      const [is, was] = [now.owed[of], before.owed[of]];
      growth[of] = {
        rows: move(growth[of].rows, is.rows - was.rows),
        bytes: move(growth[of].bytes, is.bytes - was.bytes),
      };
    }
    this.#growth = growth;
  }

  /** Seconds until the first class is full; `null`: none will be. */
  fullInS(bounds: OutboxBounds): number | null {
    let least = Infinity;
    for (const of of CHANGE_CLASSES) {
      const [pending, most] = [bounds.pending[of], bounds.of(of)];
      const growth = this.#growth[of];
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
