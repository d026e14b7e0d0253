import { z } from "zod";
import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { ChangeLog, LogMark } from "./changes.ts";
import type { Commit } from "./commit.ts";
import type { DamagedRow } from "./damage.ts";
import { readRows, type Database } from "./database.ts";
import { checkPage, type Found } from "./gap-search.ts";
import {
  asideKey,
  CHANGE_CLASSES,
  classOfChangeKey,
  everyRow,
  gapKey,
  isMetaKey,
  keyOfAside,
  numberOfGapKey,
  sequenceOfChangeKey,
} from "./keys.ts";
import { findLostTail, settleLostCounts } from "./log-mark.ts";
import type { Outboxes } from "./outboxes.ts";
import { boundsOf, pageOf } from "./page-counts.ts";
import type { Retention } from "./retention.ts";

/**
 * Changes that were accepted and are gone. `missing`: not there; `damaged`: not what was written;
 * `tail-lost`: the newest ones, how many nobody knows.
 */
export type Gap = Found & {
  /** When it was found: ms since the epoch, and in which start of the store. */
  readonly foundAt: number;
  readonly boot: number;
};

export type GapsDeps = {
  readonly database: Database;
  readonly commit: Commit;
  readonly changes: ChangeLog;
  readonly retention: Pick<Retention, "headOf">;
  /** Uplinks tell upstream of it. */
  readonly outboxes: Pick<Outboxes, "lose">;
  readonly clock: Clock;
  readonly log: Log;
  readonly boot: number;
  /** Makes again what the index lacks of a part of the log; resolves with the number of rows. */
  readonly restoreIndex: (bounds: ReturnType<typeof boundsOf>) => Promise<number>;
};

const gapSchema = z.object({
  cause: z.enum(["missing", "damaged", "tail-lost"]),
  class: z.enum(CHANGE_CLASSES).exactOptional(),
  from: z.number(),
  to: z.number(),
  count: z.number(),
  since: z.number().exactOptional(),
  until: z.number().exactOptional(),
  foundAt: z.number(),
  boot: z.number(),
});

/** Between two pages, or 64 KiB of a table: a million changes take ten minutes, and little else. */
const STEP_EVERY_MS = 500;

/** What is known to be lost of this store: kept on disk, for whoever asks and for the uplinks. */
export class Gaps {
  readonly #deps: GapsDeps;
  readonly #gaps = new Map<number, Gap>();
  readonly #aside = new Set<string>();
  #lastNumber = 0;
  /** The rows of this page and those behind it have been counted. */
  #recentPage = 0;
  #nextPage = -1;
  #endPause: () => void = () => undefined;
  #checking: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(deps: GapsDeps) {
    this.#deps = deps;
  }

  /** Oldest first. */
  list(): readonly Gap[] {
    return [...this.#gaps.values()];
  }

  /** Keys of the rows that were set aside because nobody could read them, now or before. */
  asideKeys(): readonly string[] {
    return [...this.#aside];
  }

  /** Pages of the log that this start has not looked at yet. */
  get pagesLeft(): number {
    return this.#nextPage + 1;
  }

  async load(): Promise<void> {
    const { database } = this.#deps;
    const gaps = await readRows(database, everyRow.gap, (key, row) => {
      return [numberOfGapKey(key), gapSchema.parse(JSON.parse(row))] as const;
    });
    for (const [number, gap] of gaps) {
      this.#lastNumber = number;
      this.#gaps.set(number, gap);
    }
    for (const key of await database.keys(everyRow.aside).all()) this.#aside.add(keyOfAside(key));
  }

  /** Records a gap, in the open batch, and says so. */
  add(found: Found): void {
    const { clock, boot, log, commit, outboxes } = this.#deps;
    const gap = { ...found, foundAt: clock.wallMs(), boot };
    log.error("store.gap", found);
    outboxes.lose(found);
    const [newest, before] = [this.#lastNumber, this.#gaps.get(this.#lastNumber)];
    if (before !== undefined && continues(before, gap)) {
      this.#put(newest, { ...gap, from: before.from, count: before.count + gap.count });
      return;
    }
    this.#lastNumber += 1;
    this.#put(this.#lastNumber, gap);
    const [oldest] = this.#gaps.keys();
    if (this.#gaps.size <= FIXED_LIMITS.gapsMax || oldest === undefined) return;
    this.#gaps.delete(oldest);
    commit.delete(gapKey(oldest));
  }

  /**
   * Tells what the opening of the database showed, looks at the newest changes, and from now on
   * records whatever turns out to be damaged. `mark` and `boot`: where the store stood when it was
   * opened.
   */
  async inspect(mark: LogMark, boot: number): Promise<void> {
    const { database, changes, log } = this.#deps;
    this.#tell();
    for (const found of await settleLostCounts(database, changes, mark)) this.add(found);
    const tail = findLostTail(database.opening, { boot, sequence: mark.sequence });
    if (tail !== undefined) {
      this.add(tail);
      changes.skipTo(tail.to);
    }
    database.damage.listen({
      onRow: (row) => this.#setAside(row),
      onPlace: (error) => log.error("store.unreadable", { error }),
    });
    const newest = pageOf(mark.sequence);
    const oldest = pageOf(Math.max(0, mark.sequence - FIXED_LIMITS.checkedChangesMax));
    for (let page = newest; page >= oldest; page -= 1) await this.#check(page);
    this.#recentPage = oldest;
    this.#nextPage = newest;
  }

  /** Looks at everything now. */
  async checkAll(): Promise<void> {
    await this.#checkOld(async () => Promise.resolve(true));
  }

  /** Looks at the older changes and at LevelDB's tables, little by little and once. */
  start(onFailure: (error: unknown) => void): void {
    this.#checking = this.#checkUntilDone().catch(onFailure);
  }

  async #checkUntilDone(): Promise<void> {
    const { commit } = this.#deps;
    do {
      try {
        await this.#checkOld(async () => this.#pause());
        return;
      } catch (error) {
        // What could not be written is looked at again when something can.
        if (commit.stall === undefined) throw error;
      }
    } while (await this.#pause());
  }

  /** Resolves when it reads and writes no more. Idempotent. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#endPause();
    await this.#checking;
  }

  async #checkOld(pause: () => Promise<boolean>): Promise<void> {
    const { restoreIndex, database, log } = this.#deps;
    for (; this.#nextPage >= 0; this.#nextPage -= 1) {
      if (!(await pause())) return;
      if (this.#nextPage < this.#recentPage) await this.#check(this.#nextPage);
      const index = await restoreIndex(boundsOf(this.#nextPage));
      if (index > 0) log.warn("store.restored", { index });
    }
    await database.checkTables(pause);
  }

  /** @returns whether to go on. */
  async #pause(): Promise<boolean> {
    if (this.#isStopped) return false;
    await new Promise<void>((resolve) => {
      const cancel = this.#deps.clock.after(STEP_EVERY_MS, resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
    return !this.#isStopped;
  }

  #tell(): void {
    const { database, log } = this.#deps;
    const { salvaged, dropped, witness } = database.opening;
    if (salvaged !== undefined) log.error("store.salvaged", salvaged);
    if (dropped.records === 0) return;
    // After a clean stop there was nothing to be torn.
    if (witness?.isClean === true) log.error("store.log_damaged", dropped);
    else log.warn("store.log_torn", dropped);
  }

  async #check(page: number): Promise<void> {
    const { database, changes, retention, commit } = this.#deps;
    await commit.caughtUp();
    for (const found of await checkPage({ database, changes, commit, retention }, page)) {
      this.add(found);
    }
  }

  #put(number: number, gap: Gap): void {
    this.#gaps.set(number, gap);
    this.#deps.commit.put(gapKey(number), JSON.stringify(gap));
  }

  /** The row goes where it does no harm, and stays there for whoever wants to look at it. */
  #setAside({ key, row }: DamagedRow): void {
    if (this.#aside.has(key)) return;
    const { commit, changes, log } = this.#deps;
    const of = classOfChangeKey(key);
    const sequence = sequenceOfChangeKey(key);
    if (this.#aside.size < FIXED_LIMITS.damagedRowsMax) {
      this.#aside.add(key);
      commit.put(asideKey(key), row);
    }
    // A row of the store about itself has been made anew by now.
    if (!isMetaKey(key)) commit.delete(key);
    if (of === undefined || !Number.isSafeInteger(sequence)) {
      log.error("store.row_set_aside", { key });
      return;
    }
    changes.forget(of, pageOf(sequence), 1);
    this.add({ cause: "damaged", class: of, from: sequence, to: sequence, count: 1 });
  }
}

/** One loss that was found in two steps. */
function continues(before: Gap, gap: Gap): boolean {
  return (
    before.cause === gap.cause &&
    before.class === gap.class &&
    before.boot === gap.boot &&
    before.to + 1 === gap.from
  );
}
