import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { FIXED_LIMITS } from "../limits.ts";

/** A row that is not what was written under its key, or that nobody can parse. */
export type DamagedRow = { readonly key: string; readonly row: string };

type Listener = {
  readonly onRow: (row: DamagedRow) => void;
  readonly onPlace: (error: unknown) => void;
};

/** In this file the wish for a salvage outlives the process: a damaged table fails again and again. */
const WISH = "salvage-wanted";

/** What turned out to be damaged since the start. */
export class Damage {
  readonly #wishFile: string;
  readonly #early: DamagedRow[] = [];
  #listener: Listener | undefined;
  #rows = 0;
  #places = 0;

  constructor(path: string) {
    this.#wishFile = join(path, WISH);
  }

  /** Rows that were left out, and times that LevelDB itself could not read a place. */
  get counts(): { readonly rows: number; readonly places: number } {
    return { rows: this.#rows, places: this.#places };
  }

  /** Rows that nobody has heard of. */
  get unheard(): readonly DamagedRow[] {
    return this.#early;
  }

  addRow(key: string, row: string): void {
    this.#rows += 1;
    if (this.#listener !== undefined) this.#listener.onRow({ key, row });
    else if (this.#early.length < FIXED_LIMITS.damagedRowsMax) this.#early.push({ key, row });
  }

  /** A table or a block of one cannot be read: the next start salvages what can be. */
  addPlace(error: unknown): void {
    this.#places += 1;
    if (this.#places === 1) this.wantSalvage(String(error));
    this.#listener?.onPlace(error);
  }

  /** From now on somebody hears of each: first of the rows so far. */
  listen(listener: Listener): void {
    this.#listener = listener;
    for (const row of this.#early.splice(0)) listener.onRow(row);
  }

  /** Why the next opening has to salvage; `undefined`: it need not. */
  get wish(): string | undefined {
    try {
      return readFileSync(this.#wishFile, "utf8");
    } catch {
      return undefined;
    }
  }

  wantSalvage(reason: string): void {
    try {
      writeFileSync(this.#wishFile, reason, { mode: 0o600 });
    } catch {
      // The disk takes nothing: the next start meets the damage again.
    }
  }

  salvaged(): void {
    rmSync(this.#wishFile, { force: true });
    this.#places = 0;
  }
}

/** Texts of errno that a damaged database leads to: a file cut short, gone, or something else. */
const DAMAGED_FILE = /No such file|Invalid argument|Is a directory|Not a directory/;
const GONE = "does not exist (create_if_missing is false)";

/** Is this LevelDB's word for a damaged database, and not one for a disk that is full or failing? */
export function isDamage(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = "code" in error ? error.code : undefined;
  if (code === "LEVEL_DATABASE_NOT_OPEN") return isDamage(error.cause);
  if (code === "LEVEL_CORRUPTION") return true;
  if (code === "LEVEL_IO_ERROR") return DAMAGED_FILE.test(error.message);
  return error.message.includes(GONE);
}
