import { FIXED_LIMITS } from "../limits.ts";
import type { JsonObject } from "./json.ts";

/** WoT TD 1.1 §5.3.1.3. Only what the gateway acts on; the rest stays in `Thing.description`. */
export type PropertyAffordance = {
  readonly name: string;
  readonly schema: JsonObject;
  readonly readOnly: boolean;
  /** Never read, retained or sent upstream. */
  readonly writeOnly: boolean;
};

/** WoT TD 1.1 §5.3.1.4. */
export type ActionAffordance = {
  readonly name: string;
  readonly input: JsonObject | undefined;
  readonly output: JsonObject | undefined;
};

/** WoT TD 1.1 §5.3.1.5. */
export type EventAffordance = { readonly name: string; readonly data: JsonObject | undefined };

/** The parts of a Thing Description that the gateway acts on. */
export type Affordances = {
  readonly properties: ReadonlyMap<string, PropertyAffordance>;
  readonly actions: ReadonlyMap<string, ActionAffordance>;
  readonly events: ReadonlyMap<string, EventAffordance>;
};

/** One revision of a Thing. A change makes a new object; `number` and `uid` stay. */
export type Thing = Affordances & {
  /** Names the Thing in keys on disk: counted up from 1, never used again. */
  readonly number: number;
  /** ULID, never changes. */
  readonly uid: string;
  readonly account: string;
  /** Chosen by the client; unique in the account. */
  readonly id: string;
  /** The Thing Description as given, without `id`, `uid`, `created` and `modified`. */
  readonly description: JsonObject;
  /** ms since the epoch. */
  readonly created: number;
  readonly modified: number;
  /** Sequence of the change that made this revision: the ETag. */
  readonly revision: number;
};

export type AffordanceKind = "properties" | "actions" | "events";

const ACCOUNT_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/;
const THING_ID = /^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$/;
const ULID_TEXT = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;

/** First path segments that cannot be accounts; complete. */
export const RESERVED_ACCOUNT_NAMES: ReadonlySet<string> = new Set(
  (
    "healthz readyz metrics docs oauth2 ui spaces gateway problems mqtt join api data things " +
    "set status stream"
  ).split(" "),
);

export function isAccountName(name: string): boolean {
  return ACCOUNT_NAME.test(name) && !RESERVED_ACCOUNT_NAMES.has(name);
}

export function isThingId(id: string): boolean {
  return THING_ID.test(id);
}

export function isUlid(text: string): boolean {
  return ULID_TEXT.test(text);
}

// Control characters (C0, DEL, C1) and what has a meaning in a topic or a path.
// eslint-disable-next-line no-control-regex -- the point of the check
const NOT_IN_AFFORDANCE_NAME = /[/+#\u0000-\u001f\u007f-\u009f]/;

/** 1–128 code points, no `/ + #`, no control character, no lone surrogate, not `.` or `..`. */
export function isAffordanceName(name: string): boolean {
  if (name === "" || name === "." || name === "..") return false;
  const most = FIXED_LIMITS.affordanceNameLengthMax;
  if (name.length > 2 * most || !name.isWellFormed()) return false;
  if (NOT_IN_AFFORDANCE_NAME.test(name)) return false;
  return Array.from(name).length <= most;
}
