import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { Level } from "level";
import { FIXED_LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { isDamage, type Damage } from "./damage.ts";
import { requireReadable, whyOpenedFilesAreDamaged, whyTablesAreDamaged } from "./level-check.ts";
import { readDropped, type Dropped } from "./level-log.ts";
import { LongStep } from "./long-step.ts";
import { salvage, unfinishedSalvage, type Salvaged } from "./salvage.ts";
import { makeFolder, syncFolder, SyncedFolder } from "./synced-folder.ts";
import { readWitness, writeWitness, type Witness } from "./witness.ts";

/** How the database came to be open, and what is known to be gone. */
export type Opening = {
  /** Before it was opened; `undefined`: there was none. */
  readonly witness: Witness | undefined;
  /** Starts in a row, this one included, none of which lasted. */
  readonly starts: number;
  /** LevelDB had none of its logs, and one is always there: the newest rows are gone. */
  readonly isLogLost: boolean;
  readonly salvaged: Salvaged | undefined;
  /** What LevelDB left out of its log, which a power cut may do to what was not acknowledged. */
  readonly dropped: Dropped;
};

export type OpeningDeps = {
  /** Hears of what takes long, and how far it is. */
  readonly log: Log;
  readonly monotonicMs: () => number;
  /** Not while the gateway serves: then a damaged database is left for the next start. */
  readonly isStart: boolean;
};

/** An open LevelDB. */
export type OpenLevel = {
  readonly level: Level;
  readonly opening: Opening;
  /** Resolves when the files that were made so far outlive a power cut. */
  readonly settle: () => Promise<void>;
  readonly close: () => Promise<void>;
};

const LOG_FILE = /^\d+\.log$/;
const DATA_FILE = /^\d+\.(log|ldb|sst)$/;

export const folderIn = (path: string): string => join(path, "db");

/**
 * Opens the LevelDB under `path`, making it if there never was one. One that does not open, or is
 * known to be damaged, is set aside, and what can be read of it is brought into a new one.
 * @throws Error of LevelDB or of the file system.
 */
export async function openLevel(
  path: string,
  damage: Damage,
  deps: OpeningDeps,
): Promise<OpenLevel> {
  const folder = folderIn(path);
  makeFolder(path);
  const witness = readWitness(path);
  const starts = (witness?.starts ?? 0) + 1;
  if (witness !== undefined && deps.isStart) {
    await countStart(path, { ...witness, starts, isClean: false });
  }
  const isLogLost = witness !== undefined && !hasFile(unfinishedSalvage(path) ?? folder, LOG_FILE);
  // A folder without CURRENT looks like none to LevelDB: it would delete what is in it.
  const createIfMissing = witness === undefined && !hasFile(folder, DATA_FILE);
  const known = damage.wish ?? (await knownDamage(path, starts, witness?.isClean === true, deps));
  const opened = known ?? (await tryOpen(folder, createIfMissing));
  let salvaged: Salvaged | undefined;
  let level: Level;
  if (typeof opened === "string") {
    if (!deps.isStart) {
      damage.wantSalvage(opened);
      throw new Error(opened);
    }
    deps.log.warn("store.salvaging", { reason: opened });
    const step = new LongStep(deps, "store.salvaging");
    salvaged = await salvage(path, { boot: witness?.boot ?? 0, reason: opened, step });
    level = await openAt(folder, true);
    damage.salvaged();
  } else {
    level = opened;
  }
  try {
    // LevelDB does not sync the folder after it renames CURRENT or starts a log.
    const entries = new SyncedFolder(folder, deps.monotonicMs);
    syncFolder(path);
    return {
      level,
      opening: { witness, starts, isLogLost, salvaged, dropped: readDropped(folder) },
      settle: async () => entries.settle(),
      close: async () => {
        await level.close();
        entries.close();
      },
    };
  } catch (error) {
    await level.close();
    throw error;
  }
}

/** A full disk is no reason not to start: then this start is not counted. */
async function countStart(path: string, witness: Witness): Promise<void> {
  try {
    await writeWitness(path, witness);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ENOSPC" && code !== "EDQUOT") throw error;
  }
}

async function knownDamage(
  path: string,
  starts: number,
  wasClean: boolean,
  deps: OpeningDeps,
): Promise<string | undefined> {
  if (unfinishedSalvage(path) !== undefined) return "a salvage was cut off";
  const folder = folderIn(path);
  requireReadable(folder);
  const { checkedBytesClean, checkedBytesUnclean, uncleanStartsMax } = FIXED_LIMITS;
  // The rest is looked at while the gateway serves; all of it if starts fail again and again.
  const bytes = wasClean ? checkedBytesClean : checkedBytesUnclean;
  const step = new LongStep(deps, "store.checking");
  return (
    whyOpenedFilesAreDamaged(folder) ??
    (await whyTablesAreDamaged(folder, starts < uncleanStartsMax ? bytes : Infinity, step))
  );
}

/** @returns why it cannot be opened as it is. @throws if that is no fault of the database. */
async function tryOpen(folder: string, createIfMissing: boolean): Promise<Level | string> {
  try {
    return await openAt(folder, createIfMissing);
  } catch (error) {
    if (!isDamage(error)) throw error;
    return error instanceof Error && error.cause instanceof Error
      ? error.cause.message
      : String(error);
  }
}

/** In one go: a `Level` that was made and not opened opens itself, and makes what is missing. */
async function openAt(folder: string, createIfMissing: boolean): Promise<Level> {
  const level = new Level(folder, { keyEncoding: "utf8", valueEncoding: "utf8" });
  await level.open({
    maxOpenFiles: FIXED_LIMITS.databaseFilesMax,
    writeBufferSize: FIXED_LIMITS.databaseBufferBytes,
    createIfMissing,
  });
  return level;
}

function hasFile(folder: string, name: RegExp): boolean {
  if (!existsSync(folder)) return false;
  return readdirSync(folder).some((file) => name.test(file));
}
