import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";

/** Watches whether a client is still there. Aedes cannot: most packets do not reach it. */
export class Keepalive {
  readonly #clock: Clock;
  #lastHeardMs: number;
  #cancelTimer: CancelTimer | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#lastHeardMs = clock.monotonicMs();
  }

  heard(): void {
    this.#lastHeardMs = this.#clock.monotonicMs();
  }

  /**
   * Begins to watch; 0 seconds: not at all. `isHeldBack`: we do not listen to it for now, so that
   * its silence is not its fault.
   */
  start(keepaliveS: number, isHeldBack: () => boolean, onSilent: () => void): void {
    const allowedMs = keepaliveS * 1_000 * FIXED_LIMITS.keepalivesMax;
    if (allowedMs === 0) return;
    const watch = (): void => {
      const leftMs = this.#lastHeardMs + allowedMs - this.#clock.monotonicMs();
      this.#cancelTimer = this.#clock.after(leftMs, () => {
        if (isHeldBack()) this.heard();
        if (this.#clock.monotonicMs() - this.#lastHeardMs >= allowedMs) onSilent();
        else watch();
      });
    };
    watch();
  }

  stop(): void {
    this.#cancelTimer?.();
  }
}
