import { z } from "zod";
import type { BootMoment } from "../clock.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { browserSessionKey, everyRow } from "./keys.ts";
import type { TokenUse } from "./tokens.ts";

/** An end that no step of the wall clock moves within a boot: see `isOver`. */
export type SetEnd = { readonly at: number; readonly moment: BootMoment };

/** A person logged in from a browser. The text of its cookie is never stored: `digest` finds it. */
export type BrowserSession = {
  readonly ulid: string;
  /** `lookupDigest` of the cookie. */
  readonly digest: string;
  /** Name of the person. */
  readonly user: string;
  /** ms since the epoch. */
  readonly created: number;
  /** What the browser said it is. */
  readonly agent: string;
  readonly lastUsed: TokenUse;
  /** It ends then if it is not used. */
  readonly idle: SetEnd;
  /** It ends then. */
  readonly end: SetEnd;
};

const endSchema = z.object({
  at: z.number(),
  moment: z.object({ bootId: z.string(), monotonicMs: z.number() }),
});
const rowSchema = z.object({
  ulid: z.string(),
  digest: z.string(),
  user: z.string(),
  created: z.number(),
  agent: z.string(),
  lastUsed: z.object({ at: z.number(), address: z.string() }),
  idle: endSchema,
  end: endSchema,
});

/** All sessions of people, in memory and on disk: a restart logs nobody out. */
export class BrowserSessions {
  readonly #commit: Commit;
  readonly #byUlid = new Map<string, BrowserSession>();
  readonly #byDigest = new Map<string, BrowserSession>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const sessions = await readRows(database, everyRow.browserSession, (_, row) =>
      rowSchema.parse(JSON.parse(row)),
    );
    for (const session of sessions) this.#remember(session);
  }

  get(ulid: string): BrowserSession | undefined {
    return this.#byUlid.get(ulid);
  }

  byDigest(digest: string): BrowserSession | undefined {
    return this.#byDigest.get(digest);
  }

  /** By ULID, and so by the time they were opened. */
  all(): readonly BrowserSession[] {
    return [...this.#byUlid.values()].sort((a, b) => (a.ulid < b.ulid ? -1 : 1));
  }

  put(session: BrowserSession): void {
    this.#commit.put(browserSessionKey(session.ulid), JSON.stringify(session));
    this.#remember(session);
  }

  delete(session: BrowserSession): void {
    this.#commit.delete(browserSessionKey(session.ulid));
    this.#byUlid.delete(session.ulid);
    this.#byDigest.delete(session.digest);
  }

  #remember(session: BrowserSession): void {
    this.#byUlid.set(session.ulid, session);
    this.#byDigest.set(session.digest, session);
  }
}
