import type { Thing } from "../thing/thing.ts";
import type { RecordedChange } from "./changes.ts";
import type { ChangeClass } from "./keys.ts";
import type { PropertyState } from "./properties.ts";

/**
 * Why something that was owed is not sent. `bounds-…`: the outbox was full. `superseded`: a newer value
 * is sent in its place. `deleted`: a user deleted it first. `undeliverable`, `too-large`: upstream
 * cannot be told it. The others: damage took it, as the gaps of the store say.
 */
export const DROP_CAUSES = [
  "bounds-rows",
  "bounds-bytes",
  "bounds-age",
  "superseded",
  "deleted",
  "undeliverable",
  "too-large",
  "missing",
  "damaged",
  "tail-lost",
] as const;
export type DropCause = (typeof DROP_CAUSES)[number];

/** Numbers of one uplink that nothing is sent for, from one to another (both inclusive). */
export type GapRecord = {
  readonly from: number;
  readonly to: number;
  /** Absent: of any class. */
  readonly class?: ChangeClass;
  readonly cause: DropCause;
  /** Times of the first and the last change that is missing, ms since the epoch. */
  readonly since: number;
  readonly until: number;
};

export type OwedItem =
  /** `thing` as it is now; `undefined`: the change says that it was deleted. */
  | { readonly kind: "change"; readonly change: RecordedChange; readonly thing: Thing | undefined }
  /** Of the snapshot, or the last value before a part of the log that was dropped. */
  | {
      readonly kind: "state";
      readonly thing: Thing;
      readonly name: string;
      readonly state: PropertyState;
    }
  /** Of the snapshot. */
  | { readonly kind: "description"; readonly thing: Thing }
  | { readonly kind: "gap"; readonly gap: GapRecord };

/** One message that an uplink owes. `seq` and `id` never change, whatever the line or the power do. */
export type Owed = {
  /** The uplink's own number, from 1. */
  readonly seq: number;
  /** ULID; of a change the one that HTTP shows for it. */
  readonly id: string;
  /** When it was true: ms since the epoch. */
  readonly at: number;
  readonly item: OwedItem;
  /** It was not there before the line was. */
  readonly isNew: boolean;
  /** It is not new, and not of the newer of two streams either. */
  readonly isBacklog: boolean;
  /** It still is so: the present value, the present description. A retained copy of it is right. */
  readonly isPresent: boolean;
  /** About: as the log holds it. */
  readonly bytes: number;
};

/** Losses of one class with one cause that lie close together in time. */
export type Drop = {
  readonly cause: DropCause;
  /** Absent: of any class. */
  readonly class?: ChangeClass;
  readonly count: number;
  /** Times of the first and the last change, ms since the epoch. */
  readonly from: number;
  readonly to: number;
};

/** `strict`: everything. Of `live-first` two that run beside each other. */
export type OutboxStream = "strict" | "live" | "backlog";
