import type { Thing } from "../thing/thing.ts";
import type { ChangeClass } from "./keys.ts";
import type { UplinkMemory } from "./uplink-memory.ts";

/**
 * What goes when a class is full. `keep-oldest`: what is new is not owed. `keep-newest`: the oldest is
 * not owed any more. `latest-only`: of each property only the present value is owed.
 */
export type OutboxRule = "keep-oldest" | "keep-newest" | "latest-only";

/** What an uplink may owe of one class. */
export type OutboxBounds = {
  readonly rows: number;
  /** Of the log's rows. */
  readonly bytes: number;
  /** Of running time, in seconds; 0: no bound. Dropped late by a sixteenth of it at most, never early. */
  readonly ageS: number;
  readonly rule: OutboxRule;
  /** Time powered off counts too. */
  readonly countsTimeOff?: true;
};

/** What decides whether a change is owed. */
export type Owable = {
  readonly class: ChangeClass;
  /** `Thing.number`. */
  readonly thing: number;
  /** Number of the uplink it came by. */
  readonly via?: number | undefined;
  /** Of an action: the sequence of its request. */
  readonly request?: number | undefined;
};

/** Whose change it is. */
export type Subject = Pick<Thing, "account" | "id" | "uid">;

/** What the settings of an uplink mean for its outbox. */
export type OutboxTerms = {
  readonly order: "strict" | "live-first";
  readonly bounds: Readonly<Record<ChangeClass, OutboxBounds>>;
  /**
   * Whether a change is owed at all: what is not gets no number. Asked for every change that is
   * accepted, within its turn: pure and quick. `subject` is `undefined` of a Thing that was deleted:
   * then the answer is for the class.
   */
  readonly isOwed: (change: Owable, subject: Subject | undefined, memory: UplinkMemory) => boolean;
};

const MEBIBYTE = 1_048_576;

/** Events, actions and data tell of something that happened; of values the newest are worth most. */
export const DEFAULT_BOUNDS: OutboxTerms["bounds"] = {
  property: { rows: 1_000_000, bytes: 256 * MEBIBYTE, ageS: 0, rule: "keep-newest" },
  action: { rows: 100_000, bytes: 64 * MEBIBYTE, ageS: 0, rule: "keep-oldest" },
  event: { rows: 200_000, bytes: 64 * MEBIBYTE, ageS: 0, rule: "keep-oldest" },
  data: { rows: 200_000, bytes: 128 * MEBIBYTE, ageS: 0, rule: "keep-oldest" },
  thing: { rows: 100_000, bytes: 64 * MEBIBYTE, ageS: 0, rule: "keep-newest" },
};

/** Everything, in order. */
export const DEFAULT_TERMS: OutboxTerms = {
  order: "strict",
  bounds: DEFAULT_BOUNDS,
  isOwed: () => true,
};
