import { rmSync } from "node:fs";
import { open, readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import type { CancelTimer, Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { Log } from "../log.ts";
import type { Writability } from "./writability.ts";

const MIB = 1024 * 1024;
/** Looked at this often: a device that writes 1 MB/s uses a tenth of the reserve in between. */
const LOOK_EVERY_MS = 500;
/** LevelDB needs room to write a log, a table and a manifest before it can free any. */
const RESERVE_BYTES = 48 * MIB;
/** On a small file system: this part of it. */
const RESERVE_PART = 0.1;
/** Given up when the disk is full all the same, so that the store can be opened and emptied. */
const BALLAST_BYTES = 8 * MIB;
const BALLAST_PART = 0.05;
const BALLAST_FILE = "ballast";
/** Changes are taken again when this much more than the reserve is free: no flapping. */
const RELIEF = 1.2;

export type SpaceOptions = {
  /** Where the store lives. */
  readonly path: string;
  /** Bytes the store may use; 0: as much as there is, but for the reserve. */
  readonly quotaBytes: number;
};

type SpaceDeps = {
  readonly clock: Clock;
  readonly log: Log;
  readonly writability: Writability;
};

/** What a look at the disk showed, in bytes. */
export type SpaceSeen = {
  readonly free: number;
  readonly used: number;
  readonly reserve: number;
};

/**
 * Watches the room on the disk and refuses new changes while there still is some for deletions,
 * compaction and a clean stop; takes them again by itself when there is room.
 */
export class Space {
  readonly #deps: SpaceDeps;
  readonly #options: SpaceOptions;
  #seen: SpaceSeen = { free: 0, used: 0, reserve: 0 };
  #isFull = false;
  #cancelTimer: CancelTimer | undefined;
  #isStopped = false;

  constructor(deps: SpaceDeps, options: SpaceOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  get seen(): SpaceSeen {
    return this.#seen;
  }

  async start(): Promise<void> {
    await this.look();
    const next = (): void => {
      if (this.#isStopped) return;
      this.#cancelTimer = this.#deps.clock.after(LOOK_EVERY_MS, () => {
        this.look().then(next, (error: unknown) => {
          this.#deps.log.error("store.space_unknown", { error });
          next();
        });
      });
    };
    next();
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
  }

  /** One look at the disk, and what follows from it. */
  async look(): Promise<void> {
    const { path, quotaBytes } = this.#options;
    const disk = await statfs(path);
    const total = disk.blocks * disk.bsize;
    const reserve = Math.min(RESERVE_BYTES, total * RESERVE_PART);
    const free = disk.bavail * disk.bsize;
    const used = await bytesUnder(path);
    this.#seen = { free, used, reserve };
    const need = this.#isFull ? reserve * RELIEF : reserve;
    const isOverQuota = quotaBytes > 0 && used > quotaBytes * (this.#isFull ? 1 / RELIEF : 1);
    this.#set(free < need || isOverQuota, isOverQuota);
    if (!this.#isFull) await this.#keepBallast(Math.min(BALLAST_BYTES, total * BALLAST_PART));
  }

  /** Makes the last room there is. */
  dropBallast(): void {
    rmSync(join(this.#options.path, BALLAST_FILE), { force: true });
  }

  #set(isFull: boolean, isOverQuota: boolean): void {
    if (isFull === this.#isFull) return;
    this.#isFull = isFull;
    const { log, writability } = this.#deps;
    const { free, used, reserve } = this.#seen;
    if (isFull) log.error("store.full", { free, used, reserve, isOverQuota });
    else log.info("store.has_room", { free, used });
    const detail = isOverQuota
      ? `the store uses ${used} bytes, more than store.quota_mb allows`
      : `the disk has ${free} bytes left, and ${Math.round(reserve)} are kept in reserve`;
    writability.setFull(isFull ? new GatewayError("storage-full", detail) : undefined);
  }

  /** Real bytes: a file with holes would give nothing back. */
  async #keepBallast(wanted: number): Promise<void> {
    const bytes = Math.floor(wanted);
    const path = join(this.#options.path, BALLAST_FILE);
    const present = await sizeOf(path);
    if (present >= bytes || this.#seen.free - bytes < this.#seen.reserve * RELIEF) return;
    const file = await open(path, "w", 0o600);
    try {
      await file.writeFile(Buffer.alloc(bytes, 1));
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** Bytes of all files under a folder; what vanishes meanwhile counts as nothing. */
async function bytesUnder(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => sizeOf(join(entry.parentPath, entry.name))),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
