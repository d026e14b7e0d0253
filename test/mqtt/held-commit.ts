import type { SessionDeps } from "../../src/mqtt/session.ts";
import type { Settled } from "../../src/store/commit.ts";

type WriterPart = SessionDeps["commit"];

/** A writer whose rows reach the disk when the test says. */
export class HeldCommit implements WriterPart {
  readonly stored = new Map<string, string>();
  readonly #open = new Map<string, string | undefined>();
  readonly #waiting: Settled[] = [];

  put(key: string, value: string): void {
    this.#open.set(key, value);
  }

  delete(key: string): void {
    this.#open.set(key, undefined);
  }

  read(key: string): string | undefined {
    return this.#open.has(key) ? this.#open.get(key) : this.stored.get(key);
  }

  settled(callback: Settled): void {
    if (this.#open.size === 0 && this.#waiting.length === 0) callback(undefined);
    else this.#waiting.push(callback);
  }

  /** Everything put so far is on disk, and who waits for it is told; until nothing is left to do. */
  sync(): void {
    while (this.#open.size > 0 || this.#waiting.length > 0) {
      for (const [key, value] of this.#open) {
        if (value === undefined) this.stored.delete(key);
        else this.stored.set(key, value);
      }
      this.#open.clear();
      for (const callback of this.#waiting.splice(0)) callback(undefined);
    }
  }
}
