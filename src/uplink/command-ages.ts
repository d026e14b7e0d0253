import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";
import { isJsonObject, type Json } from "../thing/json.ts";
import { parseTime } from "../thing/time.ts";
import type { DownMessage } from "./message.ts";

type Age = { readonly atLeastMs: number; readonly atMostMs: number };

/** A moment on both clocks. */
type Moment = {
  readonly bootId: string;
  readonly monotonicMs: number;
  readonly wallMs: number;
  readonly isSynced: boolean;
};

/** A line that has been opened. */
export type OpenedLine = {
  readonly sessionPresent: boolean;
  /** When something came last, on the monotonic clock; absent: nobody says. */
  readonly lastHeardMs?: number;
};

const CAUGHT_UP = "caught up";

/**
 * How old a command from upstream may be. It says so itself (`time`), or its broker does, by what is
 * left until it expires; or it came when nothing waited upstream any more, and is new; or it may have
 * waited there, since upstream was last known to hold nothing back: then it counts as that old, for it
 * must not be applied late.
 */
export class CommandAges {
  readonly #clock: Clock;
  readonly #memory: UplinkMemory;
  /** Everything that was said upstream before this had come by then. */
  #caughtUp: Moment | undefined;
  #notedMs = -Infinity;
  #line: OpenedLine | undefined;
  #openedMs = 0;
  #heardMs = 0;
  #messageMs = 0;
  /** Something may wait upstream that is older than the line. */
  #isBehind = true;

  constructor(clock: Clock, memory: UplinkMemory) {
    this.#clock = clock;
    this.#memory = memory;
    this.#caughtUp = readMoment(memory.note(CAUGHT_UP));
  }

  /** Without a session nothing waited. */
  lineOpened(line: OpenedLine): void {
    const now = this.#clock.monotonicMs();
    this.#line = line;
    this.#openedMs = now;
    this.#heardMs = now;
    this.#messageMs = now;
    this.#isBehind = line.sessionPresent;
    this.look();
  }

  /** Something came from upstream: the line works. */
  heard(): void {
    this.#heardMs = this.#clock.monotonicMs();
  }

  /** A message came. */
  taken(): void {
    this.look();
    this.heard();
    this.#messageMs = this.#heardMs;
  }

  lineClosed(): void {
    this.look();
    this.#line = undefined;
    if (!this.#isBehind && this.#caughtUp !== undefined) this.#note(this.#caughtUp);
    this.#isBehind = true;
  }

  /** Sees whether nothing waits upstream any more. To be called now and then. */
  look(): void {
    if (this.#line === undefined) return;
    const { uplinkBacklogQuietMs, uplinkBacklogMsMax } = FIXED_LIMITS;
    const { bootId, monotonicMs, wallMs, isSynced } = this.#clock;
    const now = monotonicMs();
    const isQuiet = now - this.#messageMs >= uplinkBacklogQuietMs;
    if (isQuiet || now - this.#openedMs >= uplinkBacklogMsMax) this.#isBehind = false;
    if (this.#isBehind) return;
    const heardMs = Math.max(this.#heardMs, this.#line.lastHeardMs ?? 0);
    const wall = wallMs() - (now - heardMs);
    this.#caughtUp = { bootId, monotonicMs: heardMs, wallMs: wall, isSynced: isSynced() };
    if (now - this.#notedMs >= FIXED_LIMITS.uplinkAliveNoteMs) this.#note(this.#caughtUp);
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
    return this.#isBehind ? this.#sinceCaughtUp() : { atLeastMs: 0, atMostMs: 0 };
  }

  #note(moment: Moment): void {
    this.#notedMs = this.#clock.monotonicMs();
    this.#memory.setNote(CAUGHT_UP, moment);
  }

  #sinceCaughtUp(): Age {
    const moment = this.#caughtUp;
    // There was a session, and nobody knows since when.
    if (moment === undefined) return { atLeastMs: 0, atMostMs: Infinity };
    const { bootId, monotonicMs, wallMs, isSynced } = this.#clock;
    if (moment.bootId === bootId) {
      return { atLeastMs: 0, atMostMs: monotonicMs() - moment.monotonicMs };
    }
    const byWallMs = Math.max(0, wallMs() - moment.wallMs);
    const isKnown = moment.isSynced && isSynced();
    return { atLeastMs: byWallMs, atMostMs: isKnown ? byWallMs : Infinity };
  }
}

function readMoment(note: Json | undefined): Moment | undefined {
  if (note === undefined || !isJsonObject(note)) return undefined;
  const { bootId, monotonicMs, wallMs, isSynced } = note;
  if (typeof bootId !== "string" || typeof isSynced !== "boolean") return undefined;
  if (typeof monotonicMs !== "number" || typeof wallMs !== "number") return undefined;
  return { bootId, monotonicMs, wallMs, isSynced };
}
