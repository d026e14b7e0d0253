import type { Commit } from "./commit.ts";

/** Tells whoever had less than was asked for that there may be more: once, until that is so again. */
export class OutboxBell {
  readonly #commit: Commit;
  readonly #listeners = new Set<() => void>();
  #isAwaited = true;
  #isRingDue = false;
  #hasTaker = false;

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  /** @returns what ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Somebody had less than was asked for. */
  await(): void {
    this.#isAwaited = true;
    this.#hasTaker = true;
  }

  /** Nobody has asked yet, and whoever will wants to know. */
  reset(): void {
    this.#isAwaited = true;
    this.#hasTaker = false;
  }

  /** Somebody had less than was asked for, and has not been told that there may be more. */
  get isHeard(): boolean {
    return this.#hasTaker && (this.#isAwaited || this.#isRingDue);
  }

  /** There may be more now; told behind the present turn. */
  ring(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    queueMicrotask(() => this.#tell());
  }

  /** There may be more when what was put is on disk. */
  ringWhenWritten(): void {
    if (!this.#isAwaited) return;
    this.#isAwaited = false;
    this.#isRingDue = true;
    this.#commit.settled(() => {
      this.#isRingDue = false;
      // Behind whatever else comes of the batch.
      queueMicrotask(() => this.#tell());
    });
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
