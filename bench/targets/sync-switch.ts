import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { findProgram } from "../processes.ts";

const SOURCE = fileURLToPath(new URL("../../../bench/sync-switch.c", import.meta.url));

/** A preloaded library that counts the syncs of a process, and can leave them out. */
export type SyncSwitch = {
  readonly env: (options: { readonly skips: boolean }) => NodeJS.ProcessEnv;
  /** Calls of fdatasync since the process started. */
  readonly count: () => number;
};

/** Why there can be none here; `undefined`: there can. */
export function syncSwitchMissing(): string | undefined {
  if (findProgram("gcc") === undefined) return "gcc is not installed";
  return existsSync(SOURCE) ? undefined : `${SOURCE} is missing`;
}

/** Builds the library in a folder. */
export function buildSyncSwitch(folder: string): SyncSwitch {
  const library = join(folder, "sync-switch.so");
  const built = spawnSync("gcc", ["-shared", "-fPIC", "-O2", "-o", library, SOURCE, "-ldl"], {
    encoding: "utf8",
  });
  if (built.status !== 0) throw new Error(`gcc failed: ${built.stderr}`);
  const counter = join(folder, "syncs");
  writeFileSync(counter, Buffer.alloc(8));
  return {
    env: ({ skips }) => ({
      LD_PRELOAD: library,
      BENCH_SYNC_COUNT: counter,
      BENCH_SYNC_SKIP: skips ? "1" : "0",
    }),
    count: () => Number(readFileSync(counter).readBigUInt64LE()),
  };
}
