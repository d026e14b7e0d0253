import { openChange, type ChangeLog } from "./changes.ts";
import type { Commit } from "./commit.ts";
import type { Database } from "./database.ts";
import {
  CHANGE_CLASSES,
  changeKey,
  changesOfClass,
  sequenceOfChangeKey,
  type ChangeClass,
} from "./keys.ts";
import { boundsOf, NO_ROWS } from "./page-counts.ts";
import type { Retention } from "./retention.ts";

/** Changes that are gone: `count` of those from one sequence to another (both inclusive). */
export type Found = {
  readonly cause: "missing" | "damaged" | "tail-lost";
  /** Absent: of any class. */
  readonly class?: ChangeClass;
  readonly from: number;
  readonly to: number;
  /** At least so many. */
  readonly count: number;
  /** Times of the changes before and behind it, ms since the epoch, where there are any. */
  readonly since?: number;
  readonly until?: number;
};

type SearchDeps = {
  readonly database: Database;
  readonly commit: Commit;
  readonly changes: ChangeLog;
  /** `headOf`: the first sequence of a class that retention has left. */
  readonly retention: Pick<Retention, "headOf">;
};

/**
 * Compares a page of the log with the count of what has to be there; afterwards what is there is what
 * has to be. Rows before the head of their class have come back from an old table: they go again.
 *
 * Of the newest page only before the first change is taken: the rows are those on disk.
 */
export async function checkPage(deps: SearchDeps, page: number): Promise<readonly Found[]> {
  const { changes, commit, retention } = deps;
  const present = await sequencesOf(deps, page);
  for (const of of CHANGE_CLASSES) {
    const head = retention.headOf(of);
    const returned = present[of].filter((sequence) => sequence < head);
    for (const sequence of returned) commit.delete(changeKey(of, sequence));
    present[of] = present[of].slice(returned.length);
  }
  // Now, not before the reading: what retention took meanwhile is not missing.
  const expected = changes.pages.of(page);
  if (expected === undefined) {
    const counts = { ...NO_ROWS };
    for (const of of CHANGE_CLASSES) counts[of] = present[of].length;
    changes.pages.set(page, counts);
    return [];
  }
  const found: Found[] = [];
  for (const of of CHANGE_CLASSES) {
    const count = expected[of] - present[of].length;
    if (count <= 0) continue;
    const holes = holesIn(page, changes.sequence, retention.headOf(of), present);
    const { from, to } = holes;
    changes.forget(of, page, count);
    found.push({
      cause: "missing",
      class: of,
      from,
      to,
      count,
      ...(await timesAround(deps, holes)),
    });
  }
  return found;
}

type Present = Record<ChangeClass, readonly number[]>;

async function sequencesOf({ database }: SearchDeps, page: number): Promise<Present> {
  const { first, last } = boundsOf(page);
  const present: Present = { property: [], action: [], event: [], data: [], thing: [] };
  const read = CHANGE_CLASSES.map(async (of) => {
    const rows = await database.iterator(changesOfClass(of, first, last)).all();
    present[of] = rows.map(([key]) => sequenceOfChangeKey(key));
  });
  await Promise.all(read);
  return present;
}

type Extent = { readonly from: number; readonly to: number };

/** From the first to the last sequence of a page that nothing is known of. */
function holesIn(page: number, newest: number, head: number, present: Present): Extent {
  const { first, last } = boundsOf(page);
  const known = new Set(CHANGE_CLASSES.flatMap((of) => present[of]));
  let from = Math.max(first, head);
  let to = Math.min(last, newest);
  while (from < to && known.has(from)) from += 1;
  while (to > from && known.has(to)) to -= 1;
  return { from, to };
}

async function timesAround(
  { database }: SearchDeps,
  { from, to }: Extent,
): Promise<Pick<Found, "since" | "until">> {
  const before = CHANGE_CLASSES.map(async (of) => {
    const range = { gte: changeKey(of, 0), lt: changeKey(of, from), reverse: true };
    return nearest(database, of, range);
  });
  const behind = CHANGE_CLASSES.map(async (of) => {
    const range = { gt: changeKey(of, to), lte: changeKey(of, Number.MAX_SAFE_INTEGER) };
    return nearest(database, of, range);
  });
  const since = newestOf(await Promise.all(before));
  const until = oldestOf(await Promise.all(behind));
  return { ...(since === undefined ? {} : { since }), ...(until === undefined ? {} : { until }) };
}

type Stamped = { readonly sequence: number; readonly at: number };

async function nearest(
  database: Database,
  of: ChangeClass,
  range: Parameters<Database["iterator"]>[0],
): Promise<readonly Stamped[]> {
  const [row] = await database.iterator({ ...range, limit: 1 }).all();
  if (row === undefined) return [];
  try {
    return [openChange(of, sequenceOfChangeKey(row[0]), row[1])];
  } catch {
    return []; // Whoever reads it hears of it.
  }
}

function newestOf(found: readonly (readonly Stamped[])[]): number | undefined {
  return found.flat().sort((a, b) => b.sequence - a.sequence)[0]?.at;
}

function oldestOf(found: readonly (readonly Stamped[])[]): number | undefined {
  return found.flat().sort((a, b) => a.sequence - b.sequence)[0]?.at;
}
