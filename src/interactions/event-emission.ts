import { GatewayError } from "../errors.ts";
import type { Moment } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import { originOf } from "../thing/access.ts";
import { pointerTo, type Json, type JsonObject } from "../thing/json.ts";
import type { EventAffordance, Thing } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";
import { eventStatusTopic } from "../thing/topics.ts";
import { authoriseOnThing, type ThingRequest } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import { checkPart, ownMember, refuseOthers, requireObject } from "./payload.ts";

/** An event that happened: its moment is its id. */
export type EventOccurrence = {
  readonly name: string;
  readonly moment: Moment;
  readonly data?: Json;
};

export type EventOutcome = { readonly thing: Thing; readonly event: EventOccurrence };

/**
 * Records an event: `{"data"?: …}`. Synchronous, as every interaction.
 * @throws GatewayError `forbidden`, `unknown-thing`, `unknown-affordance`, `malformed`,
 * `unknown-member`, `schema-violation`, `too-large`.
 */
export function emitEvent(
  deps: InteractionDeps,
  on: ThingRequest & { readonly name: string; readonly body: Json },
): EventOutcome {
  const thing = authoriseOnThing(deps, on, "thing.report");
  const { name } = on;
  const affordance = findEvent(thing, name);
  const body = requireObject(on.body, `{${JSON.stringify(name)}: {"data": …}}`);
  const pointer = pointerTo("", name);
  refuseOthers(body, ["data"], pointer);
  const data = checkPart(affordance.data, ownMember(body, "data"), {
    pointer: pointerTo(pointer, "data"),
    what: `the data of ${name}`,
    bytesMax: deps.limits.value_bytes,
  });
  const { store } = deps;
  const at = deps.clock.wallMs();
  const content = { name, ...(data === undefined ? {} : { data }) };
  const stamp = { thing: thing.number, at, ...originOf(on.principal) };
  const sequence = store.changes.append({ class: "event", ...stamp, ...content });
  const moment = { at, sequence };
  store.historyIndex.add({ thing: thing.number, of: "event", name }, moment);
  const event: EventOccurrence = { ...content, moment };
  deps.publish({
    topic: eventStatusTopic(thing, name),
    payload: JSON.stringify(eventObject(store, thing, event)),
    thing,
    about: "event",
  });
  return { thing, event };
}

/** `{"<event>": {"data"?, "timestamp", "href"}}`: the same over both protocols. */
export function eventObject(
  store: Pick<Store, "ids">,
  thing: Pick<Thing, "account" | "id">,
  { name, data, moment }: EventOccurrence,
): JsonObject {
  return {
    [name]: {
      ...(data === undefined ? {} : { data }),
      timestamp: formatTime(moment.at),
      href: eventHref(store, thing, name, moment),
    },
  };
}

export function eventHref(
  store: Pick<Store, "ids">,
  thing: Pick<Thing, "account" | "id">,
  name: string,
  moment: Moment,
): string {
  const id = store.ids.ofMoment(moment);
  return `/${thing.account}/things/${thing.id}/events/${encodeURIComponent(name)}/${id}`;
}

/** @throws GatewayError `unknown-affordance`. */
export function findEvent(thing: Thing, name: string): EventAffordance {
  const event = thing.events.get(name);
  if (event !== undefined) return event;
  throw new GatewayError("unknown-affordance", `${thing.id} has no event ${name}`);
}
