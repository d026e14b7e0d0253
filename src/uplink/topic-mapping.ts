import type { UplinkFilter } from "../interactions/uplink-filter.ts";
import type { Account } from "../store/accounts.ts";
import {
  commandFilter,
  gapsTopic,
  gatewayStatusTopic,
  parseInboundTopic,
  parseStatusTopic,
  statusFilters,
  type InboundTopic,
  type StatusTopic,
} from "../thing/topics.ts";
import type { UplinkSettings } from "../uplink-settings.ts";

type Mapped = Pick<UplinkSettings, "shape" | "prefix" | "accounts">;

/** How topics here and upstream correspond: the prefix, and what accounts are called there. */
export type TopicMapping = {
  /** A topic of this gateway, with the account as upstream calls it, as it is upstream. */
  readonly up: (topic: string) => string;
  /** `undefined`: its name upstream is another account's, and the two must not be mixed. */
  readonly upstreamAccount: (account: string) => string | undefined;
  /**
   * What a message of upstream is about, with the account as it is called here. `undefined`: nothing
   * that was subscribed to.
   */
  readonly down: (topic: string) => DownTopic | undefined;
};

/** `set`: as if published here (mirror). `status`: what the gateway above says (peer). */
export type DownTopic =
  | { readonly tree: "set"; readonly topic: InboundTopic }
  | { readonly tree: "status"; readonly topic: StatusTopic };

export function makeTopicMapping({ shape, prefix, accounts }: Mapped): TopicMapping {
  const upstreamBy = new Map(Object.entries(accounts));
  const localBy = new Map(Object.entries(accounts).map(([local, upstream]) => [upstream, local]));
  // An account that keeps its name must not meet one that was given this name.
  const localAccount = (account: string): string | undefined =>
    localBy.get(account) ?? (upstreamBy.has(account) ? undefined : account);
  const down = (topic: string): DownTopic | undefined => {
    if (!topic.startsWith(prefix)) return undefined;
    const parsed = parse(shape, topic.slice(prefix.length));
    const account = parsed === undefined ? undefined : localAccount(parsed.topic.account);
    if (parsed === undefined || account === undefined) return undefined;
    return parsed.tree === "set"
      ? { tree: "set", topic: { ...parsed.topic, account } }
      : { tree: "status", topic: { ...parsed.topic, account } };
  };
  return {
    up: (topic) => prefix + topic,
    upstreamAccount: (account) =>
      upstreamBy.get(account) ?? (localBy.has(account) ? undefined : account),
    down,
  };
}

/** Raw data comes down in neither shape: on its one topic it would be our own again. */
function parse(shape: Mapped["shape"], topic: string): DownTopic | undefined {
  if (shape === "mirror") {
    const parsed = parseInboundTopic(topic);
    return parsed === undefined || parsed.kind === "data"
      ? undefined
      : { tree: "set", topic: parsed };
  }
  const parsed = parseStatusTopic(topic);
  const isFollowed =
    parsed?.kind === "property" || parsed?.kind === "action" || parsed?.kind === "description";
  return isFollowed ? { tree: "status", topic: parsed } : undefined;
}

/** `isOptional`: an upstream that refuses it loses a comfort, not the uplink. */
export type UpstreamSubscription = { readonly filter: string; readonly isOptional: boolean };

/**
 * What is subscribed to upstream, for these accounts of the gateway, sorted. By Thing only where the
 * filter of the uplink names Things: each is one of the few filters that some brokers allow.
 */
export function upstreamSubscriptions(
  { shape }: Pick<UplinkSettings, "shape">,
  mapping: TopicMapping,
  filter: UplinkFilter,
  accounts: readonly string[],
): readonly UpstreamSubscription[] {
  const subscriptions = accounts.flatMap((account): readonly UpstreamSubscription[] => {
    const upstream = mapping.upstreamAccount(account);
    if (upstream === undefined) return [];
    const things = filter.thingsOf(account);
    const levels = things === "all" ? ["+"] : [...things];
    return levels.flatMap((thing) => filtersFor(shape, upstream, thing));
  });
  return subscriptions
    .map(({ filter: below, isOptional }) => ({ filter: mapping.up(below), isOptional }))
    .sort((a, b) => (a.filter < b.filter ? -1 : 1));
}

function filtersFor(
  shape: Mapped["shape"],
  account: string,
  thing: string,
): readonly UpstreamSubscription[] {
  if (shape === "mirror") return [{ filter: commandFilter(account, thing), isOptional: false }];
  const { properties, actions, description } = statusFilters(account, thing);
  return [
    { filter: properties, isOptional: false },
    { filter: actions, isOptional: false },
    // Takes the right `definition` there.
    { filter: description, isOptional: true },
  ];
}

/**
 * Where the gateway itself is told of, upstream: under the oldest account the uplink is for.
 * `undefined`: nowhere. A `peer` takes no status from anybody, and would refuse a will with it.
 */
export function gatewayTopics(
  { shape }: Pick<UplinkSettings, "shape">,
  mapping: TopicMapping,
  filter: UplinkFilter,
  gateway: { readonly id: string; readonly accounts: readonly Account[] },
): { readonly status: string; readonly gaps: string } | undefined {
  if (shape === "peer") return undefined;
  const [home] = gateway.accounts
    .filter(({ name }) => isServed(filter, name) && mapping.upstreamAccount(name) !== undefined)
    .toSorted((a, b) => a.created - b.created || (a.name < b.name ? -1 : 1));
  const account = home === undefined ? undefined : mapping.upstreamAccount(home.name);
  if (account === undefined) return undefined;
  return {
    status: mapping.up(gatewayStatusTopic(account, gateway.id)),
    gaps: mapping.up(gapsTopic(account, gateway.id)),
  };
}

function isServed(filter: UplinkFilter, account: string): boolean {
  const things = filter.thingsOf(account);
  return things === "all" || things.size > 0;
}
