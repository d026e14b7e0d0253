import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { authoriseOnThing } from "../interactions/authorise.ts";
import { backfillHistory, type PastValues } from "../interactions/history-backfill.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { RecordedChange } from "../store/changes.ts";
import { TIME_MS_MAX, type HistorySource } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import { isJsonArray, isJsonObject, type Json, type JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";
import { timeMember } from "./body-members.ts";
import { jsonBody, parseBody } from "./body.ts";
import { onThing, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { historyPage, listAnswer, PAGE_PARAMETERS, pageOf, readPageRequest } from "./lists.ts";
import { findProperty } from "./properties.ts";
import { boundsOf } from "./time-bounds.ts";
import { timeRange } from "./query.ts";

const ALL = "/:account/things/:thing/properties-history";
const ONE = "/:account/things/:thing/properties-history/:property";
const QUERY = [...PAGE_PARAMETERS, "at"];

export const propertyHistoryRoutes: readonly Route[] = [
  { method: "GET", path: ALL, scopes: ["thing.read"], query: QUERY, answer: getHistory },
  { method: "POST", path: ALL, scopes: ["thing.report"], answer: postHistory },
  { method: "GET", path: ONE, scopes: ["thing.read"], query: QUERY, answer: getHistory },
  { method: "POST", path: ONE, scopes: ["thing.report"], answer: postHistory },
];

/** One change as the history shows it: the values asked for, and when they were true. */
type Shown = { readonly at: number; readonly sequence: number; readonly values: JsonObject };

async function getHistory(call: AuthorisedCall): Promise<Answer> {
  const { store } = call.deps;
  const thing = authoriseOnThing(call.deps, onThing(call), "thing.read");
  const names = readableNames(thing, call.params.get("property"));
  const request = readPageRequest(call.query);
  const range = timeRange(call.query);
  // History is read from disk: what was accepted before this call belongs to it.
  await store.commit.caughtUp();
  if (range?.kind === "instant") {
    const sorted = await latestAt(store, thing, names, range.at);
    const page = pageOf(
      sorted,
      request,
      (item) => store.ids.ofMoment(item),
      (item, cursor) => {
        const id = store.ids.ofMoment(item);
        return id > cursor ? -1 : id === cursor ? 0 : 1; // Newest first.
      },
    );
    return listAnswer(call, page, render);
  }
  const sources = names.map((name) => sourceOf(thing, name));
  const page = await historyPage(store.ids, request, boundsOf(range), {
    read: async (slice) => {
      const { items, more } = await store.history.changes(sources, slice);
      return { items: items.flatMap((change) => shown(change, new Set(names))), more };
    },
    momentOf: (item) => item,
  });
  return listAnswer(call, page, render);
}

function sourceOf(thing: Thing, name: string): HistorySource {
  return { thing: thing.number, of: "property", name };
}

function readableNames(thing: Thing, name: string | undefined): readonly string[] {
  if (name !== undefined && !findProperty(thing, name).writeOnly) return [name];
  if (name !== undefined) return [];
  return [...thing.properties.values()].flatMap(({ name, writeOnly }) => (writeOnly ? [] : [name]));
}

/** Of each property the latest at or before `at`; those of one change together; newest first. */
async function latestAt(
  store: Store,
  thing: Thing,
  names: readonly string[],
  at: number,
): Promise<readonly Shown[]> {
  const bySequence = new Map<number, Shown>();
  for (const name of names) {
    const change = await store.history.latestAt(sourceOf(thing, name), at);
    if (change === undefined) continue;
    for (const item of shown(change, new Set([name]))) {
      const before = bySequence.get(item.sequence)?.values ?? {};
      bySequence.set(item.sequence, { ...item, values: { ...before, ...item.values } });
    }
  }
  return [...bySequence.values()].sort((a, b) =>
    a.at === b.at ? b.sequence - a.sequence : b.at - a.at,
  );
}

/** A change may hold values of properties that were not asked for, or can no longer be read. */
function shown(change: RecordedChange, names: ReadonlySet<string>): readonly Shown[] {
  if (change.class !== "property") return [];
  const { at, sequence } = change;
  const values = Object.entries(change.values).filter(([name]) => names.has(name));
  return [{ at, sequence, values: Object.fromEntries(values) }];
}

function render({ at, values }: Pick<Shown, "at" | "values">): JsonObject {
  return { at: formatTime(at), properties: values };
}

async function postHistory(call: AuthorisedCall): Promise<Answer> {
  const body = await jsonBody(call);
  const isOne = !isJsonArray(body);
  const only = call.params.get("property");
  const given = parseBody(pastItems, isOne ? [body] : body);
  const items = given.map((item, index) => requireOnly(item, index, only));
  const { items: recorded } = await backfillHistory(call.deps, { ...onThing(call), items });
  const rendered = recorded.map(({ at, properties }) => render({ at, values: properties }));
  return { status: 201, body: isOne ? (rendered[0] ?? {}) : rendered };
}

const { backfillItemsMax: ITEMS_MAX } = FIXED_LIMITS;

const values = z.custom<Readonly<Record<string, Json>>>(
  (value) => isJsonObject(value) && Object.keys(value).length > 0,
  "must be an object of at least one value",
);

const time = timeMember.refine((at) => at >= 0 && at <= TIME_MS_MAX, "must be a time from 1970 on");

const pastItems = z
  .array(z.strictObject({ at: time, properties: values }))
  .min(1, "must have at least one item")
  .max(ITEMS_MAX, `must have at most ${ITEMS_MAX} items`);

/** Below one property only that one is back-filled. */
function requireOnly(item: PastValues, index: number, only: string | undefined): PastValues {
  const other = Object.keys(item.properties).find((name) => only !== undefined && name !== only);
  if (other === undefined) return item;
  const fault = { pointer: `/${index}/properties`, detail: `must hold ${only ?? ""} only` };
  throw new GatewayError("unknown-member", `properties ${fault.detail}`, { faults: [fault] });
}
