import type { Publication } from "../interactions/publication.ts";
import type { Store } from "../store/store.ts";
import { mayOnThing, type Grant, type Principal } from "../thing/access.ts";
import type { Thing } from "../thing/thing.ts";
import {
  isFilterWithin,
  isReservedTree,
  isTopicFilter,
  matchesFilter,
  parseInboundTopic,
  parseStatusTopic,
  type InboundTopic,
} from "../thing/topics.ts";
import { TopicMemo } from "./topic-memo.ts";

type Found = Pick<Store, "things">;

/** What a topic name published to means to a principal. */
export type PublishRight =
  | { readonly kind: "thing"; readonly topic: InboundTopic }
  | { readonly kind: "free" }
  | { readonly kind: "none"; readonly topic: InboundTopic | undefined };

const parsedTopics = new TopicMemo<InboundTopic | "none">();
const parseOrNone = (topic: string): InboundTopic | "none" => parseInboundTopic(topic) ?? "none";

/** May the principal publish to this topic name? Says nothing of the payload. */
export function publishRight(store: Found, principal: Principal, topic: string): PublishRight {
  const parsed = parsedTopics.of(topic, parseOrNone);
  if (parsed === "none") {
    const isFree = !isReservedTree(topic) && topicPatterns(principal, "pub").some(matches(topic));
    return isFree ? { kind: "free" } : { kind: "none", topic: undefined };
  }
  const thing = store.things.find(parsed.account, parsed.thing);
  const isGranted = abilitiesFor(parsed).some((ability) =>
    mayOnThing(principal, parsed.account, thing, ability),
  );
  return isGranted ? { kind: "thing", topic: parsed } : { kind: "none", topic: parsed };
}

function abilitiesFor(topic: InboundTopic) {
  switch (topic.kind) {
    case "property":
    case "properties":
    case "action":
      return ["thing.write", "thing.report"] as const;
    case "event":
      return ["thing.report"] as const;
    case "description":
      return ["thing.define"] as const;
    case "data":
      return ["data.write"] as const;
  }
}

/**
 * May the principal subscribe with this topic filter? It has to lie within a pattern, the `errors`
 * of its Things, or `status/{account}/things/{thing}/#`, which is filtered when forwarding.
 */
export function maySubscribe(store: Found, principal: Principal, filter: string): boolean {
  if (principal.kind !== "credential" || filter.startsWith("$")) return false;
  return principal.grants.some((grant) => {
    if (grant.entity === "topics") {
      if (isReservedTree(filter)) return false; // No free topic, however wide the pattern.
      return grant.patterns.some(({ sub }) => sub !== "" && isFilterWithin(filter, sub));
    }
    const things = thingLevels(store, principal.account, grant);
    return things.some((level) => isWithinGrant(filter, principal.account, level, grant));
  });
}

/** The ids and uids a grant names, or `+` for all. */
function thingLevels(
  store: Found,
  account: string,
  grant: Exclude<Grant, { entity: "topics" }>,
): readonly string[] {
  if (grant.things.all) return ["+"];
  return [...grant.things.uids].flatMap((uid) => {
    const thing = store.things.byUid(uid);
    return thing?.account === account ? [thing.id, uid] : [];
  });
}

function isWithinGrant(
  filter: string,
  account: string,
  thing: string,
  grant: Exclude<Grant, { entity: "topics" }>,
): boolean {
  const root = `status/${account}/things/${thing}`;
  if (grant.entity === "data") {
    return [`${account}/data/${thing}`, `${root}/errors`].some((outer) =>
      isFilterWithin(filter, outer),
    );
  }
  // Without a wildcard of its own a filter must name something the grant forwards.
  if (/[+#]/.test(filter) && isFilterWithin(filter, `${root}/#`)) return true;
  const tails = ["/properties/#", "/actions/#", "/events/#", "/errors", "/connection"];
  if (grant.definition) tails.push("");
  return tails.some((tail) => isFilterWithin(filter, root + tail));
}

/** May the principal receive this publication? Asked for each message: rights may have changed. */
export function mayReceive(
  principal: Principal,
  publication: Pick<Publication, "thing" | "about" | "isWriteOnly">,
): boolean {
  const { thing, about } = publication;
  const may = (ability: "thing.read" | "thing.report" | "thing.define" | "data.read"): boolean =>
    mayOnThing(principal, thing.account, thing, ability);
  switch (about) {
    case "property":
      return may(publication.isWriteOnly === true ? "thing.report" : "thing.read");
    case "action":
    case "event":
    case "connection":
      return may("thing.read");
    case "errors":
      return may("thing.read") || may("data.read");
    case "description":
      return may("thing.define");
    case "data":
      return may("data.read");
  }
}

/** As `mayReceive`, of a message that was owed to it under this topic before its rights changed. */
export function mayStillReceive(store: Found, principal: Principal, topic: string): boolean {
  const parsed = parseStatusTopic(topic);
  if (parsed === undefined) return mayReceiveFree(principal, topic);
  const thing = store.things.find(parsed.account, parsed.thing);
  if (thing === undefined) return false;
  const isWriteOnly =
    parsed.kind === "property" && thing.properties.get(parsed.name)?.writeOnly === true;
  return mayReceive(principal, { thing, about: parsed.kind, isWriteOnly });
}

/** May the principal receive a message on this free topic? */
export function mayReceiveFree(principal: Principal, topic: string): boolean {
  return !isReservedTree(topic) && topicPatterns(principal, "sub").some(matches(topic));
}

function topicPatterns(principal: Principal, side: "pub" | "sub"): readonly string[] {
  if (principal.kind !== "credential") return [];
  return principal.grants.flatMap((grant) =>
    grant.entity === "topics" ? grant.patterns.map((pattern) => pattern[side]) : [],
  );
}

function matches(topic: string): (pattern: string) => boolean {
  return (pattern) => pattern !== "" && matchesFilter(pattern, topic);
}

/**
 * The filter with the Thing's id where it names a Thing by its uid, because status is published
 * under the id.
 */
export function filterById(store: Found, filter: string): string {
  const levels = filter.split("/");
  const place = levels[0] === "status" && levels[2] === "things" ? 3 : levels[1] === "data" ? 2 : 0;
  const named = levels[place];
  const account = levels[place === 3 ? 1 : 0];
  if (place === 0 || named === undefined || account === undefined) return filter;
  const thing: Thing | undefined = store.things.find(account, named);
  if (thing === undefined || thing.id === named) return filter;
  levels[place] = thing.id;
  const byId = levels.join("/");
  return isTopicFilter(byId) ? byId : filter;
}
