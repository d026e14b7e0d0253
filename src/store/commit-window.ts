import type { Clock } from "../clock.ts";

/** Bounds of the window in which a batch gathers; ms. */
export type WindowBounds = {
  /** A batch waits so long for more at the most, where that brings more. */
  readonly gatherMs: number;
  /** At least so long from one write to the next, for a disk that wears. */
  readonly syncIntervalMs: number;
};

/** Writes in a row, each soon after the one before, until waiting is tried; ever more if in vain. */
const PATIENCE = { min: 8, max: 1_024 } as const;

/**
 * How long a batch waits for company. A lone change goes to the disk at once. Where writes follow each
 * other within `gatherMs`, waiting is tried, and gone on with while changes still come in the later
 * half of the wait: a few ms more then make far fewer and fuller writes of it.
 *
 * Clients that send one change after the acknowledgement of the other come at once or not at all, and
 * waiting for more only holds them up. That looks the same from here until it is tried; so each trial
 * in vain is twice as far away as the one before.
 */
export class CommitWindow {
  readonly #bounds: WindowBounds;
  readonly #monotonicMs: () => number;
  #isGathering = false;
  #closesAtMs = 0;
  #writtenAtMs = -Infinity;
  #isWorthIt = false;
  #patience: number = PATIENCE.min;
  #unwaited = 0;

  constructor(bounds: WindowBounds, clock: Pick<Clock, "monotonicMs">) {
    this.#bounds = bounds;
    this.#monotonicMs = clock.monotonicMs;
  }

  /** The first row of a batch was put; `isBusy`: while another batch is being written. */
  begin(isBusy: boolean): void {
    const { gatherMs } = this.#bounds;
    if (gatherMs === 0) return;
    const nowMs = this.#monotonicMs();
    this.#isGathering = this.#gathers(isBusy || nowMs - this.#writtenAtMs < gatherMs);
    this.#closesAtMs = this.#isGathering ? nowMs + gatherMs : 0;
  }

  #gathers(isSoonAfter: boolean): boolean {
    if (!isSoonAfter) {
      this.#isWorthIt = false;
      this.#unwaited = 0;
      return false;
    }
    if (this.#isWorthIt) return true;
    this.#unwaited += 1;
    return this.#unwaited > this.#patience;
  }

  /**
   * A batch is being written. `hadLateCompany`: whether more was put into it in the later half of its
   * wait; `undefined`: it did not wait then.
   */
  close(hadLateCompany: boolean | undefined): void {
    this.#writtenAtMs = this.#monotonicMs();
    if (!this.#isGathering) return;
    this.#isGathering = false;
    if (hadLateCompany === undefined) return;
    this.#isWorthIt = hadLateCompany;
    this.#unwaited = 0;
    this.#patience = hadLateCompany ? PATIENCE.min : Math.min(this.#patience * 2, PATIENCE.max);
  }

  /** ms until the batch may be written; 0: at once. */
  get waitMs(): number {
    const { gatherMs, syncIntervalMs } = this.#bounds;
    if (gatherMs === 0 && syncIntervalMs === 0) return 0;
    const opensAtMs = Math.max(this.#closesAtMs, this.#writtenAtMs + syncIntervalMs);
    return Math.max(0, opensAtMs - this.#monotonicMs());
  }

  /** ms until the later half of the wait; `undefined`: it has begun, or there is no wait. */
  get laterHalfMs(): number | undefined {
    if (!this.#isGathering) return undefined;
    const inMs = this.#closesAtMs - this.#bounds.gatherMs / 2 - this.#monotonicMs();
    return inMs > 0 ? inMs : undefined;
  }
}
