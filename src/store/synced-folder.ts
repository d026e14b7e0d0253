import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsync,
  fsyncSync,
  mkdirSync,
  openSync,
} from "node:fs";
import { dirname, resolve } from "node:path";
import { promisify } from "node:util";

const fsyncOf = promisify(fsync);

/**
 * How long the time of a folder may stand still while entries are added: file systems stamp with the
 * kernel's tick, 1 to 10 ms.
 */
const TICK_MS = 20;

/**
 * Keeps the entries of a folder as durable as the files they name. LevelDB syncs the data of a new
 * log, not the folder that names it: after a power cut the log could be gone, and with it everything
 * that was acknowledged since.
 */
export class SyncedFolder {
  readonly #descriptor: number;
  readonly #monotonicMs: () => number;
  /** Time stamp of the last change, and when it was first seen. */
  #changedMs: number;
  #seenMs: number;
  /** It was synced when the stamp could not hide another change any more. */
  #isSettled = false;

  /** Syncs the folder. @throws Error of the file system. */
  constructor(folder: string, monotonicMs: () => number) {
    this.#descriptor = openSync(folder, "r");
    this.#monotonicMs = monotonicMs;
    this.#changedMs = this.#lastChangeMs();
    this.#seenMs = monotonicMs();
    fsyncSync(this.#descriptor);
  }

  /** Resolves when every entry made so far is on disk: as a rule at once, after one look. */
  async settle(): Promise<void> {
    const changedMs = this.#lastChangeMs();
    const nowMs = this.#monotonicMs();
    if (changedMs !== this.#changedMs) {
      this.#changedMs = changedMs;
      this.#seenMs = nowMs;
      this.#isSettled = false;
    }
    if (this.#isSettled) return;
    await fsyncOf(this.#descriptor);
    this.#isSettled = nowMs - this.#seenMs > TICK_MS;
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #lastChangeMs(): number {
    return fstatSync(this.#descriptor).mtimeMs;
  }
}

/** Makes a folder, and those above it, that outlive a power cut. @throws Error of the file system. */
export function makeFolder(folder: string): void {
  const highest = makeAll(folder);
  if (highest === undefined) return;
  for (let made = resolve(folder); made.length >= resolve(highest).length; made = dirname(made)) {
    syncFolder(dirname(made));
  }
}

/** @returns the highest that was made. */
function makeAll(folder: string): string | undefined {
  try {
    return mkdirSync(folder, { recursive: true, mode: 0o700 });
  } catch (error) {
    let above = resolve(folder);
    while (!existsSync(above) && above !== dirname(above)) above = dirname(above);
    accessSync(above, constants.W_OK); // Node takes a read-only file system for a missing folder.
    throw error;
  }
}

/** Makes the entries of a folder durable. @throws Error of the file system. */
export function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
