import type { Clock, Random } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Log } from "../log.ts";
import { Accounts } from "./accounts.ts";
import { ActionRequests } from "./action-requests.ts";
import { ChangeLog, readMark } from "./changes.ts";
import { Commit } from "./commit.ts";
import { Credentials } from "./credentials.ts";
import { markAsMade, openDatabase, type Database } from "./database.ts";
import { Deletions } from "./deletions.ts";
import { History } from "./history.ts";
import { makeIds, newSalt, type Ids } from "./ids.ts";
import { metaKey } from "./keys.ts";
import { PropertyStates } from "./properties.ts";
import { makeMend } from "./recovery.ts";
import { Retention, type HistoryBounds } from "./retention.ts";
import { Space } from "./space.ts";
import { Things } from "./things.ts";
import { Clients, Tokens } from "./tokens.ts";
import { Writability } from "./writability.ts";

/**
 * Everything the gateway keeps. What is held in memory is what it will be once all that was put is
 * on disk: whoever shows it to somebody waits for `commit.flushed()` first.
 */
export type Store = {
  readonly database: Database;
  readonly commit: Commit;
  readonly changes: ChangeLog;
  readonly ids: Ids;
  readonly accounts: Accounts;
  readonly things: Things;
  readonly properties: PropertyStates;
  readonly requests: ActionRequests;
  readonly deletions: Deletions;
  readonly history: History;
  readonly credentials: Credentials;
  readonly tokens: Tokens;
  readonly clients: Clients;
  readonly retention: Retention;
  /** Whether new changes are taken. */
  readonly writability: Writability;
  readonly space: Space;
  /** Counts the starts of this store, from 1. */
  readonly boot: number;
  /** ULID of this gateway, made with its store. */
  readonly gatewayId: string;
  /** Writes what is open, then closes. Idempotent. */
  readonly close: () => Promise<void>;
};

export type StoreOptions = {
  readonly path: string;
  readonly gatherMs: number;
  /** Bytes the store may use; 0: what the disk has, but for a reserve. */
  readonly quotaBytes: number;
  readonly history: HistoryBounds;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly onFailure: (failure: GatewayError) => void;
};

/** Version of the layout on disk: one upgrade step for each number between. */
const FORMAT = 1;

/**
 * Opens the store under `path`, making it at the first start.
 * @throws GatewayError `storage-failed`: it is locked, damaged, or of a newer version.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const store = await openStoreOn(await openDatabase(options.path), options);
  markAsMade(options.path);
  return store;
}

/** As `openStore`, on a database that is open: the simulation has its own. */
export async function openStoreOn(database: Database, options: StoreOptions): Promise<Store> {
  const { clock, random } = options;
  const before: { write: () => number } = { write: () => 0 };
  const { commit, writability, space } = makeCommit(options, database, () => before.write());
  try {
    checkFormat(commit);
    const boot = Number(remembered(commit, "boot", () => "0")) + 1;
    commit.put(metaKey("boot"), String(boot));
    const changes = new ChangeLog(
      commit,
      { boot, isSynced: clock.isSynced },
      readMark((key) => commit.read(key)),
    );
    const salt = Number(remembered(commit, "salt", () => String(newSalt(random))));
    const ids = makeIds(clock, random, salt);
    const deletions = new Deletions(commit);
    const requests = new ActionRequests(commit, database, deletions);
    const retention = new Retention(
      { database, commit, changes, requests, deletions, clock },
      options.history,
    );
    before.write = () => {
      retention.writeAge();
      changes.writeMark();
      return changes.sequence;
    };
    const tables = {
      accounts: new Accounts(commit),
      things: new Things(commit),
      properties: new PropertyStates(commit),
      credentials: new Credentials(commit),
      tokens: new Tokens(commit),
      clients: new Clients(commit),
    };
    for (const table of [...Object.values(tables), deletions]) await table.load(database);
    await requests.load();
    const gatewayId = remembered(commit, "gateway", () => ids.next());
    await commit.flushed();
    return {
      ...tables,
      database,
      commit,
      changes,
      ids,
      requests,
      deletions,
      retention,
      writability,
      space,
      history: new History(database, deletions),
      boot,
      gatewayId,
      close: async () => {
        space.stop();
        await closeStore(database, commit, retention);
      },
    };
  } catch (cause) {
    await commit.flushed().catch(() => undefined); // The first fault is the one to tell.
    await database.close();
    if (cause instanceof GatewayError) throw cause;
    const detail = `could not read the store in ${options.path}`;
    throw new GatewayError("storage-failed", detail, { cause });
  }
}

/** The writer, and what watches over the disk. `beforeWrite` returns the newest sequence it closes. */
function makeCommit(options: StoreOptions, database: Database, beforeWrite: () => number) {
  const { clock, log } = options;
  const writability = new Writability();
  const space = new Space({ clock, log, writability }, options);
  const sequence = { acknowledged: 0, closing: 0 };
  const acknowledgedSequence = (): number => sequence.acknowledged;
  const commit = new Commit(database, {
    gatherMs: options.gatherMs,
    beforeWrite: () => (sequence.closing = beforeWrite()),
    onWritten: () => (sequence.acknowledged = sequence.closing),
    writability,
    mend: makeMend({ database, space, clock, log, acknowledgedSequence }),
    onFailure: options.onFailure,
  });
  return { commit, writability, space };
}

async function closeStore(database: Database, commit: Commit, retention: Retention): Promise<void> {
  await retention.stop();
  if (database.status !== "open") return;
  try {
    await commit.close();
  } finally {
    await database.close();
  }
}

function checkFormat(commit: Commit): void {
  const format = Number(remembered(commit, "format", () => String(FORMAT)));
  if (format === FORMAT) return;
  throw new GatewayError(
    "storage-failed",
    `the store has format ${format} and this version of sluice reads format ${FORMAT}`,
  );
}

/** A row of the store about itself, made when it is missing. */
function remembered(commit: Commit, name: string, make: () => string): string {
  const stored = commit.read(metaKey(name));
  if (stored !== undefined) return stored;
  const made = make();
  commit.put(metaKey(name), made);
  return made;
}
