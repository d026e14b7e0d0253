import type { Clock } from "../clock.ts";
import type { UplinkSettings } from "../uplink-settings.ts";

/** A bucket holds what so many ms allow: short enough not to be a burst, long enough for a timer. */
const BURST_MS = 100;

/**
 * The rate limit of an uplink, over all its lines: messages and bytes a second. A message goes as soon as
 * the buckets hold anything, and what is missing is paid for afterwards: none is too large for its rate.
 */
export class Rate {
  readonly #messages: Bucket | undefined;
  readonly #bytes: Bucket | undefined;

  constructor(
    { messages_per_s: messages, bytes_per_s: bytes }: UplinkSettings["rate"],
    clock: Pick<Clock, "monotonicMs">,
  ) {
    this.#messages = messages === undefined ? undefined : new Bucket(messages, clock);
    this.#bytes = bytes === undefined ? undefined : new Bucket(bytes, clock);
  }

  /** ms until the next may go; 0: now. */
  waitMs(): number {
    return Math.max(this.#messages?.waitMs() ?? 0, this.#bytes?.waitMs() ?? 0);
  }

  /** One message of so many bytes goes. */
  take(bytes: number): void {
    this.#messages?.take(1);
    this.#bytes?.take(bytes);
  }
}

class Bucket {
  readonly #perMs: number;
  readonly #most: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  #tokens: number;
  #atMs: number;

  constructor(perS: number, clock: Pick<Clock, "monotonicMs">) {
    this.#perMs = perS / 1_000;
    this.#most = Math.max(1, this.#perMs * BURST_MS);
    this.#clock = clock;
    this.#tokens = this.#most;
    this.#atMs = clock.monotonicMs();
  }

  waitMs(): number {
    const now = this.#clock.monotonicMs();
    this.#tokens = Math.min(this.#most, this.#tokens + (now - this.#atMs) * this.#perMs);
    this.#atMs = now;
    const missing = 1 - this.#tokens;
    return missing <= 0 ? 0 : Math.ceil(missing / this.#perMs);
  }

  take(count: number): void {
    this.#tokens -= count;
  }
}
