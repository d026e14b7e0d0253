import { z } from "zod";
import { ROLE_NAMES, type Role } from "../thing/access.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { everyRow, nameOfUserKey, userKey } from "./keys.ts";

/** A person who may log in. */
export type User = {
  readonly name: string;
  readonly role: Role;
  /** `hashPassword` of the password. */
  readonly phc: string;
  /** ms since the epoch. */
  readonly created: number;
  /** Counts up with each change: the ETag. */
  readonly revision: number;
};

const rowSchema = z.object({
  role: z.enum(ROLE_NAMES),
  phc: z.string(),
  created: z.number(),
  revision: z.number(),
});

/** All people, in memory and on disk. */
export class Users {
  readonly #commit: Commit;
  readonly #byName = new Map<string, User>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const users = await readRows(database, everyRow.user, (key, row) => {
      return { ...rowSchema.parse(JSON.parse(row)), name: nameOfUserKey(key) };
    });
    for (const user of users) this.#byName.set(user.name, user);
  }

  get count(): number {
    return this.#byName.size;
  }

  get(name: string): User | undefined {
    return this.#byName.get(name);
  }

  /** By name. */
  all(): readonly User[] {
    return [...this.#byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  put(user: User): void {
    const { name, ...row } = user;
    this.#commit.put(userKey(name), JSON.stringify(row));
    this.#byName.set(name, user);
  }

  delete(name: string): void {
    this.#commit.delete(userKey(name));
    this.#byName.delete(name);
  }
}
