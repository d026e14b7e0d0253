/**
 * The only file that spells a key. Keys are UTF-8 text that sorts as what it means: numbers are
 * base-32 digits (`0-9a-v`) of fixed width. `\0` ends a name, because no name can hold it.
 *
 * | prefix | row |
 * | --- | --- |
 * | `m:` | counters and marks of the store itself |
 * | `a:` | accounts |
 * | `t:` | Things |
 * | `s:` | the latest value of each property |
 * | `c:` | the log of changes, by class and sequence |
 * | `h:` | history: an index over the log by Thing, class, name and time; one row may name several values |
 * | `r:` | action requests: their present state |
 * | `o:` | pointers to the action requests that have not finished |
 * | `x:` | what was deleted and is still to be swept |
 * | `u:` `k:` `l:` | MQTT credentials, tokens, clients |
 * | `w:` `b:` | people, and their sessions in browsers |
 * | `i:` | client certificates, by serial number |
 * | `p:` | how many changes a page of the log has to hold |
 * | `n:` | what is not there any more: gaps in the log, rows that were set aside |
 * | `g:` | age marks: which sequence was the last at which age of the store |
 * | `j:` | the audit log, by number |
 * | `q:` | uplinks: settings, and what each owes and remembers |
 * | `!mqtt!` | the sublevel of the MQTT sessions |
 */

export type ChangeClass = "property" | "action" | "event" | "data" | "thing";

/** The classes that are kept for a time and then swept. */
export const HISTORY_CLASSES = ["property", "action", "event", "data"] as const;
export type HistoryClass = (typeof HISTORY_CLASSES)[number];

export const CHANGE_CLASSES = [...HISTORY_CLASSES, "thing"] as const;

const CLASS_LETTER: Readonly<Record<ChangeClass, string>> = {
  property: "p",
  action: "a",
  event: "e",
  data: "d",
  thing: "t",
};

const THING_DIGITS = 6;
const SEQUENCE_DIGITS = 11;
/** 45 bits of milliseconds: until the year 3084. */
const TIME_DIGITS = 9;
const RADIX = 32;

/** Times of rows are whole ms from 0 to this. */
export const TIME_MS_MAX = RADIX ** TIME_DIGITS - 1;
const SEQUENCE_MAX = Number.MAX_SAFE_INTEGER;

function digits(value: number, width: number): string {
  return value.toString(RADIX).padStart(width, "0");
}

export type KeyRange = { readonly gt: string; readonly lt: string };

/** Every key that begins with the prefix and goes on; the prefix ends in an ASCII character. */
function under(prefix: string): KeyRange {
  const successor = String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
  return { gt: prefix, lt: prefix.slice(0, -1) + successor };
}

export const metaKey = (name: string): string => `m:${name}`;
export const isMetaKey = (key: string): boolean => key.startsWith("m:");
export const accountKey = (account: string): string => `a:${account}`;
export const thingKey = (number: number): string => `t:${digits(number, THING_DIGITS)}`;
/** One change may delete several affordances: `source` tells their rows apart. */
export const deletedRowsKey = (
  thing: number,
  through: number,
  source: HistorySource | undefined,
): string => {
  const of = source === undefined ? "" : CLASS_LETTER[source.of] + source.name;
  return `x:${digits(thing, THING_DIGITS)}${digits(through, SEQUENCE_DIGITS)}${of}`;
};
export const credentialKey = (ulid: string): string => `u:${ulid}`;
export const userKey = (name: string): string => `w:${name}`;
export const browserSessionKey = (ulid: string): string => `b:${ulid}`;
export const nameOfUserKey = (key: string): string => key.slice(2);
export const tokenKey = (ulid: string): string => `k:${ulid}`;
export const clientKey = (ulid: string): string => `l:${ulid}`;
export const certificateKey = (serial: string): string => `i:${serial}`;
export const serialOfCertificateKey = (key: string): string => key.slice(2);
export const ageMarkKey = (ageMs: number): string => `g:${digits(ageMs, SEQUENCE_DIGITS)}`;

export const auditKey = (number: number): string => `j:${digits(number, SEQUENCE_DIGITS)}`;
export const numberOfAuditKey = (key: string): number => Number.parseInt(key.slice(2), RADIX);
/** From one number (inclusive) to another (inclusive). */
export const auditRows = (first: number, last: number) => ({
  gte: auditKey(first),
  lte: auditKey(last),
});

export const pageKey = (page: number): string => `p:${digits(page, SEQUENCE_DIGITS)}`;
export const pageOfKey = (key: string): number => Number.parseInt(key.slice(2), RADIX);
export const gapKey = (number: number): string => `n:g${digits(number, THING_DIGITS)}`;
export const numberOfGapKey = (key: string): number => Number.parseInt(key.slice(3), RADIX);
/** Where a row goes that cannot be read, whatever its key was. */
export const asideKey = (key: string): string => `n:r${key}`;
export const keyOfAside = (key: string): string => key.slice(3);

/** A row of the index over the log. */
export const isIndexKey = (key: string): boolean => key.startsWith("h:");

export const everyRow = {
  account: under("a:"),
  thing: under("t:"),
  state: under("s:"),
  deletedRows: under("x:"),
  credential: under("u:"),
  token: under("k:"),
  user: under("w:"),
  browserSession: under("b:"),
  client: under("l:"),
  certificate: under("i:"),
  ageMark: under("g:"),
  page: under("p:"),
  gap: under("n:g"),
  aside: under("n:r"),
  unfinishedRequest: under("o:"),
  uplink: under("q:u"),
  audit: under("j:"),
} as const;

/** What begins with the number of a Thing. */
export const byThing = ["t:", "s:", "h:", "r:", "x:"].map(under);

export const numberOfKey = (key: string): number =>
  Number.parseInt(key.slice(2, 2 + THING_DIGITS), RADIX);
export const accountOfKey = (key: string): string => key.slice(2);

export const stateKey = (thing: number, name: string): string =>
  `s:${digits(thing, THING_DIGITS)}${name}`;
export const nameOfStateKey = (key: string): string => key.slice(2 + THING_DIGITS);

export const changeKey = (of: ChangeClass, sequence: number): string =>
  `c:${CLASS_LETTER[of]}${digits(sequence, SEQUENCE_DIGITS)}`;
export const classOfChangeKey = (key: string): ChangeClass | undefined =>
  key.startsWith("c:")
    ? CHANGE_CLASSES.find((of) => CLASS_LETTER[of] === key.charAt(2))
    : undefined;
export const sequenceOfChangeKey = (key: string): number => Number.parseInt(key.slice(3), RADIX);
/** Changes of a class from one sequence (inclusive) to another (inclusive). */
export const changesOfClass = (of: ChangeClass, from: number, to: number) => ({
  gte: changeKey(of, from),
  lte: changeKey(of, to),
});

/** A place in a history. */
export type Moment = { readonly at: number; readonly sequence: number };

const MOMENT_DIGITS = TIME_DIGITS + SEQUENCE_DIGITS;
/** Sorts behind every digit. */
const BEHIND_DIGITS = "w";

/**
 * Values and data are asked for by time and can be back-filled: they sort by (time, sequence). Events
 * and action requests sort by (sequence, time), so that a step of the clock changes no order.
 */
function momentDigits(of: HistoryClass, { at, sequence }: Moment): string {
  const time = digits(at, TIME_DIGITS);
  const order = digits(sequence, SEQUENCE_DIGITS);
  return isByTime(of) ? time + order : order + time;
}

function isByTime(of: HistoryClass): boolean {
  return of === "property" || of === "data";
}

/** The end of a history key or request key: equal lengths, so comparing texts compares moments. */
export function orderOfKey(key: string): string {
  return key.slice(-MOMENT_DIGITS);
}

export function momentOfKey(of: HistoryClass, key: string): Moment {
  const order = orderOfKey(key);
  const split = isByTime(of) ? TIME_DIGITS : SEQUENCE_DIGITS;
  const first = Number.parseInt(order.slice(0, split), RADIX);
  const second = Number.parseInt(order.slice(split), RADIX);
  return isByTime(of) ? { at: first, sequence: second } : { at: second, sequence: first };
}

/** Exclusive at both ends; open where a bound is absent. Any time will do, also one no key can hold. */
export type MomentBounds = {
  readonly after?: Moment | undefined;
  readonly before?: Moment | undefined;
};

function momentRange(prefix: string, of: HistoryClass, bounds: MomentBounds): KeyRange {
  const { after, before } = bounds;
  return {
    gt: after === undefined ? prefix : prefix + momentDigits(of, nearestMoment(after)),
    lt: prefix + (before === undefined ? BEHIND_DIGITS : momentDigits(of, nearestMoment(before))),
  };
}

/** The moment itself, or the first or last that a key could hold. Sequences of changes begin at 1. */
function nearestMoment(moment: Moment): Moment {
  if (moment.at < 0) return { at: 0, sequence: 0 };
  return moment.at > TIME_MS_MAX ? { at: TIME_MS_MAX, sequence: SEQUENCE_MAX } : moment;
}

/** Whose history: `name` is that of the property, action or event, and empty for data. */
export type HistorySource = {
  readonly thing: number;
  readonly of: HistoryClass;
  readonly name: string;
};

/** Action requests are their own rows; the other classes are an index over the log. */
function historyPrefix({ thing, of, name }: HistorySource): string {
  const start = of === "action" ? "r:" : "h:";
  const letter = of === "action" ? "" : CLASS_LETTER[of];
  return `${start}${digits(thing, THING_DIGITS)}${letter}${name}\0`;
}

export const historyKey = (source: HistorySource, moment: Moment): string =>
  historyPrefix(source) + momentDigits(source.of, moment);

/** The key of another moment of the same history. */
export const historyKeyBeside = (of: HistoryClass, key: string, moment: Moment): string =>
  key.slice(0, -MOMENT_DIGITS) + momentDigits(of, moment);

export const historyRange = (source: HistorySource, bounds: MomentBounds = {}): KeyRange =>
  momentRange(historyPrefix(source), source.of, bounds);

export const requestKey = (thing: number, name: string, moment: Moment): string =>
  historyKey({ thing, of: "action", name }, moment);

/** Points at the row of a request that has not finished. */
export const unfinishedKey = (thing: number, moment: Moment): string =>
  `o:${digits(thing, THING_DIGITS)}${momentDigits("action", moment)}`;

/** Everything of a Thing that its deletion leaves to be swept. */
export const rowsOfDeletedThing = (thing: number): readonly KeyRange[] =>
  ["h:", "r:", "o:", "s:"].map((start) => under(start + digits(thing, THING_DIGITS)));

export function sourceOfHistoryKey(key: string): HistorySource {
  const letter = key.charAt(2 + THING_DIGITS);
  const of = HISTORY_CLASSES.find((candidate) => CLASS_LETTER[candidate] === letter);
  if (of === undefined) throw new Error(`no class in the history key ${JSON.stringify(key)}`);
  const name = key.slice(2 + THING_DIGITS + 1, key.length - MOMENT_DIGITS - 1);
  return { thing: numberOfKey(key), of, name };
}

const UPLINK_DIGITS = 4;

export const uplinkKey = (uplink: number): string => `q:u${digits(uplink, UPLINK_DIGITS)}`;
export const numberOfUplinkKey = (key: string): number => Number.parseInt(key.slice(3), RADIX);

const outboxPrefix = (uplink: number): string => `q:o${digits(uplink, UPLINK_DIGITS)}`;
const OUTBOX_PREFIX_LENGTH = outboxPrefix(0).length;

/** What an uplink remembers of what came down. */
export type RememberedKind = "command" | "request" | "note";
const REMEMBERED_LETTER: Readonly<Record<RememberedKind, string>> = {
  command: "c",
  request: "r",
  note: "n",
};

/** Sorts by the order in which it was remembered. */
export const rememberedKey = (uplink: number, kind: RememberedKind, order: number): string =>
  `${outboxPrefix(uplink)}${REMEMBERED_LETTER[kind]}${digits(order, SEQUENCE_DIGITS)}`;
export const orderOfRememberedKey = (key: string): number =>
  Number.parseInt(key.slice(OUTBOX_PREFIX_LENGTH + 1), RADIX);
export const rememberedRows = (uplink: number, kind: RememberedKind): KeyRange =>
  under(outboxPrefix(uplink) + REMEMBERED_LETTER[kind]);

/** Where an uplink stands; what it passes over; how old what it owes is. */
export const outboxKey = (uplink: number, of: "place" | "drops" | "ages"): string =>
  `${outboxPrefix(uplink)}${of === "place" ? "w" : of === "drops" ? "x" : "g"}`;

/** A page of numbered items, by the number of its first one. */
export const outboxPageKey = (uplink: number, first: number): string =>
  `${outboxPrefix(uplink)}p${digits(first, SEQUENCE_DIGITS)}`;
export const firstOfOutboxPageKey = (key: string): number =>
  Number.parseInt(key.slice(OUTBOX_PREFIX_LENGTH + 1), RADIX);
export const outboxPageRows = (uplink: number): KeyRange => under(`${outboxPrefix(uplink)}p`);

export const ledgerKey = (uplink: number, number: number): string =>
  `${outboxPrefix(uplink)}l${digits(number, THING_DIGITS)}`;
export const ledgerRows = (uplink: number): KeyRange => under(`${outboxPrefix(uplink)}l`);
export const numberOfLedgerKey = (key: string): number =>
  Number.parseInt(key.slice(OUTBOX_PREFIX_LENGTH + 1), RADIX);
