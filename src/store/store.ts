import type { Clock, Random } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Log } from "../log.ts";
import { BrowserSessions } from "./browser-sessions.ts";
import { Accounts } from "./accounts.ts";
import { ActionRequests } from "./action-requests.ts";
import { AuditLog, type AuditBounds } from "./audit.ts";
import { ChangeLog, type LogMark } from "./changes.ts";
import { Certificates } from "./certificates.ts";
import { Commit } from "./commit.ts";
import type { WindowBounds } from "./commit-window.ts";
import { Credentials } from "./credentials.ts";
import { openDatabase, type Database } from "./database.ts";
import { Deletions } from "./deletions.ts";
import { Gaps, type GapsDeps } from "./gaps.ts";
import { diskRoomAt, type DiskRoom } from "./disk-room.ts";
import { HistoryIndex } from "./history-index.ts";
import { History } from "./history.ts";
import { makeIds, newSalt, type Ids } from "./ids.ts";
import { hasNote, KeptTime, NO_RULES, type TimeRules } from "./kept-time.ts";
import { metaKey } from "./keys.ts";
import { newestTime, readLog } from "./log-mark.ts";
import { Outboxes } from "./outboxes.ts";
import type { OutboxTerms } from "./outbox-terms.ts";
import { LongStep } from "./long-step.ts";
import { PropertyStates } from "./properties.ts";
import { restoreFromLog, restoreIndexIn, type RestoreDeps } from "./restore.ts";
import { makeMend } from "./recovery.ts";
import { keepPrivate } from "./private-folder.ts";
import { Retention, type HistoryBounds } from "./retention.ts";
import { Space } from "./space.ts";
import { Things } from "./things.ts";
import type { Uplink } from "./uplinks.ts";
import { Clients, Tokens } from "./tokens.ts";
import { Users } from "./users.ts";
import { WitnessFile } from "./witness.ts";
import { Writability } from "./writability.ts";

/**
 * Everything the gateway keeps. What is held in memory is what it will be once all that was put is
 * on disk: whoever shows it to somebody waits for `commit.flushed()` first.
 */
export type Store = {
  /** The time of everything the store is asked to keep: never goes back. */
  readonly clock: KeptTime;
  readonly database: Database;
  readonly commit: Commit;
  readonly changes: ChangeLog;
  readonly ids: Ids;
  readonly accounts: Accounts;
  readonly things: Things;
  readonly properties: PropertyStates;
  readonly requests: ActionRequests;
  readonly deletions: Deletions;
  /** What the history is to find. */
  readonly historyIndex: HistoryIndex;
  readonly history: History;
  readonly credentials: Credentials;
  readonly certificates: Certificates;
  readonly tokens: Tokens;
  readonly clients: Clients;
  readonly users: Users;
  readonly browserSessions: BrowserSessions;
  readonly retention: Retention;
  /** What uplinks owe. */
  readonly outboxes: Outboxes;
  /** Who changed what. */
  readonly audit: AuditLog;
  /** Whether new changes are taken. */
  readonly writability: Writability;
  readonly space: Space;
  /** What is known to be lost. */
  readonly gaps: Gaps;
  /** From now on: looks through the older part of the log, and keeps the witness up to date. */
  readonly keepWatch: (onFailure: (error: unknown) => void) => void;
  /** The newest sequence that was acknowledged. */
  readonly acknowledgedSequence: () => number;
  /** Counts the starts of this store, from 1. */
  readonly boot: number;
  /** ULID of this gateway, made with its store. */
  readonly gatewayId: string;
  /** Writes what is open, then closes. Idempotent. */
  readonly close: () => Promise<void>;
};

export type StoreOptions = {
  readonly path: string;
  /** How long a commit gathers. */
  readonly window: WindowBounds;
  /** Bytes the store may use; 0: what the disk has, but for a reserve. */
  readonly quotaBytes: number;
  /** The disk under `path`, if not the real one. */
  readonly room?: DiskRoom;
  readonly history: HistoryBounds;
  /** Without: `AUDIT_DEFAULTS`. */
  readonly audit?: AuditBounds;
  /** What the settings of an uplink mean for what it owes; without: everything, in order. */
  readonly uplinkTerms?: (uplink: Uplink) => OutboxTerms;
  /** The machine's. */
  readonly clock: Clock;
  /** What to believe of it; without: a floor of 1970, and `auto`. */
  readonly time?: TimeRules;
  readonly random: Random;
  readonly log: Log;
  readonly onFailure: (failure: GatewayError) => void;
};

/** Version of the layout on disk: one upgrade step for each number between. */
const FORMAT = 3;
/** The same but for the index, where each moment had a row of its own: it is read as it is. */
const FORMAT_WITHOUT_RUNS = 2;

/**
 * Opens the store under `path`, making it at the first start.
 * @throws GatewayError `storage-failed`: it is locked, damaged, or of a newer version.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { path, clock, log } = options;
  const database = await openDatabase(path, log);
  keepPrivate(path, log);
  let store = await openStoreOn(database, options);
  if (database.damage.wish !== undefined) {
    // A place that cannot be read lets every compaction fail, and then every write: mend it now.
    await store.close();
    await database.open();
    store = await openStoreOn(database, options);
  }
  const witness = new WitnessFile(
    path,
    store.boot,
    database.opening.starts,
    store.acknowledgedSequence,
  );
  const write = async (isClean: boolean): Promise<void> =>
    witness.write(isClean).catch((error: unknown) => {
      // An older one will do; without any, the next start would not know of this one.
      if (database.opening.witness === undefined && !isClean) throw error;
      log.warn("store.witness_not_written", { error });
    });
  await write(false);
  return {
    ...store,
    keepWatch: (onFailure) => {
      store.keepWatch(onFailure);
      store.clock.start();
      witness.start(clock);
    },
    close: async () => {
      witness.stop();
      const isSound = database.status === "open" && store.commit.failure === undefined;
      await store.close();
      if (isSound) await write(true);
    },
  };
}

/** As `openStore`, on a database that is open: the simulation has its own. */
export async function openStoreOn(database: Database, options: StoreOptions): Promise<Store> {
  const before: { write: () => number } = { write: () => 0 };
  const writer = makeCommit(options, database, () => before.write());
  const { commit } = writer;
  try {
    return await loadStore(database, options, writer, (write) => (before.write = write));
  } catch (cause) {
    await commit.flushed().catch(() => undefined); // The first fault is the one to tell.
    await database.close();
    if (cause instanceof GatewayError) throw cause;
    const detail = `could not read the store in ${options.path}`;
    throw new GatewayError("storage-failed", detail, { cause });
  }
}

/** `beforeWrite` takes what puts last rows into a batch. */
async function loadStore(
  database: Database,
  options: StoreOptions,
  writer: ReturnType<typeof makeCommit>,
  beforeWrite: (write: () => number) => void,
): Promise<Store> {
  const { log } = options;
  const { commit, writability, space } = writer;
  const { clock, mark, heldBoot, boot, changes, ids } = await openLog(database, options, commit);
  const deletions = new Deletions(commit);
  const requests = new ActionRequests(commit, database, deletions);
  const historyIndex = new HistoryIndex(commit);
  const tables = makeTables(commit);
  const ageMs = (): number => retention.ageMs;
  const outboxes: Outboxes = new Outboxes({
    ...{ ...tables, database, commit, changes, ids, deletions, clock, log },
    ageMs,
    acknowledgedSequence: writer.acknowledgedSequence,
    roomBytes: () => roomForUplinks(space, options.quotaBytes),
    termsOf: options.uplinkTerms,
  });
  const retention = new Retention(
    { database, commit, changes, requests, deletions, historyIndex, outboxes, clock },
    options.history,
  );
  const audit = new AuditLog({ database, commit, clock, writability, ageMs }, options.audit);
  beforeWrite(lastRowsOf({ retention, clock, outboxes, historyIndex, changes }));
  for (const table of [...Object.values(tables), deletions]) await table.load(database);
  for (const each of [requests, outboxes, audit]) await each.load();
  const gaps = await openGaps(
    { database, commit, changes, retention, outboxes, clock, log, boot },
    { ...tables, database, commit, deletions, clock },
    { mark, boot: heldBoot },
  );
  const gatewayId = remembered(commit, "gateway", () => ids.next());
  await commit.flushed();
  return {
    ...tables,
    clock,
    database,
    commit,
    changes,
    ids,
    requests,
    deletions,
    retention,
    outboxes,
    audit,
    writability,
    space,
    gaps,
    keepWatch: (onFailure) => [gaps, outboxes, audit].forEach((each) => each.start(onFailure)),
    acknowledgedSequence: writer.acknowledgedSequence,
    historyIndex,
    history: new History(database, deletions, () => retention.headOf("property")),
    boot,
    gatewayId,
    close: async () => {
      space.stop();
      clock.stop();
      await gaps.stop();
      for (const each of [outboxes, audit]) each.stop();
      await closeStore(database, commit, retention);
    },
  };
}

/** Puts what belongs at the end of a batch, and says which change is its newest. */
function lastRowsOf(
  of: Pick<Store, "retention" | "clock" | "outboxes" | "historyIndex" | "changes">,
): () => number {
  return () => {
    of.retention.writeAge();
    of.clock.writeNote();
    of.outboxes.write();
    of.historyIndex.writeRuns();
    of.changes.writeMark();
    return of.changes.sequence;
  };
}

/** The log of changes, and what names and dates them. This start is counted. */
async function openLog(database: Database, options: StoreOptions, commit: Commit) {
  checkFormat(commit, database);
  const { random, log } = options;
  const rules = await timeRules(options, commit, database);
  const clock = new KeptTime(options.clock, commit, log, rules);
  const mark = await readLog(database);
  const heldBoot = readBoot(commit, database);
  const boot = Math.max(heldBoot, database.opening.witness?.boot ?? 0) + 1;
  commit.put(metaKey("boot"), String(boot));
  const changes = new ChangeLog(commit, { boot, isSynced: clock.isSynced }, mark);
  const salt = Number(remembered(commit, "salt", () => String(newSalt(random))));
  const ids = makeIds(clock, random, salt);
  return { clock, mark, heldBoot, boot, changes, ids };
}

/** Half of what the store may use, or of what the disk has: `Infinity` before the first look at it. */
function roomForUplinks(space: Space, quotaBytes: number): number {
  const { free, used } = space.seen;
  if (quotaBytes > 0) return quotaBytes / 2;
  return free + used === 0 ? Infinity : (free + used) / 2;
}

/** A store that has lost its note of the time knows it from its newest changes. */
async function timeRules(
  { time = NO_RULES }: StoreOptions,
  commit: Commit,
  database: Database,
): Promise<TimeRules> {
  if (hasNote(commit) || time.trust === "reset") return time;
  return { ...time, floorMs: Math.max(time.floorMs, await newestTime(database)) };
}

function makeTables(commit: Commit) {
  return {
    accounts: new Accounts(commit),
    things: new Things(commit),
    properties: new PropertyStates(commit),
    credentials: new Credentials(commit),
    certificates: new Certificates(commit),
    tokens: new Tokens(commit),
    clients: new Clients(commit),
    users: new Users(commit),
    browserSessions: new BrowserSessions(commit),
  };
}

/** Looks at what there is, tells what is not, and makes again what can be. */
async function openGaps(
  deps: Omit<GapsDeps, "restoreIndex">,
  restoring: RestoreDeps,
  held: { readonly mark: LogMark; readonly boot: number },
): Promise<Gaps> {
  const { database, log, clock } = deps;
  const gaps = new Gaps({
    ...deps,
    restoreIndex: async (bounds) => restoreIndexIn(restoring, bounds),
  });
  await gaps.load();
  await gaps.inspect(held.mark, held.boot);
  if (database.opening.salvaged !== undefined || database.damage.counts.rows > 0) {
    const step = new LongStep({ log, monotonicMs: () => clock.monotonicMs() }, "store.restoring");
    log.warn("store.restored", await restoreFromLog(restoring, step));
  }
  return gaps;
}

/** The writer, and what watches over the disk. `beforeWrite` returns the newest sequence it closes. */
function makeCommit(options: StoreOptions, database: Database, beforeWrite: () => number) {
  const { clock, log } = options;
  const writability = new Writability();
  const room = options.room ?? diskRoomAt(options.path);
  const space = new Space({ clock, log, writability, room, quotaBytes: options.quotaBytes });
  const sequence = { acknowledged: 0, closing: 0 };
  const acknowledgedSequence = (): number => sequence.acknowledged;
  const commit = new Commit(database, {
    window: options.window,
    clock,
    beforeWrite: () => (sequence.closing = beforeWrite()),
    onWritten: () => (sequence.acknowledged = sequence.closing),
    writability,
    mend: makeMend({ database, space, clock, log, acknowledgedSequence }),
    onFailure: options.onFailure,
  });
  return { commit, writability, space, acknowledgedSequence };
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

function checkFormat(commit: Commit, database: Database): void {
  const held = Number(remembered(commit, "format", () => String(FORMAT)));
  // Before format 2 rows had no checksum: a row without one looks damaged.
  const bare = database.damage.unheard.find(({ key }) => key === metaKey("format"))?.row;
  const format = bare !== undefined && /^\d+$/.test(bare) ? Number(bare) : held;
  if (format === FORMAT) return;
  if (format === FORMAT_WITHOUT_RUNS && bare === undefined) {
    commit.put(metaKey("format"), String(FORMAT));
    return;
  }
  throw new GatewayError(
    "storage-failed",
    `the store has format ${format} and this version of sluice reads format ${FORMAT}`,
  );
}

/** Starts before this one. The count itself lost, it must not look as if the newest rows were. */
function readBoot(commit: Commit, database: Database): number {
  const held = remembered(commit, "boot", () => {
    const { witness } = database.opening;
    return String(isDamaged(database, "boot") ? (witness?.boot ?? 0) : 0);
  });
  return Number(held);
}

/** Of the rows read so far. */
function isDamaged(database: Database, name: string): boolean {
  return database.damage.unheard.some(({ key }) => key === metaKey(name));
}

/** A row of the store about itself, made when it is missing. */
function remembered(commit: Commit, name: string, make: () => string): string {
  const stored = commit.read(metaKey(name));
  if (stored !== undefined) return stored;
  const made = make();
  commit.put(metaKey(name), made);
  return made;
}
