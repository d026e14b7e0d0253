import { FIXED_LIMITS } from "../../limits.ts";
import type { Store } from "../../store/store.ts";
import type { Grant, GrantedThings } from "../../thing/access.ts";
import type { JsonObject } from "../../thing/json.ts";
import type { Thing } from "../../thing/thing.ts";
import { dataTopic, isReservedTree, isTopicName, propertySetTopic } from "../../thing/topics.ts";
import type { Example } from "./card.ts";
import { sampleValue } from "./sample-value.ts";

/** A message that the gateway would take from the holder of these grants. */
export function exampleFor(
  store: Pick<Store, "things">,
  account: string,
  grants: readonly Grant[],
): Example | undefined {
  for (const grant of grants) {
    const example = ofGrant(store, account, grant);
    if (example !== undefined) return example;
  }
  return undefined;
}

function ofGrant(store: Pick<Store, "things">, account: string, grant: Grant): Example | undefined {
  switch (grant.entity) {
    case "things":
      return firstOf(thingsOf(store, account, grant.things), (thing) =>
        ofProperties(thing, grant.role),
      );
    case "data":
      return firstOf(thingsOf(store, account, grant.things), (thing) =>
        message(dataTopic(thing), { hello: 1 }),
      );
    case "topics":
      return firstOf(grant.patterns, ({ pub }) => ofPattern(pub));
  }
}

function* thingsOf(
  store: Pick<Store, "things">,
  account: string,
  granted: GrantedThings,
): Iterable<Thing> {
  let left = FIXED_LIMITS.cardThingsMax;
  if (granted.all) {
    for (const thing of store.things.ofAccount(account)) if ((left -= 1) >= 0) yield thing;
    return;
  }
  for (const uid of granted.uids) {
    const thing = store.things.byUid(uid);
    if (thing !== undefined && (left -= 1) >= 0) yield thing;
  }
}

function ofProperties(thing: Thing, role: "device" | "consumer"): Example | undefined {
  return firstOf(thing.properties.values(), ({ name, schema, readOnly, writeOnly }) => {
    if (writeOnly || (readOnly && role !== "device")) return undefined;
    const value = sampleValue(schema);
    return value === undefined
      ? undefined
      : message(propertySetTopic(thing, name), { [name]: value });
  });
}

/** A topic within the filter. */
function ofPattern(filter: string): Example | undefined {
  if (filter === "") return undefined;
  const topic = filter
    .split("/")
    .map((level) => (level === "+" || level === "#" ? "hello" : level))
    .join("/");
  return isTopicName(topic) && !isReservedTree(topic) ? message(topic, { hello: 1 }) : undefined;
}

function message(topic: string, payload: JsonObject): Example {
  return { topic, payload: JSON.stringify(payload) };
}

function firstOf<Item, Found>(
  items: Iterable<Item>,
  find: (item: Item) => Found | undefined,
): Found | undefined {
  for (const item of items) {
    const found = find(item);
    if (found !== undefined) return found;
  }
  return undefined;
}
