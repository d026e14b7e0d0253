import { GatewayError } from "../errors.ts";
import {
  isOfAccount,
  mayInAccount,
  mayInGateway,
  mayOnThing,
  type Ability,
  type Principal,
  type Scope,
} from "../thing/access.ts";
import type { Thing } from "../thing/thing.ts";
import type { InteractionDeps } from "./deps.ts";

/** Which Thing is meant and by whom: `thing` is an id or a uid. */
export type ThingRequest = {
  readonly principal: Principal;
  readonly account: string;
  readonly thing: string;
};

/**
 * Asks again whether the principal of a request may still do what it could when the request came. To be
 * awaited after whatever takes its time, and before the first row is put.
 * @throws GatewayError `unauthorized`, `forbidden`, `rate-limited`.
 */
export type StillEntitled = () => Promise<void>;

type Found = Pick<InteractionDeps, "store">;

/**
 * The Thing, if the principal may do this with it.
 * @throws GatewayError `forbidden` before anything is said of what exists; then `unknown-account`,
 * `unknown-thing`.
 */
export function authoriseOnThing(deps: Found, request: ThingRequest, ability: Ability): Thing {
  const { principal, account } = request;
  const thing = deps.store.things.find(account, request.thing);
  if (!mayOnThing(principal, account, thing, ability)) {
    throw forbidden(principal, `${ability} on ${account}/${request.thing}`);
  }
  if (thing !== undefined) return thing;
  requireAccount(deps, account);
  throw new GatewayError("unknown-thing", `there is no Thing ${account}/${request.thing}`);
}

/** @throws GatewayError `forbidden`, `unknown-account`. */
export function authoriseInAccount(
  deps: Found,
  principal: Principal,
  account: string,
  scope: Scope,
): void {
  if (!mayInAccount(principal, account, scope)) {
    throw forbidden(principal, `${scope} in account ${account}`);
  }
  requireAccount(deps, account);
}

/** @throws GatewayError `forbidden`. */
export function authoriseInGateway(principal: Principal, scope: Scope): void {
  if (!mayInGateway(principal, scope)) throw forbidden(principal, `${scope} on the gateway`);
}

/** @throws GatewayError `forbidden`, `unknown-account`. */
export function authoriseAccount(deps: Found, principal: Principal, account: string): void {
  if (!isOfAccount(principal, account)) throw forbidden(principal, `account ${account}`);
  requireAccount(deps, account);
}

export function forbidden(principal: Principal, what: string): GatewayError {
  return new GatewayError("forbidden", `${principal.name} does not cover ${what}`);
}

function requireAccount(deps: Found, account: string): void {
  if (!deps.store.accounts.has(account)) {
    throw new GatewayError("unknown-account", `there is no account ${account}`);
  }
}
