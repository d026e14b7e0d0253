import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { isFinal, type ActionRequests } from "./action-requests.ts";
import { openChange, type ChangeLog, type RecordedChange } from "./changes.ts";
import type { Commit } from "./commit.ts";
import type { Database } from "./database.ts";
import type { Deletions } from "./deletions.ts";
import type { HistoryIndex } from "./history-index.ts";
import { keysOfRow } from "./history-runs.ts";
import type { Outboxes } from "./outboxes.ts";
import {
  ageMarkKey,
  CHANGE_CLASSES,
  changesOfClass,
  everyRow,
  HISTORY_CLASSES,
  historyKey,
  historyRange,
  isIndexKey,
  metaKey,
  momentOfKey,
  rowsOfDeletedThing,
  sequenceOfChangeKey,
  sourceOfHistoryKey,
  type ChangeClass,
  type HistoryClass,
  type HistorySource,
  type KeyRange,
} from "./keys.ts";

/** At most `rows`, and for `days` of running time (0: no bound by age). */
type Bounds = { readonly rows: number; readonly days: number };

/** What is kept of each class. */
export type HistoryBounds = Readonly<Record<HistoryClass, Bounds>>;

const THING_BOUNDS: Bounds = { rows: FIXED_LIMITS.thingRevisionsMax, days: 0 };

type RetentionDeps = {
  readonly database: Database;
  readonly commit: Commit;
  readonly changes: ChangeLog;
  readonly requests: ActionRequests;
  readonly deletions: Deletions;
  readonly historyIndex: Pick<HistoryIndex, "endRuns">;
  /** What uplinks owe of the log stays in it, and they hear of what a deletion takes all the same. */
  readonly outboxes: Pick<Outboxes, "neededFrom" | "rowGoes">;
  readonly clock: Clock;
};

const SWEEP_EVERY_MS = 10_000;
const AGE_WRITE_EVERY_MS = 60_000;
/** Where nothing else is written: the most that a start forgets of the age. */
const IDLE_AGE_WRITE_EVERY_MS = 600_000;
/** Bounds are in days: a mark an hour is exact enough, and a year of them is small. */
const AGE_MARK_EVERY_MS = 3_600_000;
const DAY_MS = 86_400_000;
const CHUNK_ROWS = FIXED_LIMITS.sweptRowsMax;

const AGE = metaKey("age");

/**
 * Keeps history within its bounds, oldest first, and sweeps what deletions left.
 *
 * Ages are of the store's running time, added up over restarts: a step of the wall clock expires
 * nothing, and time powered off does not count.
 */
export class Retention {
  readonly #deps: RetentionDeps;
  readonly #bounds: Readonly<Record<ChangeClass, Bounds>>;
  readonly #ageAtStartMs: number;
  readonly #startedMs: number;
  /** The first sequence of each class that may still be there: what is before are tombstones. */
  readonly #heads: Record<ChangeClass, number> = {
    property: 1,
    action: 1,
    event: 1,
    data: 1,
    thing: 1,
  };
  #writtenAgeMs: number;
  #cancelTimer: CancelTimer | undefined;
  #sweeping: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: RetentionDeps, bounds: HistoryBounds) {
    this.#deps = deps;
    this.#bounds = { ...bounds, thing: THING_BOUNDS };
    this.#ageAtStartMs = Number(deps.commit.read(AGE) ?? "0");
    this.#writtenAgeMs = this.#ageAtStartMs;
    this.#startedMs = deps.clock.monotonicMs();
    for (const of of CHANGE_CLASSES) {
      this.#heads[of] = Number(deps.commit.read(headKey(of)) ?? "1");
    }
  }

  /** ms this store has been open in its life. */
  get ageMs(): number {
    return this.#ageAtStartMs + this.#deps.clock.monotonicMs() - this.#startedMs;
  }

  /** The first sequence of a class that may still be there. */
  headOf(of: ChangeClass): number {
    return this.#heads[of];
  }

  /** Sweeps now and then. A sweep that fails is told, and the next one tries again. */
  start(onFailure: (error: unknown) => void): void {
    const next = (): void => {
      if (this.#stopped) return;
      this.#cancelTimer = this.#deps.clock.after(SWEEP_EVERY_MS, () => {
        const failed = (error: unknown): void => {
          // While nothing can be written nothing is swept, either.
          if (this.#deps.commit.stall === undefined) onFailure(error);
        };
        void this.sweep().catch(failed).then(next);
      });
    };
    next();
  }

  /** Resolves when no sweep reads or writes any more. Idempotent. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer?.();
    await this.#sweeping?.catch(() => undefined); // Whoever called `sweep` is told.
  }

  /** Marks what is now there of a Thing, or of one of its affordances, to be swept. */
  forget(thing: number, source?: HistorySource): void {
    const through = this.#deps.changes.sequence;
    this.#deps.historyIndex.endRuns(thing);
    this.#deps.deletions.add({ thing, ...(source === undefined ? {} : { source }), through });
  }

  /** Adds the age to the open batch if the last one written is old, and an age mark every hour. */
  writeAge(everyMs: number = AGE_WRITE_EVERY_MS): void {
    const ageMs = Math.round(this.ageMs);
    if (ageMs - this.#writtenAgeMs < everyMs) return;
    const hour = (age: number): number => Math.floor(age / AGE_MARK_EVERY_MS);
    if (hour(ageMs) !== hour(this.#writtenAgeMs)) {
      this.#deps.commit.put(ageMarkKey(ageMs), String(this.#deps.changes.sequence));
    }
    this.#writtenAgeMs = ageMs;
    this.#deps.commit.put(AGE, String(ageMs));
  }

  /** One pass over everything that is past its bounds. Local traffic goes on meanwhile. */
  async sweep(): Promise<void> {
    this.#sweeping ??= this.#sweepAll().finally(() => {
      this.#sweeping = undefined;
    });
    await this.#sweeping;
  }

  async #sweepAll(): Promise<void> {
    this.writeAge(IDLE_AGE_WRITE_EVERY_MS);
    await this.#sweepDeleted();
    for (const of of CHANGE_CLASSES) await this.#sweepClass(of);
  }

  async #sweepClass(of: ChangeClass): Promise<void> {
    const { rows: rowsMax, days } = this.#bounds[of];
    const throughByAge = days === 0 ? 0 : await this.#sequenceAtAge(this.ageMs - days * DAY_MS);
    const { database, changes, commit, outboxes } = this.#deps;
    while (!this.#stopped) {
      await commit.flushed();
      const excess = Math.max(0, changes.rowsOf(of) - rowsMax);
      if (excess === 0 && throughByAge < this.#heads[of]) return;
      const last = Math.min(changes.sequence, outboxes.neededFrom(of) - 1);
      if (last < this.#heads[of]) return;
      const range = changesOfClass(of, this.#heads[of], last);
      const rows = await database.iterator({ ...range, limit: CHUNK_ROWS }).all();
      let dropped = 0;
      for (const [key, row] of rows) {
        const sequence = sequenceOfChangeKey(key);
        if (dropped >= excess && sequence > throughByAge) break;
        this.#drop(of, sequence, row);
        this.#heads[of] = sequence + 1;
        dropped += 1;
      }
      if (dropped > 0) commit.put(headKey(of), String(this.#heads[of]));
      if (dropped < CHUNK_ROWS) return;
    }
  }

  /** The newest sequence that was on disk at an age of the store; 0 if none is known. */
  async #sequenceAtAge(ageMs: number): Promise<number> {
    if (ageMs <= 0) return 0;
    const range = { gt: everyRow.ageMark.gt, lt: ageMarkKey(Math.floor(ageMs) + 1) };
    const rows = await this.#deps.database.iterator({ ...range, reverse: true, limit: 2 }).all();
    const [mark, older] = rows;
    // Only the class with the most days needs a mark this old, and only the newest of them.
    if (older !== undefined && ageMs <= this.ageMs - this.#daysMax() * DAY_MS) {
      await this.#deleteAgeMarks({ gt: everyRow.ageMark.gt, lte: older[0] });
    }
    return mark === undefined ? 0 : Number(mark[1]);
  }

  async #deleteAgeMarks(range: { readonly gt: string; readonly lte: string }): Promise<void> {
    const marks = await this.#deps.database.keys({ ...range, limit: CHUNK_ROWS }).all();
    for (const key of marks) this.#deps.commit.delete(key);
  }

  #daysMax(): number {
    return Math.max(...HISTORY_CLASSES.map((of) => this.#bounds[of].days));
  }

  /** Takes a change out of the log, and what points at it. A damaged row goes alone. */
  #drop(of: ChangeClass, sequence: number, row: string): void {
    const change = readableChange(of, sequence, row);
    if (change !== undefined) this.#dropPointers(change);
    this.#deps.changes.drop(of, sequence);
  }

  #dropPointers(change: RecordedChange): void {
    const { commit, requests } = this.#deps;
    const { thing, at, sequence } = change;
    const moment = { at, sequence };
    switch (change.class) {
      case "property":
        for (const name of Object.keys(change.values)) {
          const key = historyKey({ thing, of: "property", name }, moment);
          // Of a run only the last moment has a row, and the row goes with it.
          if (commit.read(key) !== undefined) commit.delete(key);
        }
        return;
      case "action": {
        const requested = { at: change.requestedAt, sequence: change.request };
        const request = requests.get(thing, change.name, requested);
        if (request === undefined || !isFinal(request.status)) return;
        if (request.revision === sequence) requests.delete(request);
        return;
      }
      case "event":
      case "data": {
        const name = change.class === "event" ? change.name : "";
        commit.delete(historyKey({ thing, of: change.class, name }, moment));
        return;
      }
      case "thing":
    }
  }

  async #sweepDeleted(): Promise<void> {
    for (const deleted of this.#deps.deletions.pending()) {
      const { thing, source, through } = deleted;
      const ranges = source === undefined ? rowsOfDeletedThing(thing) : [historyRange(source)];
      // A change of several properties stays in the log for the others.
      const fromLog = source?.of !== "property";
      for (const range of ranges) await this.#sweepRange(range, through, fromLog);
      if (this.#stopped) return;
      // Its changes stay in the log: an uplink that owes some of them has to know that they are gone.
      const isOwed = !fromLog && this.#deps.outboxes.neededFrom("property") <= through;
      if (!isOwed) this.#deps.deletions.finish(deleted);
    }
  }

  async #sweepRange(range: KeyRange, through: number, fromLog: boolean): Promise<void> {
    const { database, commit } = this.#deps;
    const { lt } = range;
    let { gt } = range;
    while (!this.#stopped) {
      await commit.flushed();
      const rows = await database.iterator({ gt, lt, limit: CHUNK_ROWS }).all();
      let dropped = 0;
      for (const [key, row] of rows) {
        dropped += this.#dropRow(key, row, { through, fromLog });
        gt = key;
        if (dropped >= CHUNK_ROWS) break;
      }
      const last = rows.at(-1)?.[0];
      if (last === undefined || (last === gt && rows.length < CHUNK_ROWS)) return;
    }
  }

  /** @returns how many moments it held: a row of the index may hold several. */
  #dropRow(
    key: string,
    row: string,
    { through, fromLog }: { readonly through: number; readonly fromLog: boolean },
  ): number {
    const { commit, changes, outboxes } = this.#deps;
    let moments = 1;
    if (isIndexKey(key)) {
      const { of } = sourceOfHistoryKey(key);
      if (momentOfKey(of, key).sequence > through) return 1;
      const keys = keysOfRow(key, row);
      moments = keys.length;
      for (const each of fromLog ? keys : []) {
        const { sequence } = momentOfKey(of, each);
        outboxes.rowGoes(of, sequence);
        changes.drop(of, sequence);
      }
    } else if (key.startsWith("r:") && momentOfKey("action", key).sequence > through) {
      return 1;
    }
    commit.delete(key);
    return moments;
  }
}

const headKey = (of: ChangeClass): string => metaKey(`head-${of}`);

function readableChange(
  of: ChangeClass,
  sequence: number,
  row: string,
): RecordedChange | undefined {
  try {
    return openChange(of, sequence, row);
  } catch {
    return undefined;
  }
}
