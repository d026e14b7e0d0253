import { existsSync, readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { CancelTimer, Clock } from "../clock.ts";

/** Stands beside the database once it holds something, so that its loss is no first start. */
const FILE = "store-exists";

/**
 * What the database held for certain when this was written. A database that holds less has lost its
 * newest rows: nothing within it can tell, because what would tell is lost with them.
 */
export type Witness = {
  /** The start that wrote this. */
  readonly boot: number;
  /** A sequence that was on disk. */
  readonly sequence: number;
  /** Starts in a row, this one included, none of which lasted. */
  readonly starts: number;
  /** Written as the last thing of a stop: nothing came behind it. */
  readonly isClean: boolean;
};

const schema = z.object({
  boot: z.number(),
  sequence: z.number(),
  starts: z.number(),
  isClean: z.boolean(),
});

/** Of a mark that cannot be read all that is known is that a store was made. */
const UNREADABLE: Witness = { boot: 0, sequence: 0, starts: 0, isClean: false };

/** `undefined`: no store was ever made under `path`. */
export function readWitness(path: string): Witness | undefined {
  const file = join(path, FILE);
  if (!existsSync(file)) return undefined;
  try {
    return schema.parse(JSON.parse(readFileSync(file, "utf8")));
  } catch {
    return UNREADABLE;
  }
}

/**
 * Replaces the witness: after a power cut there is the old one or the new one. Nothing waits for the
 * disk but the caller.
 */
export async function writeWitness(path: string, witness: Witness): Promise<void> {
  const file = join(path, FILE);
  const next = `${file}.next`;
  const handle = await open(next, "w", 0o600);
  try {
    await handle.writeFile(`${JSON.stringify(witness)}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(next, file);
  const folder = await open(path, "r");
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** Between two writings: so much of the newest changes could vanish without a word, if their log did. */
const WRITE_EVERY_MS = 60_000;

/** Keeps the witness up to date. What it says has to be on disk already. */
export class WitnessFile {
  readonly #path: string;
  readonly #boot: number;
  #starts: number;
  readonly #sequence: () => number;
  #written = -1;
  #writing: Promise<void> | undefined;
  #cancelTimer: CancelTimer | undefined;

  /** `sequence`: the newest that was acknowledged. */
  constructor(path: string, boot: number, starts: number, sequence: () => number) {
    this.#path = path;
    this.#boot = boot;
    this.#starts = starts;
    this.#sequence = sequence;
  }

  async write(isClean: boolean): Promise<void> {
    const sequence = this.#sequence();
    if (isClean) this.#starts = 0;
    const starts = this.#starts;
    this.#written = sequence;
    await this.#writing?.catch(() => undefined);
    this.#writing = writeWitness(this.#path, { boot: this.#boot, sequence, starts, isClean });
    await this.#writing;
  }

  /** Writes now and then if there is something new. A disk that takes nothing is told elsewhere. */
  start(clock: Clock): void {
    this.#cancelTimer = clock.after(WRITE_EVERY_MS, () => {
      const hasNews = this.#starts > 0 || this.#sequence() !== this.#written;
      this.#starts = 0;
      if (hasNews) this.write(false).catch(() => (this.#written = -1));
      this.start(clock);
    });
  }

  stop(): void {
    this.#cancelTimer?.();
  }
}
