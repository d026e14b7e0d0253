import { setImmediate as turn } from "node:timers/promises";
import type { Log, LogFields } from "../log.ts";

/** Others get their turn so often: signals are heard, and systemd is asked for more time. */
const TURN_EVERY_MS = 20;
/** Whoever watches a start hears so often how far it is. */
const SAY_EVERY_MS = 5_000;

export type LongStepDeps = {
  readonly log: Pick<Log, "info">;
  readonly monotonicMs: () => number;
};

/** A part of a start that may take minutes with a large store or a slow card. */
export class LongStep {
  readonly #deps: LongStepDeps;
  readonly #event: string;
  #turnedMs: number;
  #saidMs: number;

  /** `event`: under which the log says that it goes on. */
  constructor(deps: LongStepDeps, event: string) {
    this.#deps = deps;
    this.#event = event;
    this.#turnedMs = deps.monotonicMs();
    this.#saidMs = this.#turnedMs;
  }

  /** To be awaited between any two parts of it; `progress` says how far it is. */
  async goOn(progress: () => LogFields): Promise<void> {
    const { log, monotonicMs } = this.#deps;
    const nowMs = monotonicMs();
    if (nowMs - this.#turnedMs < TURN_EVERY_MS) return;
    if (nowMs - this.#saidMs >= SAY_EVERY_MS) {
      this.#saidMs = nowMs;
      log.info(this.#event, progress());
    }
    await turn();
    this.#turnedMs = monotonicMs();
  }
}
