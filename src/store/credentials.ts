import { z } from "zod";
import type { BootMoment } from "../clock.ts";
import type { SecretHash } from "../secrets.ts";
import type { Grant } from "../thing/access.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { credentialKey, everyRow } from "./keys.ts";

/** An MQTT credential: one user and password, and what it may do. Times are ms since the epoch. */
export type Credential = {
  readonly ulid: string;
  readonly account: string;
  /** Unique on the box. */
  readonly username: string;
  readonly secret: SecretHash;
  /** The password before this one, while both work. */
  readonly previous?: {
    readonly secret: SecretHash;
    readonly until: number;
    /** The same end in the boot in which it was set. */
    readonly moment?: BootMoment;
  };
  readonly grants: readonly Grant[];
  readonly enabled: boolean;
  readonly description?: string;
  readonly expiresAt?: number;
  /** The only client id it may connect with. */
  readonly clientId?: string;
  /** The device's own key, by which it gets a new password: as `readPublicKey` has it. Unique on the box. */
  readonly publicKey?: string;
  readonly created: number;
  /** Counts up with each change: the ETag. */
  readonly revision: number;
};

const secret = z.object({ kind: z.enum(["sha256", "scrypt"]), salt: z.string(), hash: z.string() });
const things = z.union([
  z.object({ all: z.literal(true) }),
  z.object({ all: z.literal(false), uids: z.array(z.string()).transform((uids) => new Set(uids)) }),
]);
const grant = z.discriminatedUnion("entity", [
  z.object({
    entity: z.literal("things"),
    things,
    role: z.enum(["device", "consumer"]),
    definition: z.boolean(),
  }),
  z.object({ entity: z.literal("data"), things }),
  z.object({
    entity: z.literal("topics"),
    patterns: z.array(z.object({ pub: z.string(), sub: z.string() })),
  }),
]);
const rowSchema = z.object({
  ulid: z.string(),
  account: z.string(),
  username: z.string(),
  secret,
  previous: z
    .object({
      secret,
      until: z.number(),
      moment: z.object({ bootId: z.string(), monotonicMs: z.number() }).exactOptional(),
    })
    .exactOptional(),
  grants: z.array(grant),
  enabled: z.boolean(),
  description: z.string().exactOptional(),
  expiresAt: z.number().exactOptional(),
  clientId: z.string().exactOptional(),
  publicKey: z.string().exactOptional(),
  created: z.number(),
  revision: z.number(),
});

/** All MQTT credentials, in memory and on disk. */
export class Credentials {
  readonly #commit: Commit;
  readonly #byUlid = new Map<string, Credential>();
  readonly #byUsername = new Map<string, Credential>();
  readonly #byPublicKey = new Map<string, Credential>();
  readonly #withDeadline = new Map<string, Credential>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const credentials = await readRows(database, everyRow.credential, (_, row) =>
      rowSchema.parse(JSON.parse(row)),
    );
    for (const credential of credentials) this.#remember(credential);
  }

  get count(): number {
    return this.#byUlid.size;
  }

  get(ulid: string): Credential | undefined {
    return this.#byUlid.get(ulid);
  }

  byUsername(username: string): Credential | undefined {
    return this.#byUsername.get(username);
  }

  byPublicKey(publicKey: string): Credential | undefined {
    return this.#byPublicKey.get(publicKey);
  }

  /** By ULID, and so by the time they were made. */
  all(): readonly Credential[] {
    return [...this.#byUlid.values()].sort(byUlid);
  }

  /** By ULID. */
  ofAccount(account: string): readonly Credential[] {
    const found = [...this.#byUlid.values()].filter((credential) => credential.account === account);
    return found.sort(byUlid);
  }

  /** Those that expire, or whose old password still works for a time. */
  withDeadline(): readonly Credential[] {
    return [...this.#withDeadline.values()];
  }

  put(credential: Credential): void {
    const before = this.#byUlid.get(credential.ulid);
    if (before !== undefined) this.#byUsername.delete(before.username);
    this.#commit.put(credentialKey(credential.ulid), JSON.stringify(credential, setsAsArrays));
    this.#remember(credential);
  }

  delete(credential: Credential): void {
    this.#commit.delete(credentialKey(credential.ulid));
    this.#byUlid.delete(credential.ulid);
    this.#withDeadline.delete(credential.ulid);
    this.#byUsername.delete(credential.username);
    if (credential.publicKey !== undefined) this.#byPublicKey.delete(credential.publicKey);
  }

  #remember(credential: Credential): void {
    this.#byUlid.set(credential.ulid, credential);
    this.#byUsername.set(credential.username, credential);
    if (credential.publicKey !== undefined) this.#byPublicKey.set(credential.publicKey, credential);
    const hasDeadline = credential.expiresAt !== undefined || credential.previous !== undefined;
    if (hasDeadline) this.#withDeadline.set(credential.ulid, credential);
    else this.#withDeadline.delete(credential.ulid);
  }
}

function byUlid(a: Credential, b: Credential): number {
  return a.ulid < b.ulid ? -1 : 1;
}

function setsAsArrays(_member: string, value: unknown): unknown {
  return value instanceof Set ? [...value] : value;
}
