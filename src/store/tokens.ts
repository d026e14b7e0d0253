import { z } from "zod";
import type { BootMoment } from "../clock.ts";
import type { SecretHash } from "../secrets.ts";
import { SCOPES, type Scope } from "../thing/access.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { clientKey, everyRow, tokenKey } from "./keys.ts";

/** A bearer token. Its text is never stored: `digest` finds it. Times are ms since the epoch. */
export type Token = {
  readonly ulid: string;
  /** `lookupDigest` of the token. */
  readonly digest: string;
  /** Absent: the box. */
  readonly account?: string;
  readonly scopes: readonly Scope[];
  readonly description?: string;
  readonly created: number;
  readonly expiresAt?: number;
  /** Where it was given a life and not an end: the end of that in the boot it was issued in. */
  readonly expiresIn?: BootMoment;
  /** ULID of the client it was issued to by /oauth2/token. */
  readonly client?: string;
  /** The person who made it, or made the token it was made with: it ends with him. */
  readonly owner?: string;
  /** The first characters of its text, by which a person who has it recognises it. */
  readonly prefix?: string;
  readonly lastUsed?: TokenUse;
};

/** When a token was last used, ms since the epoch, and the IP address it came from. */
export type TokenUse = { readonly at: number; readonly address: string };

/** An OAuth 2 client (RFC 6749 §2): it exchanges its secret for tokens of its scopes. */
export type Client = {
  readonly ulid: string;
  readonly account: string;
  readonly secret: SecretHash;
  readonly scopes: readonly Scope[];
  readonly description?: string;
  readonly created: number;
};

const scopes = z.array(z.enum(SCOPES));
const tokenSchema = z.object({
  ulid: z.string(),
  digest: z.string(),
  account: z.string().exactOptional(),
  scopes,
  description: z.string().exactOptional(),
  created: z.number(),
  expiresAt: z.number().exactOptional(),
  expiresIn: z.object({ bootId: z.string(), monotonicMs: z.number() }).exactOptional(),
  client: z.string().exactOptional(),
  owner: z.string().exactOptional(),
  prefix: z.string().exactOptional(),
  lastUsed: z.object({ at: z.number(), address: z.string() }).exactOptional(),
});
const clientSchema = z.object({
  ulid: z.string(),
  account: z.string(),
  secret: z.object({ kind: z.enum(["sha256", "scrypt"]), salt: z.string(), hash: z.string() }),
  scopes,
  description: z.string().exactOptional(),
  created: z.number(),
});

/** All bearer tokens, in memory and on disk. */
export class Tokens {
  readonly #commit: Commit;
  readonly #byUlid = new Map<string, Token>();
  readonly #byDigest = new Map<string, Token>();
  readonly #withDeadline = new Map<string, Token>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const tokens = await readRows(database, everyRow.token, (_, row) =>
      tokenSchema.parse(JSON.parse(row)),
    );
    for (const token of tokens) this.#remember(token);
  }

  get count(): number {
    return this.#byUlid.size;
  }

  get(ulid: string): Token | undefined {
    return this.#byUlid.get(ulid);
  }

  byDigest(digest: string): Token | undefined {
    return this.#byDigest.get(digest);
  }

  /** By ULID, and so by the time they were made. */
  all(): readonly Token[] {
    return [...this.#byUlid.values()].sort((a, b) => (a.ulid < b.ulid ? -1 : 1));
  }

  /** Those that expire. */
  withDeadline(): readonly Token[] {
    return [...this.#withDeadline.values()];
  }

  put(token: Token): void {
    this.#commit.put(tokenKey(token.ulid), JSON.stringify(token));
    this.#remember(token);
  }

  delete(token: Token): void {
    this.#commit.delete(tokenKey(token.ulid));
    this.#byUlid.delete(token.ulid);
    this.#byDigest.delete(token.digest);
    this.#withDeadline.delete(token.ulid);
  }

  #remember(token: Token): void {
    this.#byUlid.set(token.ulid, token);
    this.#byDigest.set(token.digest, token);
    if (token.expiresAt !== undefined) this.#withDeadline.set(token.ulid, token);
  }
}

/** All OAuth 2 clients, in memory and on disk. */
export class Clients {
  readonly #commit: Commit;
  readonly #byUlid = new Map<string, Client>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const clients = await readRows(database, everyRow.client, (_, row) =>
      clientSchema.parse(JSON.parse(row)),
    );
    for (const client of clients) this.#byUlid.set(client.ulid, client);
  }

  get count(): number {
    return this.#byUlid.size;
  }

  get(ulid: string): Client | undefined {
    return this.#byUlid.get(ulid);
  }

  /** By ULID, and so by the time they were made. */
  ofAccount(account: string): readonly Client[] {
    const clients = [...this.#byUlid.values()].filter((client) => client.account === account);
    return clients.sort((a, b) => (a.ulid < b.ulid ? -1 : 1));
  }

  put(client: Client): void {
    this.#commit.put(clientKey(client.ulid), JSON.stringify(client));
    this.#byUlid.set(client.ulid, client);
  }

  delete(client: Client): void {
    this.#commit.delete(clientKey(client.ulid));
    this.#byUlid.delete(client.ulid);
  }
}
