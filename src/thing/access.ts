import type { Thing } from "./thing.ts";

/** What a bearer token may hold; complete. */
export const SCOPES = [
  "thing.read",
  "thing.write",
  "thing.report",
  "thing.manage",
  "data.read",
  "data.write",
  "mqtt.credentials",
  "gateway.read",
  "gateway.manage",
] as const;
export type Scope = (typeof SCOPES)[number];

/** What a person may, by the role he has. */
export const ROLES = {
  admin: SCOPES,
  /** Sets up devices: whatever concerns Things, and nothing of the box itself. */
  installer: [
    "thing.read",
    "thing.write",
    "thing.report",
    "thing.manage",
    "data.read",
    "data.write",
    "mqtt.credentials",
    "gateway.read",
  ],
  viewer: ["thing.read", "data.read", "gateway.read"],
} as const satisfies Readonly<Record<string, readonly Scope[]>>;
export type Role = keyof typeof ROLES;
export const ROLE_NAMES = ["admin", "installer", "viewer"] as const satisfies readonly Role[];

/** `all`: every Thing of the account, today's and tomorrow's. Otherwise uids of Things. */
export type GrantedThings =
  { readonly all: true } | { readonly all: false; readonly uids: ReadonlySet<string> };

export type Grant =
  | {
      readonly entity: "things";
      readonly things: GrantedThings;
      readonly role: "device" | "consumer";
      /** May create and replace the Thing Description, never delete it. */
      readonly definition: boolean;
    }
  | { readonly entity: "data"; readonly things: GrantedThings }
  | { readonly entity: "topics"; readonly patterns: readonly TopicPattern[] };

/** Topic filters of a free-topics grant; an empty string is no right. */
export type TopicPattern = { readonly pub: string; readonly sub: string };

/** Who was authenticated. `name` stands in logs and in the audit: never a secret. */
export type Principal =
  | {
      readonly kind: "token";
      readonly name: string;
      /** `undefined`: the box, and so every account. */
      readonly account: string | undefined;
      readonly scopes: ReadonlySet<Scope>;
      /** Number of the uplink that speaks: what it changes came from upstream. */
      readonly via?: number;
    }
  | {
      readonly kind: "credential";
      readonly name: string;
      /** ULID of the credential. */
      readonly id: string;
      readonly account: string;
      readonly grants: readonly Grant[];
    };

/** What can be done with a Thing: the scopes, and `thing.define` (PUT and PATCH of the Thing itself). */
export type Ability =
  | "thing.read"
  | "thing.write"
  | "thing.report"
  | "thing.define"
  | "thing.manage"
  | "data.read"
  | "data.write";

/** May the principal do this anywhere in the account? Says nothing of a particular Thing. */
export function mayInAccount(principal: Principal, account: string, scope: Scope): boolean {
  if (principal.kind === "credential") return false;
  return isOfAccount(principal, account) && principal.scopes.has(scope);
}

/** May the principal do this with the box itself (accounts, tokens of any account, free topics)? */
export function mayInGateway(principal: Principal, scope: Scope): boolean {
  return (
    principal.kind === "token" && principal.account === undefined && principal.scopes.has(scope)
  );
}

export function isOfAccount(principal: Principal, account: string): boolean {
  return principal.account === undefined || principal.account === account;
}

/** May the principal do this with this Thing (or, with `undefined`, with one that is yet to be made)? */
export function mayOnThing(
  principal: Principal,
  account: string,
  thing: Pick<Thing, "uid"> | undefined,
  ability: Ability,
): boolean {
  if (!isOfAccount(principal, account)) return false;
  if (principal.kind === "token") {
    return principal.scopes.has(ability === "thing.define" ? "thing.manage" : ability);
  }
  return principal.grants.some((grant) => grantCovers(grant, thing, ability));
}

/** Are both the same one, and may the same? Of a credential whose grants were set anew: no. */
export function hasSameRights(one: Principal, other: Principal): boolean {
  if (one.name !== other.name || one.account !== other.account) return false;
  if (one.kind === "credential") {
    return other.kind === "credential" && one.id === other.id && one.grants === other.grants;
  }
  return other.kind === "token" && isSameSet(one.scopes, other.scopes);
}

function isSameSet(one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  return one.size === other.size && [...one].every((item) => other.has(item));
}

/** What a change says of where it came from: nothing, or the number of the uplink. */
export function originOf(principal: Principal): { readonly via?: number } {
  if (principal.kind === "credential" || principal.via === undefined) return {};
  return { via: principal.via };
}

/** Does the principal hold any grant or scope that touches this Thing? Decides who is told of refusals. */
export function touchesThing(principal: Principal, thing: Thing): boolean {
  if (!isOfAccount(principal, thing.account)) return false;
  if (principal.kind === "token") return true;
  return principal.grants.some(
    (grant) => grant.entity !== "topics" && isGranted(grant.things, thing),
  );
}

function grantCovers(
  grant: Grant,
  thing: Pick<Thing, "uid"> | undefined,
  ability: Ability,
): boolean {
  if (grant.entity === "topics" || !isGranted(grant.things, thing)) return false;
  if (grant.entity === "data") return ability === "data.read" || ability === "data.write";
  switch (ability) {
    case "thing.read":
    case "thing.write":
      return true;
    case "thing.report":
      return grant.role === "device";
    case "thing.define":
      return grant.definition;
    case "thing.manage":
    case "data.read":
    case "data.write":
      return false;
  }
}

function isGranted(things: GrantedThings, thing: Pick<Thing, "uid"> | undefined): boolean {
  return things.all || (thing !== undefined && things.uids.has(thing.uid));
}
