import { z } from "zod";
import { GatewayError } from "../errors.ts";
import type { Json, JsonObject } from "../thing/json.ts";
import type { Commit } from "./commit.ts";
import { changeKey, metaKey, type ChangeClass } from "./keys.ts";
import { countsSchema, NO_ROWS, PageCounts, pageOf, type Counts } from "./page-counts.ts";

/** What every change says of itself. Times are ms since the epoch. */
type Stamp = {
  /** `Thing.number`. */
  readonly thing: number;
  readonly at: number;
  /** Number of the uplink it came by. */
  readonly via?: number;
};

/** One accepted change: what history shows and what uplinks are owed. */
export type Change =
  | (Stamp & {
      readonly class: "property";
      readonly values: JsonObject;
      /** Names of `writeOnly` properties in the same write: their values are not recorded. */
      readonly writeOnly?: readonly string[];
      /** Recorded for a time in the past: the current value was left alone. */
      readonly backfilled?: true;
    })
  | (Stamp & {
      readonly class: "action";
      readonly name: string;
      /** Sequence of the request. */
      readonly request: number;
      readonly status: string;
      /** Time of the request. */
      readonly requestedAt: number;
      readonly input?: Json;
      readonly output?: Json;
      readonly error?: Json;
    })
  | (Stamp & { readonly class: "event"; readonly name: string; readonly data?: Json })
  | (Stamp & { readonly class: "data"; readonly content: JsonObject })
  | (Stamp & {
      readonly class: "thing";
      readonly account: string;
      readonly id: string;
      readonly uid: string;
      /** Absent: the Thing was deleted. */
      readonly description?: JsonObject;
      /** Properties that had a value and have none any more, or none that may be read. */
      readonly removed?: readonly string[];
    });

/** Values that were set, as the JSON text of an object. */
export type ChangedValues = Pick<Stamp, "thing" | "at"> & {
  readonly values: string;
  readonly writeOnly?: readonly string[] | undefined;
  readonly via?: number | undefined;
};

export type RecordedChange = Change & { readonly sequence: number };

/** What whoever follows the log hears of a change in the turn in which it is added. */
export type Added = {
  readonly class: ChangeClass;
  readonly sequence: number;
  readonly thing: number;
  readonly at: number;
  readonly via: number | undefined;
  /** UTF-16 units of its row. */
  readonly bytes: number;
  /** Nothing of it is recorded but that it was: values of `writeOnly` properties. */
  readonly isBlank: boolean;
  /** Of an action: the sequence of its request. */
  readonly request: number | undefined;
  /** Of a Thing. */
  readonly account: string | undefined;
  readonly id: string | undefined;
  readonly uid: string | undefined;
};
type AddedPart = Pick<Added, "thing" | "at"> &
  Partial<Pick<Added, "via" | "request" | "account" | "id" | "uid">>;

/** Where the log stands; written with every batch, so that a start reads one row. */
export type LogMark = {
  readonly sequence: number;
  /** Rows in the log now, by class. */
  readonly rows: Counts;
  /** Rows of its newest page. */
  readonly page: Counts;
};

const LOG_MARK = metaKey("log");
export const EMPTY_LOG: LogMark = { sequence: 0, rows: NO_ROWS, page: NO_ROWS };

const markSchema = z.object({
  sequence: z.number().int().nonnegative(),
  rows: countsSchema,
  page: countsSchema,
});

/** Which boot wrote a row, and whether the machine's time could be believed then. */
export type TimeQuality = { readonly boot: number; readonly isSynced: () => boolean };

/** The log of accepted changes, keyed by class and sequence. Sequences count up from 1. */
export class ChangeLog {
  readonly #commit: Commit;
  readonly #quality: TimeQuality;
  readonly pages: PageCounts;
  #sequence: number;
  readonly #rows: Record<ChangeClass, number>;
  #markedSequence: number;
  #onAdded: ((added: Added) => void) | undefined;

  constructor(commit: Commit, quality: TimeQuality, mark: LogMark) {
    this.#commit = commit;
    this.#quality = quality;
    this.#sequence = mark.sequence;
    this.#markedSequence = mark.sequence;
    this.#rows = { ...mark.rows };
    this.pages = new PageCounts(commit, mark.sequence, mark.page);
  }

  /** Sequence of the newest change, on disk or about to be. */
  get sequence(): number {
    return this.#sequence;
  }

  /** The sequence the next change will get. */
  get nextSequence(): number {
    return this.#sequence + 1;
  }

  rowsOf(of: ChangeClass): number {
    return this.#rows[of];
  }

  /** Calls back for each change that is added from now on; `undefined` ends it. */
  follow(onAdded: ((added: Added) => void) | undefined): void {
    this.#onAdded = onAdded;
  }

  /** Adds a change to the open batch and returns its sequence. */
  append(change: Change): number {
    const { class: of, ...rest } = change;
    const isBlank = change.class === "property" && Object.keys(change.values).length === 0;
    return this.#add(of, JSON.stringify(rest), change, isBlank);
  }

  /**
   * As `append`, of property values whose JSON text is at hand: to make it once for the row and for
   * whoever is subscribed is what the hot path of the gateway has time for.
   */
  appendValues(change: ChangedValues): number {
    const { thing, at, values, writeOnly, via } = change;
    const hidden = writeOnly === undefined ? "" : `,"writeOnly":${JSON.stringify(writeOnly)}`;
    const origin = via === undefined ? "" : `,"via":${via}`;
    return this.#add(
      "property",
      `{"thing":${thing},"at":${at},"values":${values}${hidden}${origin}}`,
      change,
      values === "{}",
    );
  }

  /** `row` is the JSON text of an object that is not empty. */
  #add(of: ChangeClass, row: string, part: AddedPart, isBlank: boolean): number {
    this.#sequence += 1;
    const sequence = this.#sequence;
    const quality = this.#quality.isSynced() ? "" : `,"unsynced":true`;
    const stamped = `${row.slice(0, -1)},"boot":${this.#quality.boot}${quality}}`;
    this.#commit.put(changeKey(of, sequence), stamped);
    this.#rows[of] += 1;
    this.pages.add(of, sequence);
    const bytes = stamped.length;
    if (this.#onAdded !== undefined) {
      // Member by member: the hot path has no time for a spread.
      const { thing, at, via, request, account, id, uid } = part;
      this.#onAdded({
        class: of,
        sequence,
        thing,
        at,
        via,
        bytes,
        isBlank,
        request,
        account,
        id,
        uid,
      });
    }
    return sequence;
  }

  /** Takes a row out of the log, if it is there. Its sequence is not used again. */
  drop(of: ChangeClass, sequence: number): void {
    const key = changeKey(of, sequence);
    if (this.#commit.read(key) === undefined) return;
    this.#commit.delete(key);
    this.forget(of, pageOf(sequence), 1);
  }

  /** Rows of a page are gone: they are not counted any more. */
  forget(of: ChangeClass, page: number, rows: number): void {
    this.#rows[of] -= rows;
    this.pages.take(of, page, rows);
    this.#markedSequence = -1;
  }

  /** So many there are, whatever was counted. */
  setRows(of: ChangeClass, rows: number): void {
    this.#rows[of] = rows;
    this.#markedSequence = -1;
  }

  /** Leaves out sequences that may have been given to changes nobody has any more. */
  skipTo(sequence: number): void {
    if (sequence <= this.#sequence) return;
    this.#sequence = sequence;
    this.pages.goTo(sequence);
  }

  /** Puts the mark into the open batch if the log has changed since the last one. */
  writeMark(): void {
    if (this.#markedSequence === this.#sequence) return;
    this.#markedSequence = this.#sequence;
    const mark: LogMark = {
      sequence: this.#sequence,
      rows: this.#rows,
      page: this.pages.newest,
    };
    this.#commit.put(LOG_MARK, JSON.stringify(mark));
  }
}

/** The mark on disk, or what it is before the first change. */
export function readMark(read: (key: string) => string | undefined): LogMark {
  const row = read(LOG_MARK);
  return row === undefined ? EMPTY_LOG : markSchema.parse(JSON.parse(row));
}

/**
 * Reads a row of the log.
 * @throws GatewayError `storage-failed` if it cannot be read.
 */
export function openChange(of: ChangeClass, sequence: number, row: string): RecordedChange {
  try {
    return changeOf(of, sequence, JSON.parse(row));
  } catch (cause) {
    const detail = `change ${sequence} of class ${of} cannot be read`;
    throw new GatewayError("storage-failed", detail, { cause });
  }
}

const stamp = {
  sequence: z.number().int(),
  thing: z.number().int(),
  at: z.number(),
  via: z.number().int().exactOptional(),
};
const json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined);
const jsonObject: z.ZodType<JsonObject> = z.custom<JsonObject>(
  (value) => typeof value === "object" && value !== null && !Array.isArray(value),
);

const changeSchema = z.discriminatedUnion("class", [
  z.object({
    ...stamp,
    class: z.literal("property"),
    values: jsonObject,
    writeOnly: z.array(z.string()).exactOptional(),
    backfilled: z.literal(true).exactOptional(),
  }),
  z.object({
    ...stamp,
    class: z.literal("action"),
    name: z.string(),
    request: z.number().int(),
    status: z.string(),
    requestedAt: z.number(),
    input: json.exactOptional(),
    output: json.exactOptional(),
    error: json.exactOptional(),
  }),
  z.object({ ...stamp, class: z.literal("event"), name: z.string(), data: json.exactOptional() }),
  z.object({ ...stamp, class: z.literal("data"), content: jsonObject }),
  z.object({
    ...stamp,
    class: z.literal("thing"),
    account: z.string(),
    id: z.string(),
    uid: z.string(),
    description: jsonObject.exactOptional(),
    removed: z.array(z.string()).exactOptional(),
  }),
]);

function changeOf(of: ChangeClass, sequence: number, parsed: unknown): RecordedChange {
  // Into what was parsed: a copy of it with two members more costs three times the rest.
  return changeSchema.parse(Object.assign(jsonObject.parse(parsed), { class: of, sequence }));
}
