import { accessSync, constants, existsSync, statSync } from "node:fs";
import { readFragile } from "./fragile-file.ts";
import { listLevelFolder } from "./level-folder.ts";
import { readLogFile } from "./level-log-file.ts";
import { TableFile } from "./level-table.ts";
import type { LongStep } from "./long-step.ts";

/**
 * LevelDB opens a table when it first needs it: one that may not be read would stop a request.
 * @throws Error of the file system.
 */
export function requireReadable(folder: string): void {
  if (!existsSync(folder)) return;
  const { logs, tables } = listLevelFolder(folder);
  for (const path of [...logs, ...tables].filter(existsSync)) accessSync(path, constants.R_OK);
}

/**
 * Looks at what LevelDB is about to read. Of its logs it drops what does not match, and up to 32 KiB of
 * good records behind it, without a word; a bad sector in any of these files stops it.
 * @returns what is wrong, or `undefined`: a torn end is not, a power cut leaves one.
 */
export function whyOpenedFilesAreDamaged(folder: string): string | undefined {
  if (!existsSync(folder)) return undefined;
  const { logs, descriptions } = listLevelFolder(folder);
  for (const path of [...descriptions, ...logs]) {
    const { bytes, unreadable } = readFragile(path);
    if (unreadable > 0) return `the disk cannot read ${path} in ${unreadable} places`;
    if (logs.includes(path) && readLogFile(bytes).isDamaged) return `${path} is damaged`;
  }
  return undefined;
}

/**
 * Looks through the newest tables, as many as `bytes` hold: a power cut is most likely to have harmed
 * what was written last. @returns what is wrong, or `undefined`.
 */
export async function whyTablesAreDamaged(
  folder: string,
  bytes: number,
  step: LongStep,
): Promise<string | undefined> {
  if (!existsSync(folder)) return undefined;
  let left = bytes;
  const newest = listLevelFolder(folder).tables.filter(existsSync).toReversed();
  const chosen = newest.filter((path) => (left -= statSync(path).size) >= 0);
  let parts = 0;
  const checks = checkTables(chosen);
  for (let check = checks.next(); ; check = checks.next()) {
    if (check.done === true) return check.value;
    parts += 1;
    await step.goOn(() => ({ tables: chosen.length, checkedKiB: parts * 64 }));
  }
}

/**
 * Looks at every block of these tables, which LevelDB does not: a damaged key makes it abort the
 * process when it compacts. A step reads at most some 100 KiB.
 */
export function* checkTables(paths: readonly string[]): Generator<void, string | undefined> {
  for (const path of paths) {
    let table: TableFile;
    try {
      table = new TableFile(path);
    } catch (error) {
      if (existsSync(path)) throw error;
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
