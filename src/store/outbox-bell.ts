import type { Commit } from "./commit.ts";

/** Tells whoever had less than was asked for that there may be more: once, until that is so again. */
export class OutboxBell {
  readonly #commit: Commit;
  readonly #listeners = new Set<() => void>();
  #isAwaited = true;

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
    this.#commit.settled(() => this.#tell());
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
