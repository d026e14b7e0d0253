import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Level } from "level";
import type { LongStep } from "./long-step.ts";
import { newestEntries, type Losses } from "./newest-entries.ts";
import { isBare, unseal } from "./seal.ts";
import { syncFolder } from "./synced-folder.ts";

/** What became of a database that could not be used any more. */
export type Salvaged = Readonly<Losses> & {
  readonly reason: string;
  /** The folder that holds it as it was found; `undefined`: there was none. */
  readonly setAside: string | undefined;
  /** Rows that are in the new database. */
  readonly kept: number;
  /** Rows that were left out: they are not what was written. */
  readonly damagedRows: number;
};

/** The damaged database while it is being salvaged: its presence means that it is not finished. */
const DAMAGED = "db.damaged";
/** What becomes the database. */
const REBUILT = "db.rebuilt";
const SET_ASIDE = /^damaged-\d+$/;

const BATCH_ROWS = 5_000;
const BATCH_BYTES = 1024 * 1024;

/** The database of a salvage that was cut off: it is still to be salvaged, or to be set aside. */
export function unfinishedSalvage(path: string): string | undefined {
  const damaged = join(path, DAMAGED);
  return existsSync(damaged) ? damaged : undefined;
}

/**
 * Sets the database `db` under `path` aside and puts a new one in its place, with every row of the
 * old one that can be read and is what was written: nothing, if there is none. The damaged one stays
 * as it was found, as `damaged-<boot>`; one that was set aside before it is deleted. Cut off at any
 * point, it can be called again.
 *
 * LevelDB's own repair is of no use: it takes damaged keys for good ones, and then aborts the process
 * because they are out of order (table_builder.cc).
 * @throws Error of the file system.
 */
export async function salvage(
  path: string,
  given: { readonly boot: number; readonly reason: string; readonly step: LongStep },
): Promise<Salvaged> {
  const { boot, reason, step } = given;
  const folder = join(path, "db");
  const damaged = join(path, DAMAGED);
  if (existsSync(folder) && !existsSync(damaged)) {
    renameSync(folder, damaged);
    syncFolder(path);
  }
  let rebuilt: Rebuilt = { kept: 0, damagedRows: 0, damagedBlocks: 0, damagedLogs: 0 };
  if (existsSync(damaged) && !existsSync(folder)) {
    rebuilt = await rebuild(damaged, join(path, REBUILT), step);
    renameSync(join(path, REBUILT), folder);
    syncFolder(path);
  }
  const setAside = existsSync(damaged) ? `damaged-${boot}` : undefined;
  if (setAside !== undefined) {
    dropSetAside(path);
    renameSync(damaged, join(path, setAside));
    syncFolder(path);
  }
  return { reason, setAside, ...rebuilt };
}

/** Deletes what was set aside: for when its room is needed. */
export function dropSetAside(path: string): void {
  for (const name of readdirSync(path).filter((each) => SET_ASIDE.test(each))) {
    rmSync(join(path, name), { recursive: true, force: true });
  }
}

type Rebuilt = Omit<Salvaged, "reason" | "setAside">;

async function rebuild(from: string, to: string, step: LongStep): Promise<Rebuilt> {
  rmSync(to, { recursive: true, force: true });
  const target = new Level(to);
  const losses: Losses = { damagedBlocks: 0, damagedLogs: 0 };
  let kept = 0;
  let damagedRows = 0;
  try {
    await target.open({ errorIfExists: true });
    let batch = target.batch();
    let bytes = 0;
    for (const entry of newestEntries(from, losses)) {
      const key = Buffer.from(entry.key, "latin1").toString("utf8");
      const row = entry.value?.toString("utf8") ?? "";
      if (!isAsWritten(key, row)) {
        damagedRows += 1;
        continue;
      }
      batch.put(key, row);
      kept += 1;
      bytes += key.length + row.length;
      if (batch.length < BATCH_ROWS && bytes < BATCH_BYTES) continue;
      // Each synced: of two logs LevelDB syncs the newer one only.
      await batch.write({ sync: true });
      await step.goOn(() => ({ kept, damagedRows }));
      batch = target.batch();
      bytes = 0;
    }
    await batch.write({ sync: true });
    await target.close();
  } catch (error) {
    await target.close();
    rmSync(to, { recursive: true, force: true }); // The disk may be full for want of this room.
    throw error;
  }
  syncFolder(to);
  return { kept, damagedRows, ...losses };
}

function isAsWritten(key: string, row: string): boolean {
  return isBare(key, row) || unseal(key, row) !== undefined;
}
