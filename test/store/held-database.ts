import type { Database } from "../../src/store/database.ts";

export type Rows = ReadonlyMap<string, string | undefined>;

/** A database whose writes end when and how the test says; it holds what was written. */
export class HeldDatabase {
  readonly stored = new Map<string, string>();
  readonly batches: Rows[] = [];
  readonly #held: (readonly [end: () => void, fail: (cause: Error) => void])[] = [];

  get inFlight(): number {
    return this.#held.length;
  }

  /** The part of LevelDB that the writer uses. */
  asDatabase(): Database {
    const database = {
      getSync: (key: string) => this.stored.get(key),
      batch: () => {
        const rows = new Map<string, string | undefined>();
        return {
          put: (key: string, value: string) => rows.set(key, value),
          del: (key: string) => rows.set(key, undefined),
          write: async (options: { readonly sync: boolean }) => this.#write(rows, options.sync),
        };
      },
    };
    return database as unknown as Database;
  }

  /** The oldest write in flight ends. */
  end(): void {
    const [end] = this.#held.shift()!;
    end();
  }

  fail(cause: Error): void {
    const [, fail] = this.#held.shift()!;
    fail(cause);
  }

  async #write(rows: Rows, sync: boolean): Promise<void> {
    if (!sync) throw new Error("a write that is not synced");
    this.batches.push(rows);
    await new Promise<void>((resolve, reject) => this.#held.push([resolve, reject]));
    for (const [key, value] of rows) {
      if (value === undefined) this.stored.delete(key);
      else this.stored.set(key, value);
    }
  }
}
