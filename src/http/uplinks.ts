import { authoriseInGateway } from "../interactions/authorise.ts";
import { uplinkObject } from "../interactions/uplink-object.ts";
import {
  deleteUplink,
  findUplink,
  listUplinks,
  pauseUplink,
  putUplink,
  testUplink,
} from "../interactions/uplinks.ts";
import type { Outbox } from "../store/outbox.ts";
import { GIVEN_UPLINK } from "../uplink-members.ts";
import { jsonBody, parseBody } from "./body.ts";
import { param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { listAnswer, PAGE_PARAMETERS, pageById, readPageRequest } from "./lists.ts";
import { requireMatch } from "./preconditions.ts";

const ALL = "/gateway/uplinks";
const ONE = "/gateway/uplinks/:name";
const READ = ["gateway.read"] as const;
const MANAGE = ["gateway.manage"] as const;

export const uplinkRoutes: readonly Route[] = [
  { method: "GET", path: ALL, scopes: READ, query: PAGE_PARAMETERS, answer: getUplinks },
  { method: "GET", path: ONE, scopes: READ, answer: getUplink },
  { method: "PUT", path: ONE, audit: "uplink.change", scopes: MANAGE, answer: replaceUplink },
  { method: "DELETE", path: ONE, audit: "uplink.delete", scopes: MANAGE, answer: removeUplink },
  { method: "POST", path: `${ONE}/test`, audit: "uplink.test", scopes: MANAGE, answer: tryUplink },
  {
    method: "POST",
    path: `${ONE}/pause`,
    audit: "uplink.pause",
    scopes: MANAGE,
    answer: (call) => hold(call, true),
  },
  {
    method: "POST",
    path: `${ONE}/resume`,
    audit: "uplink.resume",
    scopes: MANAGE,
    answer: (call) => hold(call, false),
  },
];

function getUplinks(call: AuthorisedCall): Answer {
  const all = listUplinks(call.deps, call.principal);
  const page = pageById(all, readPageRequest(call.query), ({ uplink }) => uplink.name);
  return listAnswer(call, page, (outbox) => uplinkObject(call.deps, outbox));
}

function getUplink(call: AuthorisedCall): Answer {
  return answerOf(call, findUplink(call.deps, onUplink(call)));
}

async function replaceUplink(call: AuthorisedCall): Promise<Answer> {
  authoriseInGateway(call.principal, "gateway.manage");
  const given = parseBody(GIVEN_UPLINK, await jsonBody(call));
  const { outbox, created } = putUplink(call.deps, { ...onUplink(call), given });
  if (!created) return answerOf(call, outbox);
  const headers = { Location: `/gateway/uplinks/${outbox.uplink.name}` };
  return { ...answerOf(call, outbox), status: 201, headers };
}

function removeUplink(call: AuthorisedCall): Answer {
  deleteUplink(call.deps, onUplink(call));
  return { status: 204 };
}

/** Not reached is an answer, too. */
async function tryUplink(call: AuthorisedCall): Promise<Answer> {
  const { isReached, detail, tookMs } = await testUplink(call.deps, onUplink(call));
  return { status: 200, body: { ok: isReached, detail, took_ms: Math.round(tookMs) } };
}

function hold(call: AuthorisedCall, isPaused: boolean): Answer {
  return answerOf(call, pauseUplink(call.deps, { ...onUplink(call), isPaused }));
}

function answerOf({ deps }: AuthorisedCall, outbox: Outbox): Answer {
  return { status: 200, body: uplinkObject(deps, outbox), etag: etagOf(outbox) };
}

/** Of the settings; how it stands changes all the time. A number is never used again. */
function etagOf({ uplink }: Outbox): string {
  return `${uplink.number}-${uplink.revision}`;
}

function onUplink(call: AuthorisedCall) {
  return {
    principal: call.principal,
    name: param(call, "name"),
    precondition: (present: Outbox | undefined): void => {
      requireMatch(call.preconditions, ...(present === undefined ? [] : [etagOf(present)]));
    },
  };
}
