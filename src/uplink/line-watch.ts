import type { CancelTimer, Clock } from "../clock.ts";

/** The watch looks this often at the least, and at the quarter of a shorter keep alive. */
const LOOK_EVERY_MS = 2_000;

/**
 * Keeps a line alive and tells when it is not. A line is judged by what it acknowledges: neither that
 * the socket stands nor that it takes bytes means that anybody hears us.
 */
export class LineWatch {
  readonly #clock: Pick<Clock, "monotonicMs" | "after">;
  readonly #stallMs: number;
  readonly #owed: () => number;
  readonly #isDeaf: () => boolean;
  readonly #ping: () => void;
  readonly #onStalled: (why: string) => void;
  #keepaliveMs: number;
  #cancel: CancelTimer = () => undefined;
  #sentMs: number;
  #heardMs: number;
  #ackedMs: number;
  /** Since when something waits for its acknowledgement. */
  #owedSinceMs: number | undefined;
  #pingedMs: number | undefined;

  /**
   * `owed`: how much waits for an acknowledgement. `isDeaf`: we do not read now, and so cannot judge.
   * `onStalled` is called once.
   */
  constructor(options: {
    readonly clock: Pick<Clock, "monotonicMs" | "after">;
    readonly keepaliveMs: number;
    readonly stallMs: number;
    readonly owed: () => number;
    readonly isDeaf: () => boolean;
    readonly ping: () => void;
    readonly onStalled: (why: string) => void;
  }) {
    this.#clock = options.clock;
    this.#keepaliveMs = options.keepaliveMs;
    this.#stallMs = options.stallMs;
    this.#owed = options.owed;
    this.#isDeaf = options.isDeaf;
    this.#ping = options.ping;
    this.#onStalled = options.onStalled;
    const now = options.clock.monotonicMs();
    this.#sentMs = now;
    this.#heardMs = now;
    this.#ackedMs = now;
  }

  /** When the last acknowledgement came, on the monotonic clock; before the first: the start. */
  get ackedMs(): number {
    return this.#ackedMs;
  }

  /** When something came last, whatever it was. */
  get heardMs(): number {
    return this.#heardMs;
  }

  /** `keepaliveMs`: what the broker wants in place of ours [MQTT-3.2.2-21 of MQTT 5]. */
  start(keepaliveMs?: number): void {
    if (keepaliveMs !== undefined && keepaliveMs > 0) this.#keepaliveMs = keepaliveMs;
    this.#schedule();
  }

  stop(): void {
    this.#cancel();
  }

  sent(): void {
    this.#sentMs = this.#clock.monotonicMs();
    if (this.#owed() > 0) this.#owedSinceMs ??= this.#sentMs;
  }

  heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  /** Only the oldest that is acknowledged lets the next one's time begin. */
  acked(which: "oldest" | "later"): void {
    this.#ackedMs = this.#clock.monotonicMs();
    if (which === "later") return;
    this.#owedSinceMs = this.#owed() > 0 ? this.#ackedMs : undefined;
  }

  ponged(): void {
    this.#pingedMs = undefined;
  }

  #schedule(): void {
    const delayMs = Math.min(LOOK_EVERY_MS, this.#keepaliveMs / 4, this.#stallMs / 4);
    this.#cancel = this.#clock.after(delayMs, () => {
      if (this.#isAlive()) this.#schedule();
    });
  }

  #isAlive(): boolean {
    const now = this.#clock.monotonicMs();
    if (this.#isDeaf()) this.#excuse(now);
    if (this.#owedSinceMs !== undefined && now - this.#owedSinceMs >= this.#stallMs) {
      const seconds = Math.round((now - this.#owedSinceMs) / 1_000);
      this.#onStalled(`no acknowledgement for ${seconds} s, of ${this.#owed()} messages`);
      return false;
    }
    // Behind a large backlog on a slow line a ping is answered late: what is acknowledged counts, too.
    if (this.#pingedMs !== undefined) {
      if (now - Math.max(this.#pingedMs, this.#ackedMs) < this.#stallMs) return true;
      this.#onStalled(`no answer to a ping for ${Math.round((now - this.#pingedMs) / 1_000)} s`);
      return false;
    }
    // [MQTT-3.1.2-23] asks for what we send; that we hear something is for ourselves.
    if (now - Math.min(this.#sentMs, this.#heardMs) >= this.#keepaliveMs / 2) {
      this.#pingedMs = now;
      this.#ping();
    }
    return true;
  }

  /** What is owed to us may lie in the socket. */
  #excuse(now: number): void {
    if (this.#owedSinceMs !== undefined) this.#owedSinceMs = now;
    if (this.#pingedMs !== undefined) this.#pingedMs = now;
  }
}
