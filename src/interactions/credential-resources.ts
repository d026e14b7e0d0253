import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Store } from "../store/store.ts";
import {
  mayInGateway,
  type Grant,
  type GrantedThings,
  type Principal,
  type TopicPattern,
} from "../thing/access.ts";
import { grantPatterns, isReservedTree, isTopicFilter } from "../thing/topics.ts";
import { forbidden } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";

/** `resources[]` of a credential as it is asked for and shown. `id`: ids or uids, or `["*"]`. */
export type ResourceRequest =
  | {
      readonly entity: "things";
      readonly id: readonly string[];
      readonly role?: "device" | "consumer" | undefined;
      readonly definition?: boolean | undefined;
    }
  | { readonly entity: "data"; readonly id: readonly string[] }
  | { readonly entity: "topics"; readonly patterns: readonly TopicPattern[] };

/** `topics[]` of a credential. An empty pattern is no right. */
export type ShownPattern = { readonly pattern_pub: string; readonly pattern_sub: string };

const ALL = "*";
const { credentialPartsMax: PARTS_MAX } = FIXED_LIMITS;

/**
 * What the resources grant.
 * @throws GatewayError `malformed`, `unknown-thing`; `forbidden` for topics without `gateway.manage`.
 */
export function resolveGrants(
  deps: InteractionDeps,
  on: { readonly principal: Principal; readonly account: string },
  resources: readonly ResourceRequest[],
): readonly Grant[] {
  if (resources.length === 0) throw malformed("/resources", "at least one resource");
  if (resources.length > PARTS_MAX) throw malformed("/resources", `at most ${PARTS_MAX}`);
  return resources.map((resource, index): Grant => {
    const pointer = `/resources/${index}`;
    switch (resource.entity) {
      case "things":
        return {
          entity: "things",
          things: resolveThings(deps.store, on.account, resource.id, pointer),
          role: resource.role ?? "device",
          definition: resource.definition ?? false,
        };
      case "data":
        return {
          entity: "data",
          things: resolveThings(deps.store, on.account, resource.id, pointer),
        };
      case "topics":
        return resolveTopics(deps, on.principal, resource.patterns, pointer);
    }
  });
}

/** The resources of a credential, Things by their id. */
export function showResources(
  store: Pick<Store, "things">,
  grants: readonly Grant[],
): readonly ResourceRequest[] {
  return grants.map((grant): ResourceRequest => {
    switch (grant.entity) {
      case "topics":
        return { entity: "topics", patterns: grant.patterns };
      case "data":
        return { entity: "data", id: showThings(store, grant.things) };
      case "things":
        return {
          entity: "things",
          id: showThings(store, grant.things),
          role: grant.role,
          ...(grant.definition ? { definition: true } : {}),
        };
    }
  });
}

/** The topic patterns of a credential, as contract 3.1 lists them. */
export function showPatterns(
  store: Pick<Store, "things">,
  account: string,
  grants: readonly Grant[],
): readonly ShownPattern[] {
  return grants.flatMap((grant): readonly ShownPattern[] => {
    if (grant.entity === "topics") {
      return grant.patterns.map(({ pub, sub }) => ({ pattern_pub: pub, pattern_sub: sub }));
    }
    const things = grant.things.all ? ["+"] : showThings(store, grant.things);
    return things.flatMap((thing) => {
      if (grant.entity === "data") return grantPatterns(account, { entity: "data", thing });
      const { role, definition } = grant;
      const pairs = grantPatterns(account, { entity: "things", thing, definition });
      return role === "device" ? pairs : pairs.map(withoutEmission);
    });
  });
}

/** A consumer hears events and does not emit them. */
function withoutEmission(pair: ShownPattern): ShownPattern {
  return pair.pattern_pub.endsWith("/events/#") ? { ...pair, pattern_pub: "" } : pair;
}

function resolveThings(
  store: Pick<Store, "things">,
  account: string,
  ids: readonly string[],
  pointer: string,
): GrantedThings {
  if (ids.length === 0) throw malformed(`${pointer}/id`, 'at least one id, or ["*"]');
  if (ids.includes(ALL)) {
    if (ids.length === 1) return { all: true };
    throw malformed(`${pointer}/id`, '"*" stands alone');
  }
  const uids = ids.map((id, index) => {
    const thing = store.things.find(account, id);
    if (thing !== undefined) return thing.uid;
    throw new GatewayError("unknown-thing", `there is no Thing ${account}/${id}`, {
      faults: [{ pointer: `${pointer}/id/${index}`, detail: "there is no such Thing" }],
    });
  });
  return { all: false, uids: new Set(uids) };
}

function showThings(store: Pick<Store, "things">, things: GrantedThings): readonly string[] {
  if (things.all) return [ALL];
  return [...things.uids].flatMap((uid) => store.things.byUid(uid)?.id ?? []);
}

function resolveTopics(
  deps: InteractionDeps,
  principal: Principal,
  patterns: readonly TopicPattern[],
  pointer: string,
): Grant {
  if (!deps.freeTopics) {
    throw malformed(
      `${pointer}/entity`,
      "topics needs mqtt.free_topics = true in the configuration",
    );
  }
  if (!mayInGateway(principal, "gateway.manage")) {
    throw forbidden(principal, "gateway.manage, which free topics need");
  }
  if (patterns.length === 0) throw malformed(`${pointer}/patterns`, "at least one pattern");
  if (patterns.length > PARTS_MAX) throw malformed(`${pointer}/patterns`, `at most ${PARTS_MAX}`);
  for (const [index, { pub, sub }] of patterns.entries()) {
    const at = `${pointer}/patterns/${index}`;
    if (pub === "" && sub === "") throw malformed(at, "pub, sub or both");
    for (const [member, filter] of [["pub", pub] as const, ["sub", sub] as const]) {
      if (filter === "") continue;
      if (!isTopicFilter(filter)) throw malformed(`${at}/${member}`, "not a topic filter");
      if (isReservedTree(filter)) {
        throw malformed(`${at}/${member}`, "within set/, status/, $SYS/ or an account's data");
      }
    }
  }
  return { entity: "topics", patterns };
}

function malformed(pointer: string, detail: string): GatewayError {
  return new GatewayError("malformed", `${pointer}: expected ${detail}`, {
    faults: [{ pointer, detail }],
  });
}
