import { GatewayError } from "../errors.ts";
import {
  authoriseAccount,
  authoriseInAccount,
  authoriseOnThing,
} from "../interactions/authorise.ts";
import { recordData } from "../interactions/data-recording.ts";
import { findRecorded } from "../interactions/recorded-changes.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { RecordedChange } from "../store/changes.ts";
import type { HistorySource } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import type { JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";
import { jsonBody } from "./body.ts";
import { onAccount, onThing, param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import {
  historyPage,
  listAnswer,
  PAGE_PARAMETERS,
  pageOf,
  readPageRequest,
  type PageRequest,
} from "./lists.ts";
import { invalidParameter, timeRange } from "./query.ts";
import { boundsOf } from "./time-bounds.ts";

const ALL = "/:account/data";
const OF_THING = "/:account/data/:thing";
const ONE = "/:account/data/:thing/:id";
const READ = ["data.read"] as const;
const QUERY = [...PAGE_PARAMETERS, "at"];

export const dataRoutes: readonly Route[] = [
  { method: "POST", path: OF_THING, scopes: ["data.write"], answer: postData },
  { method: "GET", path: OF_THING, scopes: READ, query: QUERY, answer: listOfThing },
  { method: "GET", path: ALL, scopes: READ, query: [...QUERY, "source[]"], answer: listOfSources },
  { method: "GET", path: ONE, scopes: READ, answer: getDatum },
];

async function postData(call: AuthorisedCall): Promise<Answer> {
  const body = await jsonBody(call);
  const { thing, moment } = recordData(call.deps, { ...onThing(call), body });
  const id = call.deps.store.ids.ofMoment(moment);
  return {
    status: 201,
    body: { at: formatTime(moment.at), id, source: thing.id },
    etag: id,
    headers: { Location: `/${thing.account}/data/${thing.id}/${id}` },
  };
}

async function listOfThing(call: AuthorisedCall): Promise<Answer> {
  return listData(call, [authoriseOnThing(call.deps, onThing(call), "data.read")]);
}

async function listOfSources(call: AuthorisedCall): Promise<Answer> {
  const on = onAccount(call);
  const ids = call.query.get("source[]");
  if (ids === undefined) {
    authoriseInAccount(call.deps, on.principal, on.account, "data.read");
    requireFew(call.deps.store.things.countOfAccount(on.account));
    return listData(call, [...call.deps.store.things.ofAccount(on.account)]);
  }
  authoriseAccount(call.deps, on.principal, on.account);
  requireFew(ids.length);
  const things = ids.map((thing) => authoriseOnThing(call.deps, { ...on, thing }, "data.read"));
  return listData(call, [...new Set(things)]);
}

function requireFew(sources: number): void {
  const { dataSourcesMax } = FIXED_LIMITS;
  if (sources <= dataSourcesMax) return;
  throw invalidParameter("source[]", `must name the Things, at most ${dataSourcesMax} of them`);
}

/** A datum and the Thing it came from. */
type Datum = {
  readonly thing: Thing;
  readonly at: number;
  readonly sequence: number;
  readonly content: JsonObject;
};

async function listData(call: AuthorisedCall, things: readonly Thing[]): Promise<Answer> {
  const { store } = call.deps;
  const request = readPageRequest(call.query);
  const range = timeRange(call.query);
  const byNumber = new Map(things.map((thing) => [thing.number, thing]));
  await store.commit.caughtUp();
  if (range?.kind === "instant") {
    const latest = await latestAt(store, things, range.at, byNumber);
    return listAnswer(call, pageOfMoments(store, latest, request), (datum) => render(store, datum));
  }
  const page = await historyPage(store.ids, request, boundsOf(range), {
    read: async (slice) => {
      const { items, more } = await store.history.changes(things.map(sourceOf), slice);
      return { items: items.flatMap((change) => datumOf(change, byNumber)), more };
    },
    momentOf: (datum) => datum,
  });
  return listAnswer(call, page, (datum) => render(store, datum));
}

/** Of each Thing the latest at or before `at`, newest first. */
async function latestAt(
  store: Store,
  things: readonly Thing[],
  at: number,
  byNumber: ReadonlyMap<number, Thing>,
): Promise<readonly Datum[]> {
  const latest: Datum[] = [];
  for (const thing of things) {
    const change = await store.history.latestAt(sourceOf(thing), at);
    if (change !== undefined) latest.push(...datumOf(change, byNumber));
  }
  return latest.sort((a, b) => (a.at === b.at ? b.sequence - a.sequence : b.at - a.at));
}

function pageOfMoments(store: Store, newestFirst: readonly Datum[], request: PageRequest) {
  const idOf = (datum: Datum): string => store.ids.ofMoment(datum);
  return pageOf(newestFirst, request, idOf, (datum, cursor) => {
    const id = idOf(datum);
    return id > cursor ? -1 : id === cursor ? 0 : 1;
  });
}

function getDatum(call: AuthorisedCall): Answer {
  const { store } = call.deps;
  const thing = authoriseOnThing(call.deps, onThing(call), "data.read");
  const id = param(call, "id");
  const change = findRecorded(call.deps, sourceOf(thing), id);
  const [datum] = change === undefined ? [] : datumOf(change, new Map([[thing.number, thing]]));
  if (datum === undefined) throw new GatewayError("not-found", `${thing.id} has no datum ${id}`);
  return { status: 200, body: render(store, datum), etag: id };
}

function sourceOf(thing: Thing): HistorySource {
  return { thing: thing.number, of: "data", name: "" };
}

function datumOf(change: RecordedChange, byNumber: ReadonlyMap<number, Thing>): readonly Datum[] {
  const thing = byNumber.get(change.thing);
  if (change.class !== "data" || thing === undefined) return [];
  const { at, sequence, content } = change;
  return [{ thing, at, sequence, content }];
}

function render(store: Pick<Store, "ids">, { thing, at, sequence, content }: Datum): JsonObject {
  return {
    at: formatTime(at),
    id: store.ids.ofMoment({ at, sequence }),
    content,
    "content-type": "application/json",
    source: thing.id,
    source_id: thing.uid,
  };
}
