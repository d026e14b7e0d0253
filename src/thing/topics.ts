import { isAccountName, isAffordanceName, isThingId, type Thing } from "./thing.ts";

// The only file that spells a topic: what clients publish (`set/…`, `{account}/data/…`), what the
// gateway publishes (`status/…`), and the rules of MQTT 3.1.1 §4.7 for topic names and filters.

/** `thing` is an id or a uid, as it stood in the topic. */
export type ThingTopic<Kind extends string> = {
  readonly kind: Kind;
  readonly account: string;
  readonly thing: string;
};
export type AffordanceTopic = ThingTopic<"property" | "action" | "event"> & {
  readonly name: string;
};

/** What a client may publish for the gateway to interpret. */
export type InboundTopic = AffordanceTopic | ThingTopic<"properties" | "description" | "data">;

/** What the gateway publishes; `data` is the echo on the very topic it was published to. */
export type StatusTopic =
  AffordanceTopic | ThingTopic<"description" | "errors" | "connection" | "data">;

/** Whether a device is there is told only to filters that name it: it may come and go all the time. */
const CONNECTION_LEVEL = "/connection";
export const namesConnection = (filter: string): boolean => filter.endsWith(CONNECTION_LEVEL);

/** A Thing as topics name it. */
export type NamedThing = Pick<Thing, "account" | "id">;

/** `undefined`: not a topic the gateway interprets, or with a name that cannot exist. */
export function parseInboundTopic(topic: string): InboundTopic | undefined {
  if (!topic.startsWith("set/")) return parseDataTopic(topic);
  const at = parseThing(topic, "set/".length);
  if (at === undefined) return undefined;
  const { account, thing, rest } = at;
  if (rest === "") return { kind: "description", account, thing };
  if (rest === "/properties") return { kind: "properties", account, thing };
  return parseAffordance(account, thing, rest);
}

/** `undefined`: not a topic the gateway publishes to. */
export function parseStatusTopic(topic: string): StatusTopic | undefined {
  if (!topic.startsWith("status/")) return parseDataTopic(topic);
  const at = parseThing(topic, "status/".length);
  if (at === undefined) return undefined;
  const { account, thing, rest } = at;
  if (rest === "") return { kind: "description", account, thing };
  if (rest === "/errors") return { kind: "errors", account, thing };
  if (rest === CONNECTION_LEVEL) return { kind: "connection", account, thing };
  return parseAffordance(account, thing, rest);
}

export const propertyStatusTopic = (thing: NamedThing, name: string): string =>
  `status/${thing.account}/things/${thing.id}/properties/${name}`;
export const actionStatusTopic = (thing: NamedThing, name: string): string =>
  `status/${thing.account}/things/${thing.id}/actions/${name}`;
export const eventStatusTopic = (thing: NamedThing, name: string): string =>
  `status/${thing.account}/things/${thing.id}/events/${name}`;
export const descriptionStatusTopic = (thing: NamedThing): string =>
  `status/${thing.account}/things/${thing.id}`;
export const errorsTopic = (thing: NamedThing): string =>
  `status/${thing.account}/things/${thing.id}/errors`;
export const connectionTopic = (thing: NamedThing): string =>
  `status/${thing.account}/things/${thing.id}${CONNECTION_LEVEL}`;
export const dataTopic = (thing: NamedThing): string => `${thing.account}/data/${thing.id}`;

/** Whether the gateway is there, as its uplinks tell it. */
export const gatewayStatusTopic = (account: string, gatewayId: string): string =>
  `status/${account}/gateways/${gatewayId}`;
/** What was never sent, as its uplinks tell it. */
export const gapsTopic = (account: string, gatewayId: string): string =>
  `status/${account}/gateways/${gatewayId}/gaps`;

export const propertySetTopic = (thing: NamedThing, name: string): string =>
  `set/${thing.account}/things/${thing.id}/properties/${name}`;
export const propertiesSetTopic = (thing: NamedThing): string =>
  `set/${thing.account}/things/${thing.id}/properties`;
export const actionSetTopic = (thing: NamedThing, name: string): string =>
  `set/${thing.account}/things/${thing.id}/actions/${name}`;
export const eventSetTopic = (thing: NamedThing, name: string): string =>
  `set/${thing.account}/things/${thing.id}/events/${name}`;
export const descriptionSetTopic = (thing: NamedThing): string =>
  `set/${thing.account}/things/${thing.id}`;

/** What a command to these Things is published to: `thing` is an id, or `+` for every Thing. */
export const commandFilter = (account: string, thing: string): string =>
  `set/${account}/things/${thing === "+" ? "#" : `${thing}/#`}`;
/** What these Things say of their properties, their actions and themselves. */
export const statusFilters = (account: string, thing: string) => ({
  properties: `status/${account}/things/${thing}/properties/+`,
  actions: `status/${account}/things/${thing}/actions/+`,
  description: `status/${account}/things/${thing}`,
});

/** One resource of a credential: `thing` is an id, or `+` for every Thing of the account. */
export type GrantTarget =
  | { readonly entity: "things"; readonly thing: string; readonly definition: boolean }
  | { readonly entity: "data"; readonly thing: string };

/** The pairs of topic filters an answer to a credentials request shows, in the order it shows them. */
export function grantPatterns(
  account: string,
  grant: GrantTarget,
): readonly { readonly pattern_pub: string; readonly pattern_sub: string }[] {
  if (grant.entity === "data") {
    const pattern = dataTopic({ account, id: grant.thing });
    return [{ pattern_pub: pattern, pattern_sub: pattern }];
  }
  const tails = ["/properties/#", "/actions/#", "/events/#", ...(grant.definition ? [""] : [])];
  const thing = `${account}/things/${grant.thing}`;
  return tails.map((tail) => ({
    pattern_pub: `set/${thing}${tail}`,
    pattern_sub: `status/${thing}${tail}`,
  }));
}

/** Is this topic name or filter wholly in a tree the gateway owns? Free topics are all the others. */
export function isReservedTree(topicOrFilter: string): boolean {
  if (topicOrFilter.startsWith("$")) return true;
  const end = levelEnd(topicOrFilter, 0);
  const first = topicOrFilter.slice(0, end);
  if (first === "set" || first === "status") return true;
  if (end === topicOrFilter.length) return false;
  return topicOrFilter.slice(end + 1, levelEnd(topicOrFilter, end + 1)) === "data";
}

/** Is this topic name or filter wholly in the tree that is published to and never read? */
export function isWithinSetTree(topicOrFilter: string): boolean {
  return topicOrFilter === "set" || topicOrFilter.startsWith("set/");
}

/** [MQTT-4.7.3-1..3], [MQTT-3.3.2-2]: not empty, at most 65,535 bytes, no NUL, no wildcard. */
export function isTopicName(text: string): boolean {
  return isTopicText(text) && !text.includes("+") && !text.includes("#");
}

/** As a topic name, but a level may be `+`, and the last one `#` [MQTT-4.7.1-2, 4.7.1-3]. */
export function isTopicFilter(text: string): boolean {
  if (!isTopicText(text)) return false;
  for (let start = 0; start <= text.length;) {
    const end = levelEnd(text, start);
    const level = text.slice(start, end);
    if (level === "#" && end !== text.length) return false;
    if (level.length > 1 && (level.includes("+") || level.includes("#"))) return false;
    start = end + 1;
  }
  return true;
}

/** How many levels a topic name or filter has; empty ones count. */
export function topicLevels(text: string): number {
  let levels = 1;
  for (let at = text.indexOf("/"); at !== -1; at = text.indexOf("/", at + 1)) levels += 1;
  return levels;
}

/** Does the (valid) filter match the (valid) topic name? Level by level, allocating nothing. */
export function matchesFilter(filter: string, topic: string): boolean {
  if (topic.startsWith("$") && startsWithWildcard(filter)) return false; // [MQTT-4.7.2-1]
  let filterStart = 0;
  let topicStart = 0;
  for (;;) {
    if (filter.startsWith("#", filterStart)) return true;
    const filterEnd = levelEnd(filter, filterStart);
    const topicEnd = levelEnd(topic, topicStart);
    if (!filter.startsWith("+", filterStart)) {
      const length = filterEnd - filterStart;
      if (length !== topicEnd - topicStart) return false;
      if (!topic.startsWith(filter.slice(filterStart, filterEnd), topicStart)) return false;
    }
    if (topicEnd === topic.length) {
      // `a/#` matches its parent `a`, §4.7.1.2.
      return filterEnd === filter.length || filter.startsWith("/#", filterEnd);
    }
    if (filterEnd === filter.length) return false;
    filterStart = filterEnd + 1;
    topicStart = topicEnd + 1;
  }
}

/** Is every topic name that `inner` matches matched by `outer` too? Both are valid filters. */
export function isFilterWithin(inner: string, outer: string): boolean {
  if (inner.startsWith("$") && startsWithWildcard(outer)) return false;
  const innerLevels = filterLevels(inner);
  const outerLevels = filterLevels(outer);
  for (const [index, level] of outerLevels.entries()) {
    if (level === "#") return true;
    const innerLevel = innerLevels[index];
    if (innerLevel === undefined || innerLevel === "#") return false;
    if (level !== "+" && level !== innerLevel) return false;
  }
  return innerLevels.length === outerLevels.length;
}

/** Is there a topic name that both match? Both are valid filters. */
export function overlapsFilter(a: string, b: string): boolean {
  if (a.startsWith("$") && startsWithWildcard(b)) return false;
  if (b.startsWith("$") && startsWithWildcard(a)) return false;
  const aLevels = filterLevels(a);
  const bLevels = filterLevels(b);
  for (let index = 0; ; index += 1) {
    const aLevel = aLevels[index];
    const bLevel = bLevels[index];
    if (aLevel === "#" || bLevel === "#") return true;
    if (aLevel === undefined || bLevel === undefined) return aLevel === bLevel;
    if (aLevel !== "+" && bLevel !== "+" && aLevel !== bLevel) return false;
  }
}

/** Reads `{account}/things/{thing}` from `start` on; `rest` is empty or begins with `/`. */
function parseThing(
  topic: string,
  start: number,
): { readonly account: string; readonly thing: string; readonly rest: string } | undefined {
  const accountEnd = topic.indexOf("/", start);
  if (accountEnd === -1 || !topic.startsWith("/things/", accountEnd)) return undefined;
  const thingStart = accountEnd + "/things/".length;
  const thingEnd = levelEnd(topic, thingStart);
  const account = topic.slice(start, accountEnd);
  const thing = topic.slice(thingStart, thingEnd);
  if (!isAccountName(account) || !isThingId(thing)) return undefined; // A ULID is a Thing id, too.
  return { account, thing, rest: topic.slice(thingEnd) };
}

function parseAffordance(
  account: string,
  thing: string,
  rest: string,
): AffordanceTopic | undefined {
  const nameStart = rest.indexOf("/", 1) + 1;
  const name = rest.slice(nameStart);
  if (nameStart === 0 || !isAffordanceName(name)) return undefined;
  switch (rest.slice(0, nameStart)) {
    case "/properties/":
      return { kind: "property", account, thing, name };
    case "/actions/":
      return { kind: "action", account, thing, name };
    case "/events/":
      return { kind: "event", account, thing, name };
    default:
      return undefined;
  }
}

function parseDataTopic(topic: string): ThingTopic<"data"> | undefined {
  const accountEnd = topic.indexOf("/");
  if (accountEnd === -1 || !topic.startsWith("/data/", accountEnd)) return undefined;
  const account = topic.slice(0, accountEnd);
  const thing = topic.slice(accountEnd + "/data/".length);
  if (!isAccountName(account) || !isThingId(thing)) return undefined;
  return { kind: "data", account, thing };
}

const TOPIC_BYTES_MAX = 65_535; // A UTF-8 string's length prefix has two bytes, §1.5.3.

function isTopicText(text: string): boolean {
  if (text === "" || text.length > TOPIC_BYTES_MAX) return false;
  if (text.includes("\u0000") || !text.isWellFormed()) return false;
  return text.length * 3 <= TOPIC_BYTES_MAX || Buffer.byteLength(text) <= TOPIC_BYTES_MAX;
}

function levelEnd(text: string, start: number): number {
  const end = text.indexOf("/", start);
  return end === -1 ? text.length : end;
}

/** The parent that `#` and `/#` match besides is the empty topic name, which does not exist. */
function filterLevels(filter: string): readonly string[] {
  if (filter === "#") return ["+", "#"];
  if (filter === "/#") return ["", "+", "#"];
  return filter.split("/");
}

function startsWithWildcard(filter: string): boolean {
  return filter.startsWith("+") || filter.startsWith("#");
}
