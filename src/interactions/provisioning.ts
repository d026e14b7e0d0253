import { GatewayError } from "../errors.ts";
import { makeThing } from "../store/things.ts";
import { mayOnThing, originOf, type Principal } from "../thing/access.ts";
import type { JsonObject } from "../thing/json.ts";
import {
  affordancesOf,
  mergeElements,
  readThingDescription,
  removeAffordance,
  renderThingDescription,
} from "../thing/thing-description.ts";
import {
  isThingId,
  isUlid,
  type AffordanceKind,
  type Affordances,
  type Thing,
} from "../thing/thing.ts";
import { descriptionStatusTopic } from "../thing/topics.ts";
import { authoriseInAccount, authoriseOnThing, type ThingRequest } from "./authorise.ts";
import { withdrawGrants } from "./credential-grants.ts";
import type { InteractionDeps } from "./deps.ts";

/** What a client may require of the present revision: `If-Match`, `If-None-Match: *` (RFC 9110 §13). */
export type Precondition = (present: Thing | undefined) => void;

/**
 * Creates a Thing from a Thing Description, whose `id` is optional.
 * @throws GatewayError `forbidden`, `unknown-account`, `description-invalid`, `conflict`, `limit-reached`.
 */
export function createThing(
  deps: InteractionDeps,
  request: Omit<ThingRequest, "thing"> & { readonly description: unknown },
): Thing {
  authoriseInAccount(deps, request.principal, request.account, "thing.manage");
  const read = readDescription(deps, request.description);
  const uid = deps.store.ids.next();
  const id = read.id ?? uid;
  requireFree(deps, request.account, id);
  const given = { account: request.account, id, uid, description: read.description };
  return commitNew(deps, request.principal, given);
}

/**
 * Creates the Thing or replaces its Thing Description. What the new one leaves out is deleted:
 * with `keepElements` its properties, actions and events stay.
 * @throws GatewayError as `createThing`, and what `precondition` throws.
 */
export function putThing(
  deps: InteractionDeps,
  request: ThingRequest & {
    readonly description: unknown;
    readonly precondition?: Precondition;
    readonly keepElements?: boolean;
  },
): { readonly thing: Thing; readonly created: boolean } {
  const present = authoriseDefinition(deps, request);
  request.precondition?.(present);
  const read = readDescription(deps, request.description);
  if (read.id !== undefined && read.id !== request.thing && read.id !== present?.id) {
    throw invalid("/id", `is ${read.id} and the path says ${request.thing}`);
  }
  if (present === undefined) {
    if (!isThingId(request.thing)) throw invalid("/id", "is not a valid Thing id");
    requireFree(deps, request.account, request.thing);
    const uid = deps.store.ids.next();
    const { account, thing: id } = request;
    const given = { account, id, uid, description: read.description };
    return { thing: commitNew(deps, request.principal, given), created: true };
  }
  const description =
    request.keepElements === true
      ? readDescription(deps, mergeElements(present.description, read.description)).description
      : read.description;
  const thing = replaceDescription(deps, request.principal, present, description);
  return { thing, created: false };
}

/**
 * Changes a Thing Description. `change` gets what a GET would have shown.
 * @throws GatewayError as `putThing`, `unknown-thing`, and what `change` throws.
 */
export function changeThing(
  deps: InteractionDeps,
  request: ThingRequest & {
    readonly change: (shown: JsonObject) => unknown;
    readonly precondition?: Precondition;
  },
): Thing {
  const present = authoriseOnThing(deps, request, "thing.define");
  request.precondition?.(present);
  const read = readDescription(deps, request.change(renderThingDescription(present)));
  if (read.id !== undefined && read.id !== present.id) throw invalid("/id", "cannot be changed");
  return replaceDescription(deps, request.principal, present, read.description);
}

/**
 * Deletes one property, action or event with its state and history.
 * @throws GatewayError `forbidden`, `unknown-thing`, `unknown-affordance`.
 */
export function deleteElement(
  deps: InteractionDeps,
  request: ThingRequest & {
    readonly kind: AffordanceKind;
    readonly name: string;
    readonly precondition?: Precondition;
  },
): Thing {
  const present = authoriseOnThing(deps, request, "thing.manage");
  request.precondition?.(present);
  const description = removeAffordance(present.description, request.kind, request.name);
  if (description === undefined) {
    const detail = `${present.id} has no ${request.name} among its ${request.kind}`;
    throw new GatewayError("unknown-affordance", detail);
  }
  return replaceDescription(deps, request.principal, present, description);
}

/**
 * Deletes a Thing with its elements, state, history, pending action requests and grants.
 * @throws GatewayError `forbidden`, `unknown-thing`.
 */
export function deleteThing(
  deps: InteractionDeps,
  request: ThingRequest & { readonly precondition?: Precondition },
): void {
  const present = authoriseOnThing(deps, request, "thing.manage");
  request.precondition?.(present);
  eraseThing(deps, present);
  withdrawGrants(deps, present);
}

/** Of `deleteThing` all but the grants: they go with the credentials when an account is deleted. */
export function eraseThing(deps: InteractionDeps, thing: Thing): void {
  const { changes, things, properties, requests, retention } = deps.store;
  const { account, id, uid, number } = thing;
  const removed = [...properties.ofThing(number).keys()];
  changes.append({
    class: "thing",
    thing: number,
    at: deps.clock.wallMs(),
    account,
    id,
    uid,
    ...(removed.length === 0 ? {} : { removed }),
  });
  things.delete(thing);
  properties.deleteThing(number);
  for (const unfinished of [...requests.unfinishedOf(number)]) requests.delete(unfinished);
  requests.forgetThing(number);
  retention.forget(number);
}

function authoriseDefinition(deps: InteractionDeps, request: ThingRequest): Thing | undefined {
  const { principal, account, thing } = request;
  const present = deps.store.things.find(account, thing);
  if (present !== undefined || !mayOnThing(principal, account, undefined, "thing.define")) {
    return authoriseOnThing(deps, request, "thing.define");
  }
  if (deps.store.accounts.has(account)) return undefined;
  throw new GatewayError("unknown-account", `there is no account ${account}`);
}

function readDescription(
  deps: InteractionDeps,
  given: unknown,
): { readonly id: string | undefined; readonly description: JsonObject } {
  const read = readThingDescription(given, deps.limits);
  if (read.ok) return read;
  const first = read.faults[0];
  const detail = first === undefined ? "" : `: ${first.pointer} ${first.detail}`;
  throw new GatewayError("description-invalid", `the Thing Description is not valid${detail}`, {
    faults: read.faults,
  });
}

function invalid(pointer: string, detail: string): GatewayError {
  return new GatewayError("description-invalid", `${pointer} ${detail}`, {
    faults: [{ pointer, detail }],
  });
}

/** An id that is another Thing's uid would make that one unreachable by its uid. */
function requireFree(deps: InteractionDeps, account: string, id: string): void {
  if (deps.store.things.find(account, id) !== undefined) {
    throw new GatewayError("conflict", `there is a Thing ${account}/${id} already`);
  }
  if (isUlid(id) && deps.store.things.byUid(id) !== undefined) {
    throw new GatewayError("conflict", `${id} is the uid of another Thing`);
  }
  if (deps.store.things.count >= deps.limits.things) {
    throw new GatewayError(
      "limit-reached",
      `there are ${deps.limits.things} Things (limits.things)`,
    );
  }
}

function commitNew(
  deps: InteractionDeps,
  principal: Principal,
  given: Pick<Thing, "account" | "id" | "uid" | "description">,
): Thing {
  const now = deps.clock.wallMs();
  const number = deps.store.things.takeNumber();
  const row = { ...given, number, created: now, modified: now };
  return commitRevision(deps, row, originOf(principal));
}

function replaceDescription(
  deps: InteractionDeps,
  principal: Principal,
  present: Thing,
  description: JsonObject,
): Thing {
  const { account, id, uid, number, created } = present;
  const modified = deps.clock.wallMs();
  const row = { account, id, uid, number, created, modified, description };
  const removed = lostProperties(present, affordancesOf(description)).filter(
    (name) => deps.store.properties.get(number, name) !== undefined,
  );
  const thing = commitRevision(deps, row, {
    ...originOf(principal),
    ...(removed.length === 0 ? {} : { removed }),
  });
  forgetRemoved(deps, present, thing);
  return thing;
}

/** What the new revision no longer has, or no longer lets be read. */
function lostProperties(before: Affordances, after: Affordances): readonly string[] {
  return [...before.properties.values()]
    .filter(({ name, writeOnly: wasHidden }) => {
      const now = after.properties.get(name);
      return now === undefined || (now.writeOnly && !wasHidden);
    })
    .map(({ name }) => name);
}

/** The change, the new revision and what sessions are owed of it: one batch. */
function commitRevision(
  deps: InteractionDeps,
  row: Pick<Thing, "account" | "id" | "uid" | "number" | "created" | "modified" | "description">,
  extra: { readonly via?: number; readonly removed?: readonly string[] },
): Thing {
  const { store } = deps;
  const { account, id, uid, number, description } = row;
  const revision = store.changes.append({
    class: "thing",
    thing: number,
    at: row.modified,
    ...extra,
    account,
    id,
    uid,
    description,
  });
  const thing = makeThing({ ...row, revision });
  store.things.put(thing);
  deps.publish({
    topic: descriptionStatusTopic(thing),
    payload: JSON.stringify(renderThingDescription(thing)),
    thing,
    about: "description",
  });
  return thing;
}

/** State and history of what the new revision no longer has, or no longer lets be read. */
function forgetRemoved(deps: InteractionDeps, before: Thing, after: Thing): void {
  const { properties, requests, retention } = deps.store;
  const { number } = before;
  for (const name of lostProperties(before, after)) {
    properties.delete(number, name);
    retention.forget(number, { thing: number, of: "property", name });
  }
  for (const name of before.actions.keys()) {
    if (after.actions.has(name)) continue;
    for (const unfinished of [...requests.unfinishedOf(number)]) {
      if (unfinished.name === name) requests.delete(unfinished);
    }
    retention.forget(number, { thing: number, of: "action", name });
  }
  for (const name of before.events.keys()) {
    if (after.events.has(name)) continue;
    retention.forget(number, { thing: number, of: "event", name });
  }
}
