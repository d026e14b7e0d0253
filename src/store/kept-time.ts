import { z } from "zod";
import type { CancelTimer, Clock } from "../clock.ts";
import type { Log } from "../log.ts";
import { formatTime } from "../thing/time.ts";
import type { Commit } from "./commit.ts";
import { metaKey, TIME_MS_MAX } from "./keys.ts";

/**
 * `known`: the machine's time is believed. `unknown`: nobody has set it since the machine booted.
 * `behind`: it is before a time that has been. `ahead`: it is further on than can be, for now.
 */
export type TimeState = "known" | "unknown" | "behind" | "ahead";

/** What is believed of the machine's time beyond what it says of itself. */
export type TimeRules = {
  /** No time before it is true, ms since the epoch. */
  readonly floorMs: number;
  /**
   * `auto`: as ADR 0011 says. `always`: also a leap ahead is believed at once. `reset`: as `always`,
   * and the time that the store remembers is forgotten.
   */
  readonly trust: "auto" | "always" | "reset";
};

export const NO_RULES: TimeRules = { floorMs: 0, trust: "auto" };

/** What the store remembers of the time. */
type Note = {
  /** ms since the epoch. */
  readonly at: number;
  readonly bootId: string;
  /** The same moment on the monotonic clock of that boot. */
  readonly monotonicMs: number;
  /** Since when the time was known in that boot, on its monotonic clock. */
  readonly knownSinceMs?: number;
  /** It was known once, in whatever boot. */
  readonly wasKnown: boolean;
  /** Of an ordered stop: no row is later. */
  readonly isLast?: boolean;
};

const noteSchema = z.object({
  at: z.number(),
  bootId: z.string(),
  monotonicMs: z.number(),
  knownSinceMs: z.number().exactOptional(),
  wasKnown: z.boolean(),
  isLast: z.boolean().exactOptional(),
});

const NOTE = metaKey("time");
/** So much later than the note on disk a row can be, at most. */
const NOTE_EVERY_MS = 1_000;
/** The note is written anew if going on from it on the monotonic clock would miss the time by this. */
const NOTE_MISSES_MS = 5;
/** Where nothing else is written. */
const IDLE_NOTE_EVERY_MS = 60_000;

/**
 * A known time that steps by more than this has become wrong, or was: ntpd gives up at the same
 * difference (its panic threshold). A machine that is less behind is waited for.
 */
const STEP_MS = 1_000_000;
/** So far ahead a machine may be that was off, or whose time was not known for long. */
const ABSENCE_MS = 366 * 86_400_000;
/** Known for so long, the time has been corrected by whoever keeps it. */
const PROVEN_MS = 600_000;
/** A time too far ahead is believed when it has stood for this: timesyncd asks every 34 min at least. */
const DOUBT_MS = 3_600_000;

/** Where the note is: what is put is on disk with the batch that is open. */
type Notes = Pick<Commit, "read" | "put">;

/** A machine that is ahead, and since when it is that far. */
type Leap = { readonly offsetMs: number; readonly sinceMs: number };

/**
 * The gateway's own time: the machine's, as far as it can be believed, and else what follows the last
 * believed one on the monotonic clock.
 *
 * Invariant: `wallMs` never goes back, neither while the gateway runs nor over restarts and reboots;
 * so the order of times is the order of sequences, and what has expired stays expired. It is not
 * ahead of the true time either, unless a false one was believed.
 */
export class KeptTime implements Clock {
  readonly bootId: string;
  readonly monotonicMs: Clock["monotonicMs"];
  readonly after: Clock["after"];
  readonly #machine: Clock;
  readonly #notes: Notes;
  readonly #log: Log;
  readonly #rules: TimeRules;
  /** With a fraction while it waits for the machine to catch up. */
  #wallMs: number;
  #lookedMs: number;
  #seen: { readonly machineMs: number; readonly isSet: boolean } | undefined;
  #state: TimeState | undefined;
  #knownSinceMs: number | undefined;
  #wasKnown = false;
  #leap: Leap | undefined;
  #noted = { at: -Infinity, monotonicMs: 0 };
  /** The note on disk is that of the stop before: no row is later, until one is written. */
  #isLastNote = false;
  #cancelTimer: CancelTimer | undefined;

  /** Goes on from what the store remembers. */
  constructor(machine: Clock, notes: Notes, log: Log, rules: TimeRules) {
    this.#machine = machine;
    this.#notes = notes;
    this.#log = log;
    this.#rules = rules;
    this.bootId = machine.bootId;
    this.monotonicMs = machine.monotonicMs;
    this.after = machine.after;
    this.#lookedMs = machine.monotonicMs();
    this.#wallMs = rules.floorMs;
    const note = readNote(notes);
    if (note !== undefined) this.#goOnFrom(note);
  }

  /** ms since the epoch; whole ones. */
  readonly wallMs = (): number => {
    this.#look();
    return Math.floor(this.#wallMs);
  };

  /** The time is known. */
  readonly isSynced = (): boolean => {
    this.#look();
    return this.#state === "known";
  };

  /** The state of the time, and the machine's own, ms since the epoch. */
  describe(): { readonly state: TimeState; readonly nowMs: number; readonly machineMs: number } {
    const nowMs = this.wallMs();
    return { state: this.#state ?? "unknown", nowMs, machineMs: this.#machine.wallMs() };
  }

  /** Adds the time to the open batch if that on disk is old. */
  writeNote(): void {
    const sinceMs = this.wallMs() - this.#noted.at;
    const missedMs = sinceMs - (this.#lookedMs - this.#noted.monotonicMs);
    if (this.#isLastNote || sinceMs >= NOTE_EVERY_MS || missedMs > NOTE_MISSES_MS) this.note();
  }

  /** Adds the time to the open batch: from when this is on disk, no restart goes back before now. */
  note(isLast = false): void {
    this.#isLastNote = false;
    this.#noted = { at: this.wallMs(), monotonicMs: this.#lookedMs };
    const note: Note = {
      ...this.#noted,
      bootId: this.bootId,
      ...(this.#knownSinceMs === undefined ? {} : { knownSinceMs: this.#knownSinceMs }),
      wasKnown: this.#wasKnown,
      ...(isLast ? { isLast } : {}),
    };
    this.#notes.put(NOTE, JSON.stringify(note));
  }

  /** From the time on disk (exclusive) to now (inclusive): this came to pass, and is not noted. */
  isNews(at: number): boolean {
    return at > this.#noted.at && at <= this.wallMs();
  }

  /** Notes the time now and then, also where nothing else is written. */
  start(): void {
    this.#cancelTimer = this.after(IDLE_NOTE_EVERY_MS, () => {
      if (this.wallMs() - this.#noted.at >= IDLE_NOTE_EVERY_MS) this.note();
      this.start();
    });
  }

  /** Notes the time for the last time, in the open batch. */
  stop(): void {
    this.#cancelTimer?.();
    this.note(true);
  }

  #goOnFrom(note: Note): void {
    if (this.#rules.trust === "reset") {
      const forgotten = formatTime(note.at);
      this.#log.warn("clock.reset", {
        forgotten,
        remedy: "set clock.trust back for the next start",
      });
      return;
    }
    const isSameBoot = note.bootId === this.bootId;
    const passedMs = Math.max(0, this.#lookedMs - note.monotonicMs);
    const missedMs = note.isLast === true ? 0 : NOTE_MISSES_MS;
    const since = isSameBoot ? passedMs + missedMs : NOTE_EVERY_MS;
    this.#isLastNote = note.isLast === true;
    this.#wallMs = Math.max(this.#rules.floorMs, note.at + since);
    this.#noted.at = note.at;
    this.#wasKnown = note.wasKnown;
    if (isSameBoot) this.#knownSinceMs = note.knownSinceMs;
  }

  #look(): void {
    const machineMs = this.#machine.wallMs();
    const isSet = this.#machine.isSynced();
    // Most calls come within one ms of another.
    if (this.#seen?.machineMs === machineMs && this.#seen.isSet === isSet) return;
    this.#seen = { machineMs, isSet };
    const monotonicMs = this.#machine.monotonicMs();
    const passedMs = monotonicMs - this.#lookedMs;
    const expectedMs = this.#wallMs + passedMs;
    const state = this.#judge(machineMs - expectedMs, machineMs, monotonicMs);
    this.#lookedMs = monotonicMs;
    if (state !== "known") this.#wallMs = expectedMs;
    // A little behind, it is waited for: at half its pace, so that times still differ.
    else if (machineMs < expectedMs)
      this.#wallMs = Math.max(machineMs, this.#wallMs + passedMs / 2);
    else this.#wallMs = machineMs;
    if (state !== this.#state) this.#tell(state, machineMs);
  }

  #judge(aheadMs: number, machineMs: number, monotonicMs: number): TimeState {
    const leap = this.#leap;
    this.#leap = undefined;
    if (this.#seen?.isSet !== true) return "unknown";
    if (aheadMs < -STEP_MS) return "behind";
    if (aheadMs > this.#leapMsMax(monotonicMs) || machineMs > TIME_MS_MAX) {
      const offsetMs = machineMs - monotonicMs;
      const isSame = leap !== undefined && Math.abs(offsetMs - leap.offsetMs) <= STEP_MS;
      this.#leap = isSame ? leap : { offsetMs, sinceMs: monotonicMs };
      const stoodMs = monotonicMs - this.#leap.sinceMs;
      if (stoodMs < DOUBT_MS || machineMs > TIME_MS_MAX) return "ahead";
      this.#leap = undefined;
      this.#knownSinceMs = monotonicMs;
    }
    this.#knownSinceMs ??= monotonicMs;
    this.#wasKnown = true;
    return "known";
  }

  /** How far ahead the machine may be to be believed at once. */
  #leapMsMax(monotonicMs: number): number {
    if (this.#rules.trust !== "auto" || !this.#wasKnown) return Infinity;
    const isProven = monotonicMs - (this.#knownSinceMs ?? Infinity) >= PROVEN_MS;
    return isProven ? STEP_MS : ABSENCE_MS;
  }

  #tell(state: TimeState, machineMs: number): void {
    const before = this.#state;
    this.#state = state;
    const isBad = state === "behind" || state === "ahead";
    if (before === undefined && state === "known") return;
    const machine = Number.isFinite(new Date(machineMs).getTime()) ? formatTime(machineMs) : null;
    const fields = { state, gateway: formatTime(this.#wallMs), machine, remedy: remedyOf(state) };
    if (isBad) this.#log.warn("clock.state", fields);
    else this.#log.info("clock.state", fields);
  }
}

/** What an operator can do about it. */
export function remedyOf(state: TimeState): string | null {
  switch (state) {
    case "known":
      return null;
    case "unknown":
      return "wait for the machine's time to be set, or set clock.trust to always";
    case "behind":
      return "set the machine's time; if it is right, start once with clock.trust = reset";
    case "ahead":
      return "if the machine's time is right, wait for an hour or set clock.trust to always";
  }
}

/** The store remembers a time. */
export function hasNote(notes: Pick<Notes, "read">): boolean {
  return readNote(notes) !== undefined;
}

function readNote(notes: Pick<Notes, "read">): Note | undefined {
  const row = notes.read(NOTE);
  try {
    return row === undefined ? undefined : noteSchema.parse(JSON.parse(row));
  } catch {
    return undefined; // It was harmed.
  }
}
