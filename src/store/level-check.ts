import { existsSync, readFileSync } from "node:fs";
import { listLevelFolder } from "./level-folder.ts";
import { readLogFile } from "./level-log-file.ts";
import { TableFile } from "./level-table.ts";

/**
 * Looks at the logs that LevelDB is about to read: it drops what does not match, and up to 32 KiB of
 * good records behind it, without a word.
 * @returns what is wrong, or `undefined`: a torn end is not, a power cut leaves one.
 */
export function whyLogsAreDamaged(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const { logs } = listLevelFolder(folder);
  return logs
    .map((path) => (readLogFile(readFileSync(path)).isDamaged ? `${path} is damaged` : undefined))
    .find((reason) => reason !== undefined);
}

/** @returns what is wrong with the tables, or `undefined`. Reads all of them. */
export function whyTablesAreDamaged(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const steps = checkTables(folder);
  for (let step = steps.next(); ; step = steps.next()) {
    if (step.done === true) return step.value;
  }
}

/**
 * Looks at every block of every table, which LevelDB does not: a damaged key makes it abort the
 * process when it compacts. A step reads at most some 100 KiB.
 */
export function* checkTables(folder: string): Generator<void, string | undefined> {
  for (const path of listLevelFolder(folder).tables) {
    let table: TableFile;
    try {
      table = new TableFile(path);
    } catch {
      continue; // Compacted meanwhile.
    }
    try {
      yield* table.check();
      if (table.damagedBlocks > 0) return `${path} is damaged`;
    } finally {
      table.close();
    }
  }
  return undefined;
}
