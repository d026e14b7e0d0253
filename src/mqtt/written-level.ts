import type { Commit } from "../store/commit.ts";
import type { Database } from "../store/database.ts";

type Range = { readonly gte: string; readonly lt: string };
type Operation =
  | { readonly type: "put"; readonly key: string; readonly value: Buffer }
  | { readonly type: "del"; readonly key: string };

/**
 * The part of a level database that aedes-persistence-level uses, on a sublevel of the one database:
 * it reads what is there and writes through the one writer, so that its writes are synced and in
 * order with all others. Each write resolves when it is on disk.
 */
export class WrittenLevel {
  readonly #database: Database;
  readonly #commit: Commit;
  readonly #prefix: string;

  constructor(database: Database, commit: Commit, sublevel: string) {
    this.#database = database;
    this.#commit = commit;
    this.#prefix = `!${sublevel}!`;
  }

  async get(key: string): Promise<Buffer | undefined> {
    const row = this.#commit.read(this.#prefix + key);
    return Promise.resolve(row === undefined ? undefined : decode(row));
  }

  async put(key: string, value: Buffer): Promise<void> {
    await this.#write([{ type: "put", key, value }]);
  }

  async del(key: string): Promise<void> {
    await this.#write([{ type: "del", key }]);
  }

  /** Without operations: a chained batch. */
  batch(operations: readonly Operation[]): Promise<void>;
  batch(): ChainedBatch;
  batch(operations?: readonly Operation[]): Promise<void> | ChainedBatch {
    if (operations !== undefined) return this.#write(operations);
    const chained: Operation[] = [];
    return {
      del: (key) => void chained.push({ type: "del", key }),
      write: async () => this.#write(chained),
    };
  }

  async clear({ gte, lt }: Range): Promise<void> {
    await this.#commit.caughtUp();
    const range = { gte: this.#prefix + gte, lt: this.#prefix + lt };
    const keys = await this.#database.keys(range).all();
    if (keys.length === 0) return;
    for (const key of keys) this.#commit.delete(key);
    await this.#commit.flushed();
  }

  async *values({ gte, lt }: Range): AsyncIterable<Buffer> {
    await this.#commit.caughtUp();
    const range = { gte: this.#prefix + gte, lt: this.#prefix + lt };
    for (const [, row] of await this.#database.iterator(range).all()) yield decode(row);
  }

  /** The store closes its database. */
  async close(): Promise<void> {
    await this.#commit.flushed();
  }

  async #write(operations: readonly Operation[]): Promise<void> {
    for (const operation of operations) {
      const key = this.#prefix + operation.key;
      if (operation.type === "put") this.#commit.put(key, operation.value.toString("base64"));
      else this.#commit.delete(key);
    }
    await this.#commit.flushed();
  }
}

type ChainedBatch = {
  readonly del: (key: string) => void;
  readonly write: () => Promise<void>;
};

function decode(row: string): Buffer {
  return Buffer.from(row, "base64");
}
