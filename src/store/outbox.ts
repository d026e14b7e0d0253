import type { ChangeClass } from "./keys.ts";
import type { Drop, Owed } from "./outbox-items.ts";
import type { UplinkMemory } from "./uplink-memory.ts";
import type { Uplink } from "./uplinks.ts";

/** `strict`: everything. Of `live-first` two that run beside each other. */
export type OutboxStream = "strict" | "live" | "backlog";

/** What one uplink owes, in numbers. */
export type OutboxState = {
  /** All up to this number is acknowledged. */
  readonly ackedSeq: number;
  /** When the last acknowledgement came; absent: none in this start. */
  readonly ackedAtMonotonicMs?: number;
  readonly depth: {
    readonly rows: number;
    readonly bytes: number;
    /** Age of the oldest change that is owed, by the gateway's time; 0: nothing is. */
    readonly oldestAgeMs: number;
  };
  /** When the first class is full, if it goes on as in the last minutes; `null`: never. */
  readonly fullInS: number | null;
  /** When nothing is owed any more, likewise; `null`: never. */
  readonly emptyInS: number | null;
  /** Changes a second, over the last minutes. */
  readonly inPerS: number;
  readonly outPerS: number;
  /** Oldest first. */
  readonly drops: readonly Drop[];
  /** Everything that was there when the uplink was made has been read. */
  readonly snapshotDone: boolean;
};

/** What one uplink owes: a place in the log of changes, and numbers of its own. */
export type Outbox = {
  readonly uplink: Uplink;
  readonly memory: UplinkMemory;
  readonly state: OutboxState;
  /** The next items of a stream behind those already taken. Empty: nothing is owed now. */
  readonly take: (stream: OutboxStream, most: number) => Promise<readonly Owed[]>;
  /** Upstream has it. In any order; twice is as once. */
  readonly acknowledge: (seq: number) => void;
  /** It can never be delivered: in its place a gap record is owed, with the same number. */
  readonly giveUp: (seq: number, cause: "too-large" | "undeliverable") => void;
  /**
   * There is a new line: what was taken and not acknowledged is taken again, and what is there by now
   * is backlog. Call it before the first `take` of each line.
   */
  readonly rewind: () => void;
  /** Calls back when something may be owed that was not; returns what ends that. */
  readonly onOwed: (callback: () => void) => () => void;
  /** Whether a change is owed and not acknowledged. */
  readonly owes: (of: ChangeClass, sequence: number) => boolean;
};
