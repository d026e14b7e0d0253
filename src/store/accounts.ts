import { z } from "zod";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { accountKey, accountOfKey, everyRow } from "./keys.ts";

/** The owner of Things. */
export type Account = {
  readonly name: string;
  readonly description?: string;
  /** ms since the epoch. */
  readonly created: number;
  /** Counts up with each change: the ETag. */
  readonly revision: number;
};

const rowSchema = z.object({
  description: z.string().exactOptional(),
  created: z.number(),
  revision: z.number(),
});

/** All accounts, in memory and on disk. */
export class Accounts {
  readonly #commit: Commit;
  readonly #byName = new Map<string, Account>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const accounts = await readRows(database, everyRow.account, (key, row) => {
      return { ...rowSchema.parse(JSON.parse(row)), name: accountOfKey(key) };
    });
    for (const account of accounts) this.#byName.set(account.name, account);
  }

  get count(): number {
    return this.#byName.size;
  }

  get(name: string): Account | undefined {
    return this.#byName.get(name);
  }

  has(name: string): boolean {
    return this.#byName.has(name);
  }

  /** By name. */
  all(): readonly Account[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  put(account: Account): void {
    const { name, ...row } = account;
    this.#commit.put(accountKey(name), JSON.stringify(row));
    this.#byName.set(name, account);
  }

  delete(name: string): void {
    this.#commit.delete(accountKey(name));
    this.#byName.delete(name);
  }
}
