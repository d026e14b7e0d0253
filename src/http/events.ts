import { authoriseOnThing } from "../interactions/authorise.ts";
import {
  emitEvent,
  eventHref,
  eventObject,
  findEvent,
  type EventOccurrence,
} from "../interactions/event-emission.ts";
import { keyedValue } from "../interactions/payload.ts";
import { deleteOccurrence, findOccurrence } from "../interactions/recorded-changes.ts";
import type { RecordedChange } from "../store/changes.ts";
import type { Thing } from "../thing/thing.ts";
import { jsonBody } from "./body.ts";
import { onThing, param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { answerDeleteElement } from "./elements.ts";
import { historyPage, listAnswer, PAGE_PARAMETERS, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";

const ALL = "/:account/things/:thing/events";
const OF_EVENT = "/:account/things/:thing/events/:event";
const ONE = "/:account/things/:thing/events/:event/:id";
const READ = ["thing.read"] as const;

export const eventRoutes: readonly Route[] = [
  { method: "GET", path: ALL, scopes: READ, query: PAGE_PARAMETERS, answer: listEvents },
  { method: "GET", path: OF_EVENT, scopes: READ, query: PAGE_PARAMETERS, answer: listEvents },
  { method: "POST", path: OF_EVENT, scopes: ["thing.report"], answer: postEvent },
  {
    method: "DELETE",
    path: OF_EVENT,
    audit: "element.delete",
    scopes: ["thing.manage"],
    answer: answerDeleteElement("events", "event"),
  },
  { method: "GET", path: ONE, scopes: READ, answer: getEvent },
  {
    method: "DELETE",
    path: ONE,
    audit: "event.delete",
    scopes: ["thing.manage"],
    answer: deleteEvent,
  },
];

async function listEvents(call: AuthorisedCall): Promise<Answer> {
  const { store } = call.deps;
  const thing = authoriseOnThing(call.deps, onThing(call), "thing.read");
  const request = readPageRequest(call.query);
  const sources = namesOf(thing, call.params.get("event")).map(
    (name) => ({ thing: thing.number, of: "event", name }) as const,
  );
  await store.commit.caughtUp();
  const page = await historyPage(
    store.ids,
    request,
    {},
    {
      read: async (slice) => {
        const { items, more } = await store.history.changes(sources, slice);
        return { items: items.flatMap(occurrenceOf), more };
      },
      momentOf: ({ moment }) => moment,
    },
  );
  return listAnswer(call, page, (item) => eventObject(store, thing, item));
}

function namesOf(thing: Thing, name: string | undefined): readonly string[] {
  return name === undefined ? [...thing.events.keys()] : [findEvent(thing, name).name];
}

function occurrenceOf(change: RecordedChange): readonly EventOccurrence[] {
  if (change.class !== "event") return [];
  const { name, at, sequence, data } = change;
  return [{ name, moment: { at, sequence }, ...(data === undefined ? {} : { data }) }];
}

async function postEvent(call: AuthorisedCall): Promise<Answer> {
  const name = param(call, "event");
  const body = keyedValue(await jsonBody(call), name);
  const { store } = call.deps;
  const { thing, event } = emitEvent(call.deps, { ...onThing(call), name, body });
  return {
    status: 201,
    body: eventObject(store, thing, event),
    etag: store.ids.ofMoment(event.moment),
    headers: { Location: eventHref(store, thing, name, event.moment) },
  };
}

function getEvent(call: AuthorisedCall): Answer {
  const on = onEvent(call);
  const { thing, event } = findOccurrence(call.deps, on);
  // What happened does not change: the id is tag enough.
  return { status: 200, body: eventObject(call.deps.store, thing, event), etag: on.id };
}

function deleteEvent(call: AuthorisedCall): Answer {
  const on = onEvent(call);
  const precondition = (): void => requireMatch(call.preconditions, on.id);
  deleteOccurrence(call.deps, { ...on, precondition });
  return { status: 204 };
}

function onEvent(call: AuthorisedCall) {
  return { ...onThing(call), name: param(call, "event"), id: param(call, "id") };
}
