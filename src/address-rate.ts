import type { Clock } from "./clock.ts";
import { FIXED_LIMITS } from "./limits.ts";
import { peerNetwork } from "./peer-network.ts";

const MINUTE_MS = 60_000;

type Bucket = { tokens: number; atMs: number };

/**
 * A token bucket for each address, of IPv6 for each network of 64 bits: it holds what one minute allows,
 * and fills evenly. A log-in takes a token before it is checked, so that parallel guesses count, and
 * gives it back when it was right.
 */
export class AddressRate {
  readonly #perMinute: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #sourceOf: (address: string) => string;
  readonly #buckets = new Map<string, Bucket>();

  /** `perMinute` 0: everything is allowed. `sourceOf`: addresses for which it is the same count as one. */
  constructor(
    perMinute: number,
    clock: Pick<Clock, "monotonicMs">,
    sourceOf: (address: string) => string = peerNetwork,
  ) {
    this.#perMinute = perMinute;
    this.#clock = clock;
    this.#sourceOf = sourceOf;
  }

  /** Is a token left? */
  has(address: string): boolean {
    return this.#perMinute === 0 || this.#filled(this.#sourceOf(address)).tokens >= 1;
  }

  /** Takes a token: 0, or the whole seconds until there is one. */
  take(address: string): number {
    if (this.#perMinute === 0) return 0;
    const source = this.#sourceOf(address);
    const bucket = this.#filled(source);
    if (bucket.tokens < 1) {
      return Math.max(1, Math.ceil(((1 - bucket.tokens) * 60) / this.#perMinute));
    }
    bucket.tokens -= 1;
    this.#remember(source, bucket);
    return 0;
  }

  /** It was right: it costs nothing. */
  giveBack(address: string): void {
    const source = this.#sourceOf(address);
    const bucket = this.#buckets.get(source);
    if (bucket === undefined) return;
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + 1);
    if (bucket.tokens === this.#perMinute) this.#buckets.delete(source);
  }

  #filled(source: string): Bucket {
    const now = this.#clock.monotonicMs();
    const bucket = this.#buckets.get(source);
    if (bucket === undefined) return { tokens: this.#perMinute, atMs: now };
    const gained = ((now - bucket.atMs) * this.#perMinute) / MINUTE_MS;
    bucket.tokens = Math.min(this.#perMinute, bucket.tokens + gained);
    bucket.atMs = now;
    return bucket;
  }

  #remember(source: string, bucket: Bucket): void {
    this.#buckets.delete(source);
    this.#buckets.set(source, bucket);
    const most = FIXED_LIMITS.addressesMax;
    if (this.#buckets.size <= most) return;
    // Those with the most tries left are forgotten first.
    for (const known of [...this.#buckets.keys()]) {
      if (this.#filled(known).tokens >= this.#perMinute) this.#buckets.delete(known);
    }
    // All of them failed within the last minute: the one that did so longest ago goes.
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > most && oldest !== undefined) this.#buckets.delete(oldest);
  }
}
