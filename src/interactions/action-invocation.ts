import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import {
  isFinal,
  type ActionDeadline,
  type ActionRequest,
  type ActionStatus,
} from "../store/action-requests.ts";
import { originOf } from "../thing/access.ts";
import { pointerTo, type Json, type JsonObject } from "../thing/json.ts";
import type { ActionAffordance, Thing } from "../thing/thing.ts";
import { actionStatusTopic } from "../thing/topics.ts";
import { actionRequestObject } from "./action-request-object.ts";
import { authoriseOnThing, type ThingRequest } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import { checkPart, ownMember, refuseOthers, requireObject } from "./payload.ts";

export type ActionOutcome = { readonly thing: Thing; readonly request: ActionRequest };

type OnAction = ThingRequest & { readonly name: string };

type OnRequest = OnAction & {
  readonly id: string;
  /** Gets the present request once the caller is authorised, and may throw. */
  readonly precondition?: (present: ActionRequest) => void;
};

/**
 * Requests an action: `{"input"?, "timeout"?}`. Synchronous, as every interaction. What is left of
 * its life where it comes from bounds its time to live here; with nothing left it is recorded as
 * expired, and no device gets it.
 * @throws GatewayError `forbidden`, `unknown-thing`, `unknown-affordance`, `malformed`,
 * `unknown-member`, `schema-violation`, `too-large`, `limit-reached`.
 */
export function requestAction(
  deps: InteractionDeps,
  on: OnAction & { readonly body: Json; readonly lifeMsMax?: number },
): ActionOutcome {
  const thing = authoriseOnThing(deps, on, "thing.write");
  const action = findAction(thing, on.name);
  const body = requireObject(on.body, `{${JSON.stringify(on.name)}: {"input": …}}`);
  refuseOthers(body, ["input", "timeout"], pointerTo("", on.name));
  const input = checkPart(action.input, ownMember(body, "input"), partOf(deps, on, "input"));
  const timeout = readTimeout(on, ownMember(body, "timeout"));
  const timeToLiveMs = Math.min(timeout, on.lifeMsMax ?? timeout);
  const { requests, changes } = deps.store;
  if (requests.countUnfinishedOf(thing.number) >= deps.limits.pending_actions_per_thing) {
    const bound = deps.limits.pending_actions_per_thing;
    throw new GatewayError(
      "limit-reached",
      `${thing.id} has ${bound} unfinished action requests (limits.pending_actions_per_thing)`,
    );
  }
  const moment = { at: deps.clock.wallMs(), sequence: changes.nextSequence };
  const request: ActionRequest = {
    thing: thing.number,
    name: on.name,
    moment,
    status: "pending",
    ...(input === undefined ? {} : { input }),
    revision: moment.sequence,
    deadline: makeDeadline(deps, timeToLiveMs),
  };
  if (timeToLiveMs > 0) return commitRequest(deps, thing, request, originOf(on.principal));
  // No origin: its end is our own, and whoever asked is to hear of it.
  return commitRequest(deps, thing, { ...request, status: "expired", completedAt: moment.at });
}

/**
 * A device's report on a request: `{"status", "output"?, "error"?}`; `href` may stand beside them.
 * @throws GatewayError as `requestAction`, and `unknown-action-request`, `action-finished`.
 */
export function reportAction(
  deps: InteractionDeps,
  on: OnRequest & { readonly body: Json },
): ActionOutcome {
  const thing = authoriseOnThing(deps, on, "thing.report");
  const request = findRequest(deps, thing, on);
  on.precondition?.(request);
  const body = requireObject(on.body, '{"status": …}');
  refuseOthers(body, REPORT_MEMBERS, pointerTo("", on.name));
  const status = readStatus(on, ownMember(body, "status"));
  if (isFinal(request.status)) {
    const detail = `request ${on.id} of ${thing.id}/${on.name} is ${request.status}`;
    throw new GatewayError("action-finished", detail);
  }
  const given = ownMember(body, "output");
  // Most reports have no output yet: a DataSchema for it asks for none.
  const schema = given === undefined ? undefined : findAction(thing, on.name).output;
  const output = checkPart(schema, given, partOf(deps, on, "output"));
  const error = checkPart(undefined, ownMember(body, "error"), partOf(deps, on, "error"));
  const result = {
    ...(output === undefined ? {} : { output }),
    ...(error === undefined ? {} : { error }),
  };
  return changeRequest(deps, thing, request, status, result, originOf(on.principal));
}

/**
 * Withdraws a request that the device has not taken up.
 * @throws GatewayError `action-running`, and what `findActionRequest` throws.
 */
export function cancelAction(deps: InteractionDeps, on: OnRequest): ActionOutcome | "removed" {
  const thing = authoriseOnThing(deps, on, "thing.write");
  const request = findRequest(deps, thing, on);
  on.precondition?.(request);
  if (request.status === "pending") {
    return changeRequest(deps, thing, request, "cancelled", {}, originOf(on.principal));
  }
  if (!isFinal(request.status)) {
    const detail = `request ${on.id} of ${thing.id}/${on.name} is ${request.status}`;
    throw new GatewayError("action-running", detail);
  }
  deps.store.requests.delete(request);
  return "removed";
}

/** @throws GatewayError `forbidden`, `unknown-thing`, `unknown-affordance`, `unknown-action-request`. */
export function findActionRequest(
  deps: InteractionDeps,
  on: OnAction & { readonly id: string },
): ActionOutcome {
  const thing = authoriseOnThing(deps, on, "thing.read");
  return { thing, request: findRequest(deps, thing, on) };
}

/** Ends a request from within: it expired, or no session could hold it. No-op if it has finished. */
export function endRequest(
  deps: InteractionDeps,
  request: ActionRequest,
  end: { readonly status: "expired" | "failed"; readonly error?: JsonObject },
): void {
  const thing = deps.store.things.byNumber(request.thing);
  const now = deps.store.requests.get(request.thing, request.name, request.moment);
  if (thing === undefined || now === undefined || isFinal(now.status)) return;
  changeRequest(deps, thing, now, end.status, end.error === undefined ? {} : { error: end.error });
}

/** The last three are what a device gets in a request and may send back with its report. */
const REPORT_MEMBERS = [
  ...["href", "status", "output", "error"],
  ...["input", "timeRequested", "timeCompleted"],
];

const REPORTABLE: readonly (readonly [given: string, status: ActionStatus])[] = [
  ["received", "received"],
  ["running", "running"],
  ["completed", "completed"],
  ["failed", "failed"],
  ["error", "failed"],
  ["cancelled", "cancelled"],
];

function readStatus(on: { readonly name: string }, given: Json | undefined): ActionStatus {
  const row = REPORTABLE.find(([name]) => name === given);
  if (row !== undefined) return row[1];
  throw malformed(on, "status", `must be one of ${REPORTABLE.map(([name]) => name).join(", ")}`);
}

function readTimeout(on: { readonly name: string }, given: Json | undefined): number {
  const longestMs = FIXED_LIMITS.actionTimeToLiveS * 1000;
  if (given === undefined) return longestMs;
  if (typeof given !== "number" || !(given > 0)) {
    throw malformed(on, "timeout", "must be a number of seconds above 0");
  }
  return Math.min(given * 1000, longestMs);
}

function malformed({ name }: { readonly name: string }, member: string, detail: string) {
  const pointer = pointerTo(pointerTo("", name), member);
  return new GatewayError("malformed", `${member} ${detail}`, { faults: [{ pointer, detail }] });
}

/** Where a part of a request or report stands, and how large it may be. */
function partOf(deps: InteractionDeps, { name }: { readonly name: string }, part: string) {
  const pointer = pointerTo(pointerTo("", name), part);
  return { pointer, what: `the ${part} of ${name}`, bytesMax: deps.limits.value_bytes };
}

function makeDeadline(deps: InteractionDeps, timeToLiveMs: number): ActionDeadline {
  return {
    timeToLiveMs,
    bootId: deps.clock.bootId,
    requestedMonotonicMs: deps.clock.monotonicMs(),
    isSynced: deps.clock.isSynced(),
  };
}

function findAction(thing: Thing, name: string): ActionAffordance {
  const action = thing.actions.get(name);
  if (action !== undefined) return action;
  throw new GatewayError("unknown-affordance", `${thing.id} has no action ${name}`);
}

function findRequest(
  deps: InteractionDeps,
  thing: Thing,
  on: { readonly name: string; readonly id: string },
): ActionRequest {
  findAction(thing, on.name);
  const moment = deps.store.ids.momentOf(on.id);
  const request =
    moment === undefined ? undefined : deps.store.requests.get(thing.number, on.name, moment);
  if (request !== undefined) return request;
  throw new GatewayError(
    "unknown-action-request",
    `there is no request ${on.id} of ${thing.id}/${on.name}`,
  );
}

function changeRequest(
  deps: InteractionDeps,
  thing: Thing,
  before: ActionRequest,
  status: ActionStatus,
  result: { readonly output?: Json; readonly error?: Json },
  origin: { readonly via?: number } = {},
): ActionOutcome {
  const completed = isFinal(status) ? { completedAt: deps.clock.wallMs() } : {};
  const revision = deps.store.changes.nextSequence;
  const request = { ...before, ...result, ...completed, status, revision };
  return commitRequest(deps, thing, request, origin);
}

/** The change, the request's present state and what sessions are owed of it: one batch. */
function commitRequest(
  deps: InteractionDeps,
  thing: Thing,
  request: ActionRequest,
  origin: { readonly via?: number } = {},
): ActionOutcome {
  const { name, moment, status, input, output, error } = request;
  deps.store.changes.append({
    class: "action",
    thing: thing.number,
    at: request.completedAt ?? deps.clock.wallMs(),
    ...origin,
    name,
    request: moment.sequence,
    requestedAt: moment.at,
    status,
    ...(input === undefined ? {} : { input }),
    ...(output === undefined ? {} : { output }),
    ...(error === undefined ? {} : { error }),
  });
  deps.store.requests.put(request);
  deps.publish({
    topic: actionStatusTopic(thing, name),
    payload: JSON.stringify(actionRequestObject(deps.store, thing, request)),
    thing,
    about: "action",
    ...(status === "pending" ? { request: { name, moment } } : {}),
  });
  // One that no device's queue had room for has failed by now.
  const now = status === "pending" ? deps.store.requests.get(thing.number, name, moment) : request;
  return { thing, request: now ?? request };
}
