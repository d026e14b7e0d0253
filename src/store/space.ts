import type { CancelTimer, Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import type { DiskRoom } from "./disk-room.ts";
import type { Writability } from "./writability.ts";

/** Looked at this often: a device that writes 1 MB/s uses a tenth of the reserve in between. */
const LOOK_EVERY_MS = 500;
/** Changes are taken again when this much more than the reserve is free: no flapping. */
const RELIEF = 1.2;

type SpaceDeps = {
  readonly clock: Clock;
  readonly log: Log;
  readonly writability: Writability;
  readonly room: DiskRoom;
  /** Bytes the store may use; 0: as much as there is, but for the reserve. */
  readonly quotaBytes: number;
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
  #seen: SpaceSeen = { free: 0, used: 0, reserve: 0 };
  #isFull = false;
  #cancelTimer: CancelTimer | undefined;
  #isStopped = false;

  constructor(deps: SpaceDeps) {
    this.#deps = deps;
  }

  get seen(): SpaceSeen {
    return this.#seen;
  }

  async start(): Promise<void> {
    await this.look();
    this.#lookAgain(false);
  }

  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
  }

  #lookAgain(hasFailed: boolean): void {
    if (this.#isStopped) return;
    this.#cancelTimer = this.#deps.clock.after(LOOK_EVERY_MS, () => {
      this.look().then(
        () => this.#lookAgain(false),
        (error: unknown) => {
          if (!hasFailed) this.#deps.log.error("store.space_unknown", { error });
          this.#lookAgain(true);
        },
      );
    });
  }

  /** One look at the disk, and what follows from it. */
  async look(): Promise<void> {
    const { room, quotaBytes } = this.#deps;
    const { total, free, used } = await room.look();
    const { reserveBytes, reservePart, ballastBytes, ballastPart } = FIXED_LIMITS;
    const reserve = Math.min(reserveBytes, total * reservePart);
    this.#seen = { free, used, reserve };
    const need = this.#isFull ? reserve * RELIEF : reserve;
    const isOverQuota = quotaBytes > 0 && used > quotaBytes * (this.#isFull ? 1 / RELIEF : 1);
    this.#set(free < need || isOverQuota, isOverQuota);
    if (!this.#isFull) await this.#keepBallast(Math.min(ballastBytes, total * ballastPart));
  }

  /** Is there enough to open the database and write to it? Gives up the ballast for that. */
  async hasRoom(): Promise<boolean> {
    if (await this.#deps.room.isReadOnly()) return false;
    this.#deps.room.dropBallast();
    await this.look();
    return this.#seen.free > this.#seen.reserve / 2;
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

  async #keepBallast(wanted: number): Promise<void> {
    const { room } = this.#deps;
    const bytes = Math.floor(wanted);
    const isRoomFor = this.#seen.free - bytes >= this.#seen.reserve * RELIEF;
    if (!isRoomFor || (await room.ballast()) >= bytes) return;
    try {
      await room.writeBallast(bytes);
    } catch {
      // A disk that takes nothing is told by whoever has to write; the next look tries again.
    }
  }
}
