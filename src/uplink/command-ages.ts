import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";
import { isJsonObject, type Json } from "../thing/json.ts";
import { parseTime } from "../thing/time.ts";
import type { DownMessage } from "./message.ts";

type Age = { readonly atLeastMs: number; readonly atMostMs: number };

/** When upstream was last heard, on both clocks. */
type Heard = {
  readonly bootId: string;
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly isSynced: boolean;
};

const ALIVE = "alive";

/**
 * How old a command from upstream may be. It says so itself (`time`), or its broker does, by what is
 * left until it expires; or it came while the line was open, and is new; or it waited upstream and is
 * at most as old as the line was away: then it counts as that old, for it must not be applied late.
 */
export class CommandAges {
  readonly #clock: Clock;
  readonly #memory: UplinkMemory;
  #heard: Heard | undefined;
  #notedMs = -Infinity;
  /** How old what waited upstream may be; `undefined`: all of that has come. */
  #away: Age | undefined;
  #openedMs = 0;

  constructor(clock: Clock, memory: UplinkMemory) {
    this.#clock = clock;
    this.#memory = memory;
    this.#heard = readHeard(memory.note(ALIVE));
  }

  /** `sessionPresent`: upstream may have kept commands while the line was away. */
  lineOpened(sessionPresent: boolean): void {
    this.#away = sessionPresent ? this.#sinceHeard() : undefined;
    this.#openedMs = this.#clock.monotonicMs();
    this.heard();
  }

  /** Something came from upstream: the line works. */
  heard(): void {
    const { bootId, monotonicMs, wallMs, isSynced } = this.#clock;
    const now = monotonicMs();
    this.#heard = { bootId, monotonicMs: now, wallMs: wallMs(), isSynced: isSynced() };
    if (now - this.#notedMs >= FIXED_LIMITS.uplinkAliveNoteMs) this.#note(this.#heard);
  }

  lineClosed(): void {
    if (this.#heard !== undefined) this.#note(this.#heard);
    this.#away = undefined;
  }

  /**
   * What is left of the life of a command, at most: 0 or less is too late. `timeoutMs`: how long it is
   * good for, if it says so; `saidAt`: when it was given, if it says that.
   */
  lifeMs(message: DownMessage, timeoutMs: number | undefined, saidAt?: number): number {
    const longestMs = FIXED_LIMITS.actionTimeToLiveS * 1000;
    const { atLeastMs, atMostMs } = this.#age(message, saidAt);
    const ofTimeout = timeoutMs === undefined ? longestMs : timeoutMs - atMostMs;
    const { messageExpiryS } = message.properties;
    // The broker counts it down: it is what is left.
    if (messageExpiryS !== undefined) return Math.min(messageExpiryS * 1000, longestMs, ofTimeout);
    if (timeoutMs !== undefined) return Math.min(longestMs, ofTimeout);
    // Nobody asked for haste, and nobody knows how long the box was off: it gets the benefit.
    return longestMs - (Number.isFinite(atMostMs) ? atMostMs : atLeastMs);
  }

  #age(message: DownMessage, saidAt: number | undefined): Age {
    const { userProperties } = message.properties;
    const at = saidAt ?? parseTime(userProperties?.["time"] ?? "");
    if (at !== undefined && this.#clock.isSynced()) {
      const ageMs = Math.max(0, this.#clock.wallMs() - at);
      return { atLeastMs: ageMs, atMostMs: ageMs };
    }
    // It lies there for whoever subscribes, perhaps for months.
    if (message.retain) return { atLeastMs: Infinity, atMostMs: Infinity };
    return this.#away ?? { atLeastMs: 0, atMostMs: 0 };
  }

  /** A message came: was it the first after a silence, nothing waits upstream any more. */
  taken(sinceLastMs: number): void {
    const openMs = this.#clock.monotonicMs() - this.#openedMs;
    const { uplinkBacklogQuietMs, uplinkBacklogMsMax } = FIXED_LIMITS;
    if (sinceLastMs >= uplinkBacklogQuietMs || openMs >= uplinkBacklogMsMax) {
      this.#away = undefined;
    }
  }

  #note(heard: Heard): void {
    this.#notedMs = heard.monotonicMs;
    this.#memory.setNote(ALIVE, heard);
  }

  #sinceHeard(): Age {
    const heard = this.#heard;
    // There was a session, and nobody knows since when.
    if (heard === undefined) return { atLeastMs: 0, atMostMs: Infinity };
    const { bootId, monotonicMs, wallMs, isSynced } = this.#clock;
    if (heard.bootId === bootId) {
      return { atLeastMs: 0, atMostMs: monotonicMs() - heard.monotonicMs };
    }
    const byWallMs = Math.max(0, wallMs() - heard.wallMs);
    const isKnown = heard.isSynced && isSynced();
    return { atLeastMs: byWallMs, atMostMs: isKnown ? byWallMs : Infinity };
  }
}

function readHeard(note: Json | undefined): Heard | undefined {
  if (note === undefined || !isJsonObject(note)) return undefined;
  const { bootId, monotonicMs, wallMs, isSynced } = note;
  if (typeof bootId !== "string" || typeof isSynced !== "boolean") return undefined;
  if (typeof monotonicMs !== "number" || typeof wallMs !== "number") return undefined;
  return { bootId, monotonicMs, wallMs, isSynced };
}
