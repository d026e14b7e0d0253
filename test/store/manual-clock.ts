import type { Clock } from "../../src/clock.ts";

type Timer = { readonly dueMs: number; readonly callback: () => void };

/** A clock that a test moves. Wall time and monotonic time move apart as on a real machine. */
export class ManualClock implements Clock {
  wall = Date.parse("2027-03-01T12:00:00.000Z");
  monotonic = 5_000;
  bootId = "boot-1";
  synced = true;
  #timers: Timer[] = [];

  readonly wallMs = (): number => this.wall;
  readonly monotonicMs = (): number => this.monotonic;
  readonly isSynced = (): boolean => this.synced;
  readonly after = (delayMs: number, callback: () => void): (() => void) => {
    const timer = { dueMs: this.monotonic + delayMs, callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  };

  get waiting(): number {
    return this.#timers.length;
  }

  /** Both times go on; timers that come due are called in their order. */
  advance(ms: number): void {
    const end = this.monotonic + ms;
    for (;;) {
      const [next] = this.#timers
        .filter(({ dueMs }) => dueMs <= end)
        .sort((a, b) => a.dueMs - b.dueMs);
      if (next === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== next);
      this.#goTo(Math.max(next.dueMs, this.monotonic));
      next.callback();
    }
    this.#goTo(end);
  }

  /** The machine was off: wall time has gone on, or not if it has no clock that does. */
  reboot(options: { readonly wall: number; readonly synced: boolean }): void {
    this.bootId = `${this.bootId}+`;
    this.monotonic = 1_000;
    this.wall = options.wall;
    this.synced = options.synced;
    this.#timers = [];
  }

  #goTo(monotonic: number): void {
    this.wall += monotonic - this.monotonic;
    this.monotonic = monotonic;
  }
}
