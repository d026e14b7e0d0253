import { chmodSync, statSync } from "node:fs";
import type { Log } from "../log.ts";

/** What others than the owner may do with a file, of its mode: read, write, look into. */
const OTHERS = 0o077;

/**
 * Takes away what others than the gateway's user may do with the folder of the store, which they may have
 * been given before it was the store's: it holds what the gateway logs in to upstream with, and keys (ADR 0006).
 * The folder is enough: who cannot enter it reaches nothing in it. Where that cannot be done, because the
 * folder is another's or the file system knows no modes, the log says so.
 */
export function keepPrivate(folder: string, log: Pick<Log, "info" | "warn">): void {
  const mode = modeOf(folder);
  if ((mode & OTHERS) === 0) return;
  try {
    chmodSync(folder, mode & ~OTHERS);
  } catch (error) {
    log.warn("store.open_to_others", { path: folder, mode: octal(mode), error });
    return;
  }
  if ((modeOf(folder) & OTHERS) === 0) {
    log.info("store.made_private", { path: folder, mode: octal(mode) });
  } else {
    log.warn("store.open_to_others", { path: folder, mode: octal(mode) });
  }
}

function modeOf(folder: string): number {
  return statSync(folder).mode & 0o7777;
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
