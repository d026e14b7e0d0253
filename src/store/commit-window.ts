import type { Clock } from "../clock.ts";

/** Bounds of the window in which a batch gathers; ms. */
export type WindowBounds = {
  /** A batch that was begun while another was being written waits so long at the most. */
  readonly gatherMs: number;
  /** At least so long from one write to the next, for a disk that wears. */
  readonly syncIntervalMs: number;
};

/**
 * How long a batch waits for company. A lone change goes to the disk at once; where changes come
 * faster than the disk writes, a few ms more make far fewer and fuller writes of it.
 */
export class CommitWindow {
  readonly #bounds: WindowBounds;
  readonly #monotonicMs: () => number;
  #closesAtMs = 0;
  #writtenAtMs = -Infinity;

  constructor(bounds: WindowBounds, clock: Pick<Clock, "monotonicMs">) {
    this.#bounds = bounds;
    this.#monotonicMs = clock.monotonicMs;
  }

  /** The first row of a batch was put; `isBusy`: while another batch is being written. */
  begin(isBusy: boolean): void {
    if (this.#bounds.gatherMs === 0) return;
    this.#closesAtMs = isBusy ? this.#monotonicMs() + this.#bounds.gatherMs : 0;
  }

  /** A batch is being written. */
  close(): void {
    if (this.#bounds.syncIntervalMs > 0) this.#writtenAtMs = this.#monotonicMs();
  }

  /** ms until the batch may be written; 0: at once. */
  get waitMs(): number {
    const { gatherMs, syncIntervalMs } = this.#bounds;
    if (gatherMs === 0 && syncIntervalMs === 0) return 0;
    const opensAtMs = Math.max(this.#closesAtMs, this.#writtenAtMs + syncIntervalMs);
    return Math.max(0, opensAtMs - this.#monotonicMs());
  }
}
