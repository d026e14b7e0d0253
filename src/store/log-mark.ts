import { EMPTY_LOG, openChange, readMark, type ChangeLog, type LogMark } from "./changes.ts";
import { readRows, type Database } from "./database.ts";
import type { Found } from "./gap-search.ts";
import {
  CHANGE_CLASSES,
  changesOfClass,
  everyRow,
  pageOfKey,
  sequenceOfChangeKey,
  type ChangeClass,
} from "./keys.ts";
import type { Opening } from "./level-opening.ts";
import { boundsOf, countsSchema, NO_ROWS, pageOf, type Counts } from "./page-counts.ts";

/** Where the log stands: by its mark, or by what there is if the mark is lost or older than that. */
export async function readLog(database: Database): Promise<LogMark> {
  const mark = markIn(database);
  const newest = await newestSequence(database);
  if (mark !== undefined && newest <= mark.sequence) return mark;
  if (newest === 0) return EMPTY_LOG;
  const page = await presentIn(database, pageOf(newest));
  const pages = await countedPages(database, pageOf(newest));
  return { sequence: newest, rows: sumOf([page, ...pages.values()]), page };
}

/**
 * Finds the pages whose count is lost: the mark knows how many rows there are in all. What is there
 * of them becomes their count, and what is missing is told.
 */
export async function settleLostCounts(
  database: Database,
  changes: ChangeLog,
  mark: LogMark,
): Promise<readonly Found[]> {
  const newest = pageOf(mark.sequence);
  const pages = await countedPages(database, newest);
  const counted = sumOf([mark.page, ...pages.values()]);
  const lost = CHANGE_CLASSES.filter((of) => mark.rows[of] !== counted[of]);
  if (lost.length === 0) return [];
  let [oldest, last] = [newest, 0];
  const present: Counts[] = [counted];
  for (let page = 0; page < newest; page += 1) {
    if (pages.has(page)) continue;
    [oldest, last] = [Math.min(oldest, page), page];
    const counts = await presentIn(database, page);
    changes.pages.set(page, counts);
    present.push(counts);
  }
  const found = sumOf(present);
  return lost.flatMap((of) => {
    const count = mark.rows[of] - found[of];
    changes.setRows(of, found[of]);
    const [from, to] = [boundsOf(oldest).first, boundsOf(last).last];
    return count > 0 ? [{ cause: "missing", class: of, from, to, count } as const] : [];
  });
}

/**
 * What the witness beside the database knows and the database does not: its newest changes are gone.
 * Without a clean stop nobody knows how many there were; the sequences they may have had are then not
 * given again, so that an id or an uplink's message never means two things.
 */
export function findLostTail(
  opening: Opening,
  held: { readonly boot: number; readonly sequence: number },
): Found | undefined {
  const { witness, isLogLost } = opening;
  if (witness === undefined) return undefined;
  const count = Math.max(0, witness.sequence - held.sequence);
  if (count === 0 && witness.boot <= held.boot && !isLogLost) return undefined;
  const from = held.sequence + 1;
  const known = Math.max(from, witness.sequence);
  const to = witness.isClean ? known : known + SKIPPED;
  return { cause: "tail-lost", from, to, count };
}

/** More than a gateway commits between two writings of the witness. */
const SKIPPED = 1_000_000;

function markIn(database: Database): LogMark | undefined {
  try {
    const mark = readMark((key) => database.getSync(key));
    return mark === EMPTY_LOG ? undefined : mark;
  } catch {
    return undefined;
  }
}

async function newestSequence(database: Database): Promise<number> {
  const newest = CHANGE_CLASSES.map(async (of) => {
    const range = changesOfClass(of, 0, Number.MAX_SAFE_INTEGER);
    const [key] = await database.keys({ ...range, reverse: true, limit: 1 }).all();
    return key === undefined ? 0 : sequenceOfChangeKey(key);
  });
  return Math.max(...(await Promise.all(newest)));
}

/** The time of the newest change that says one, ms since the epoch; 0 if there is none. */
export async function newestTime(database: Database): Promise<number> {
  const times = CHANGE_CLASSES.map(async (of) => {
    const range = changesOfClass(of, 0, Number.MAX_SAFE_INTEGER);
    const rows = await database.iterator({ ...range, reverse: true, limit: TIMED_ROWS }).all();
    return rows.map(([key, row]) => timeIn(of, sequenceOfChangeKey(key), row));
  });
  return Math.max(0, ...(await Promise.all(times)).flat());
}

/** So many rows of a class are asked for a time: those that were back-filled have none of now. */
const TIMED_ROWS = 1_000;

function timeIn(of: ChangeClass, sequence: number, row: string): number {
  try {
    const change = openChange(of, sequence, row);
    return change.class === "property" && change.backfilled === true ? 0 : change.at;
  } catch {
    return 0; // Told when the newest changes are looked at.
  }
}

/** The counts of the pages before the newest. */
async function countedPages(database: Database, newest: number): Promise<Map<number, Counts>> {
  const counts = await readRows(database, everyRow.page, (key, row) => {
    return [pageOfKey(key), countsSchema.parse(JSON.parse(row))] as const;
  });
  return new Map(counts.filter(([page]) => page < newest));
}

async function presentIn(database: Database, page: number): Promise<Counts> {
  const { first, last } = boundsOf(page);
  const counts: Record<ChangeClass, number> = { ...NO_ROWS };
  for (const of of CHANGE_CLASSES) {
    counts[of] = (await database.keys(changesOfClass(of, first, last)).all()).length;
  }
  return counts;
}

function sumOf(all: readonly Counts[]): Counts {
  const sum: Record<ChangeClass, number> = { ...NO_ROWS };
  for (const counts of all) for (const of of CHANGE_CLASSES) sum[of] += counts[of];
  return sum;
}
