import { GatewayError } from "../errors.ts";
import {
  cancelAction,
  findActionRequest,
  reportAction,
  requestAction,
  type ActionOutcome,
} from "../interactions/action-invocation.ts";
import { actionRequestHref, actionRequestObject } from "../interactions/action-request-object.ts";
import { authoriseOnThing } from "../interactions/authorise.ts";
import { keyedValue, requireObject } from "../interactions/payload.ts";
import type { ActionRequest } from "../store/action-requests.ts";
import type { Thing } from "../thing/thing.ts";
import { jsonBody } from "./body.ts";
import { onThing, param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { answerDeleteElement } from "./elements.ts";
import { historyPage, listAnswer, PAGE_PARAMETERS, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";

const ALL = "/:account/things/:thing/actions";
const OF_ACTION = "/:account/things/:thing/actions/:action";
const ONE = "/:account/things/:thing/actions/:action/:id";
const READ = ["thing.read"] as const;
const WRITE = ["thing.write"] as const;

export const actionRoutes: readonly Route[] = [
  { method: "GET", path: ALL, scopes: READ, query: PAGE_PARAMETERS, answer: listRequests },
  { method: "POST", path: ALL, scopes: WRITE, answer: postAnyAction },
  { method: "GET", path: OF_ACTION, scopes: READ, query: PAGE_PARAMETERS, answer: listRequests },
  { method: "POST", path: OF_ACTION, scopes: WRITE, answer: postAction },
  {
    method: "DELETE",
    path: OF_ACTION,
    audit: "element.delete",
    scopes: ["thing.manage"],
    answer: answerDeleteElement("actions", "action"),
  },
  { method: "GET", path: ONE, scopes: READ, answer: getRequest },
  { method: "PUT", path: ONE, scopes: ["thing.report"], answer: putReport },
  { method: "DELETE", path: ONE, scopes: WRITE, answer: deleteRequest },
];

async function listRequests(call: AuthorisedCall): Promise<Answer> {
  const { store } = call.deps;
  const thing = authoriseOnThing(call.deps, onThing(call), "thing.read");
  const request = readPageRequest(call.query);
  const sources = namesOf(thing, call.params.get("action")).map(
    (name) => ({ thing: thing.number, of: "action", name }) as const,
  );
  await store.commit.caughtUp();
  const page = await historyPage(
    store.ids,
    request,
    {},
    {
      read: async (slice) => store.history.requests(sources, slice),
      momentOf: ({ moment }) => moment,
    },
  );
  return listAnswer(call, page, (item) => actionRequestObject(store, thing, item));
}

function namesOf(thing: Thing, name: string | undefined): readonly string[] {
  if (name === undefined) return [...thing.actions.keys()];
  if (thing.actions.has(name)) return [name];
  throw new GatewayError("unknown-affordance", `${thing.id} has no action ${name}`);
}

async function postAction(call: AuthorisedCall): Promise<Answer> {
  const name = param(call, "action");
  const body = keyedValue(await jsonBody(call), name);
  return requestedAnswer(call, requestAction(call.deps, { ...onThing(call), name, body }));
}

/** As WebThings clients do it: the one member names the action. */
async function postAnyAction(call: AuthorisedCall): Promise<Answer> {
  const keyed = requireObject(await jsonBody(call), 'an object {"action": {"input": …}}');
  const [first, ...others] = Object.entries(keyed);
  if (first === undefined || others.length > 0) {
    throw new GatewayError("malformed", "expected one member, named as the action");
  }
  const [name, body] = first;
  return requestedAnswer(call, requestAction(call.deps, { ...onThing(call), name, body }));
}

function requestedAnswer(call: AuthorisedCall, outcome: ActionOutcome): Answer {
  const { thing, request } = outcome;
  const Location = actionRequestHref(call.deps.store, thing, request);
  return { ...requestAnswer(call, outcome), status: 201, headers: { Location } };
}

function getRequest(call: AuthorisedCall): Answer {
  return requestAnswer(call, findActionRequest(call.deps, onRequest(call)));
}

/** The device's report, keyed by the action's name; a real client keys it by the request's id. */
async function putReport(call: AuthorisedCall): Promise<Answer> {
  const keyed = requireObject(await jsonBody(call), 'an object {"action": {"status": …}}');
  const on = onRequest(call);
  const body = keyedValue(keyed, Object.hasOwn(keyed, on.name) ? on.name : keyOf(keyed, on));
  const outcome = reportAction(call.deps, { ...on, body, precondition: requireEtag(call) });
  return requestAnswer(call, outcome);
}

function keyOf(keyed: object, on: { readonly name: string; readonly id: string }): string {
  return Object.hasOwn(keyed, on.id) ? on.id : on.name;
}

/** Pending: cancelled, and still there to be read. Finished: removed. */
function deleteRequest(call: AuthorisedCall): Answer {
  cancelAction(call.deps, { ...onRequest(call), precondition: requireEtag(call) });
  return { status: 204 };
}

function onRequest(call: AuthorisedCall) {
  return { ...onThing(call), name: param(call, "action"), id: param(call, "id") };
}

function requireEtag(call: AuthorisedCall): (present: ActionRequest) => void {
  return ({ revision }) => requireMatch(call.preconditions, String(revision));
}

function requestAnswer(call: AuthorisedCall, { thing, request }: ActionOutcome): Answer {
  const body = actionRequestObject(call.deps.store, thing, request);
  return { status: 200, body, etag: String(request.revision) };
}
