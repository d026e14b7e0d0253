import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Level } from "level";
import { GatewayError } from "../errors.ts";
import type { KeyRange } from "./keys.ts";

/** The one database: UTF-8 keys and values. */
export type Database = Level;

const DATABASE_FOLDER = "db";
/** Stands beside the database once it holds something, so that its loss is no first start. */
const MADE_MARK = "store-exists";

/**
 * Opens the database under `path`, making it if there never was one.
 * @throws GatewayError `storage-failed`; its `cause` is LevelDB's error, `LEVEL_LOCKED` among them.
 */
export async function openDatabase(path: string): Promise<Database> {
  mkdirSync(path, { recursive: true, mode: 0o700 });
  const folder = join(path, DATABASE_FOLDER);
  const database: Database = new Level(folder, { keyEncoding: "utf8", valueEncoding: "utf8" });
  try {
    const createIfMissing = !existsSync(join(path, MADE_MARK));
    await database.open({ createIfMissing, maxOpenFiles: 128 });
  } catch (cause) {
    throw new GatewayError("storage-failed", `could not open the database in ${folder}`, { cause });
  }
  // LevelDB does not sync the directory after it renames CURRENT or starts a log.
  syncDirectory(folder);
  syncDirectory(path);
  return database;
}

/** Says that the database under `path` has been made and written. */
export function markAsMade(path: string): void {
  const mark = join(path, MADE_MARK);
  if (existsSync(mark)) return;
  writeFileSync(mark, "", { mode: 0o600 });
  syncDirectory(path);
}

/** Every row of a range, in key order. For start-up and tests: it holds all of them. */
export async function rowsOf(
  database: Database,
  range: KeyRange,
): Promise<readonly (readonly [key: string, value: string])[]> {
  return await database.iterator(range).all();
}

function syncDirectory(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
