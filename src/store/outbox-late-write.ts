import type { CancelTimer, Clock } from "../clock.ts";

/**
 * What is not worth a batch of its own is written with the next one, or this much later: after a crash
 * what was acknowledged in that time is sent again.
 */
const WITHIN_MS = 5_000;

/** Knows whether something waits to be written, and has it written in time. */
export class LateWrite {
  readonly #clock: Clock;
  readonly #write: () => void;
  #isDue = true;
  #isClosed = false;
  #cancel: CancelTimer | undefined;

  constructor(clock: Clock, write: () => void) {
    this.#clock = clock;
    this.#write = write;
  }

  /** Something has changed, and a batch is open. */
  mark(): void {
    this.#isDue = true;
  }

  /** Something has changed. */
  request(): void {
    this.#isDue = true;
    if (this.#cancel !== undefined || this.#isClosed) return;
    this.#cancel = this.#clock.after(WITHIN_MS, () => {
      this.#cancel = undefined;
      this.#write();
    });
  }

  /** Whether something has changed since this was asked; never once it is closed. */
  take(): boolean {
    const isDue = this.#isDue && !this.#isClosed;
    this.#isDue = false;
    return isDue;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Nothing is written any more. Idempotent. */
  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }
}
