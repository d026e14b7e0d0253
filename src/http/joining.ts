import { z } from "zod";
import { authoriseInAccount, authoriseInGateway, forbidden } from "../interactions/authorise.ts";
import { approveJoin, refuseJoin } from "../interactions/join-approval.ts";
import type { JoinRequest } from "../interactions/join-requests.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { mayInGateway } from "../thing/access.ts";
import { isJsonObject, type JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { jsonBody, optionalJsonBody, parseBody } from "./body.ts";
import { param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";

const WINDOW = "/gateway/joining";
const REQUESTS = `${WINDOW}/requests`;
const READ = ["gateway.read", "mqtt.credentials"] as const;
const MANAGE = ["gateway.manage"] as const;
const DECIDE = ["mqtt.credentials"] as const;

/** What a person calls who lets devices in. */
export const joiningRoutes: readonly Route[] = [
  { method: "GET", path: WINDOW, scopes: READ, answer: getWindow },
  { method: "PUT", path: WINDOW, audit: "joining.open", scopes: MANAGE, answer: putWindow },
  { method: "DELETE", path: WINDOW, audit: "joining.close", scopes: MANAGE, answer: deleteWindow },
  { method: "GET", path: REQUESTS, scopes: DECIDE, query: PAGE_PARAMETERS, answer: listRequests },
  {
    method: "POST",
    path: `${REQUESTS}/:id/approve`,
    audit: "joining.approve",
    scopes: DECIDE,
    answer: postApproval,
  },
  {
    method: "POST",
    path: `${REQUESTS}/:id/refuse`,
    audit: "joining.refuse",
    scopes: DECIDE,
    answer: postRefusal,
  },
];

const { joinWindowSMin, joinWindowSMax } = FIXED_LIMITS;
const SECONDS = `must be a whole number of seconds, ${joinWindowSMin} to ${joinWindowSMax}`;
const opening = z.strictObject({
  seconds: z.int(SECONDS).min(joinWindowSMin, SECONDS).max(joinWindowSMax, SECONDS),
  account: z.string("must be the name of an account").exactOptional(),
});

function getWindow(call: AuthorisedCall): Answer {
  const { principal } = call;
  if (!READ.some((scope) => mayInGateway(principal, scope))) {
    throw forbidden(principal, `${READ.join(" or ")} on the gateway`);
  }
  return { status: 200, body: windowObject(call) };
}

async function putWindow(call: AuthorisedCall): Promise<Answer> {
  authoriseInGateway(call.principal, "gateway.manage");
  const { seconds, account } = parseBody(opening, await jsonBody(call));
  if (account !== undefined) {
    authoriseInAccount(call.deps, call.principal, account, "gateway.manage");
  }
  call.deps.joining.open(seconds, account);
  return { status: 200, body: windowObject(call) };
}

function deleteWindow(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.manage");
  call.deps.joining.close();
  return { status: 204 };
}

function windowObject({ deps }: AuthorisedCall): JsonObject {
  const { window } = deps.joining;
  const pending = deps.joining.all().filter(({ state }) => state.kind === "pending").length;
  return {
    open: window !== undefined,
    account: window?.account ?? null,
    closes_at: window === undefined ? null : formatTime(deps.clock.wallMs() + window.leftMs),
    pending,
  };
}

function listRequests(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "mqtt.credentials");
  const sorted = call.deps.joining.all().toSorted((a, b) => (a.id < b.id ? -1 : 1));
  const page = pageById(sorted, readPageRequest(call.query), ({ id }) => id);
  return listAnswer(call, page, requestObject);
}

const approval = z.strictObject({
  account: z.string("must be the name of an account").exactOptional(),
  thing: z
    .union([z.string(), z.custom<JsonObject>(isJsonObject)], "must be an id or a Thing Description")
    .exactOptional(),
  role: z.enum(["device", "consumer"], "must be device or consumer").exactOptional(),
  definition: z.boolean("must be true or false").exactOptional(),
});

async function postApproval(call: AuthorisedCall): Promise<Answer> {
  const body = parseBody(approval, (await optionalJsonBody(call)) ?? {});
  const { principal, stillEntitled } = call;
  const on = { principal, id: param(call, "id"), approval: body, stillEntitled };
  const { request, credential, thing } = await approveJoin(call.deps, on);
  const { ulid, username, account } = credential;
  return {
    status: 200,
    body: { id: request.id, status: "approved", account, thing: thing.id, ulid, username },
    audit: { detail: `credential ${username} of ${account}, on ${thing.id}` },
  };
}

function postRefusal(call: AuthorisedCall): Answer {
  const id = param(call, "id");
  refuseJoin(call.deps, { principal: call.principal, id });
  return { status: 200, body: { id, status: "refused" } };
}

function requestObject(request: JoinRequest): JsonObject {
  const { id, by, address, account, asked, lastAsked, times, state } = request;
  return {
    id,
    by,
    status: state.kind,
    asked: formatTime(asked),
    last_asked: formatTime(lastAsked),
    times,
    address,
    account: account ?? null,
    ...(request.by === "http" ? saidObject(request) : mqttObject(request)),
  };
}

function saidObject({ code, said }: Extract<JoinRequest, { readonly by: "http" }>): JsonObject {
  const { name, model, serial, thing, publicKey } = said;
  return {
    code,
    name,
    model: model ?? null,
    serial: serial ?? null,
    thing: thing ?? null,
    has_key: publicKey !== undefined,
  };
}

function mqttObject(request: Extract<JoinRequest, { readonly by: "mqtt" }>): JsonObject {
  return { client_id: request.clientId, user: request.user };
}
