import { GatewayError } from "../errors.ts";
import { authoriseOnThing } from "../interactions/authorise.ts";
import { connectionObject } from "../interactions/device-connection.ts";
import { changeThing, createThing, deleteThing, putThing } from "../interactions/provisioning.ts";
import { isJsonArray, type Json, type JsonObject } from "../thing/json.ts";
import { mergePatch } from "../thing/merge-patch.ts";
import { renderThingDescription, renderWotThingDescription } from "../thing/thing-description.ts";
import type { Bases } from "../thing/forms.ts";
import type { Thing } from "../thing/thing.ts";
import { jsonBody, mediaTypeOf } from "./body.ts";
import {
  onAccount,
  onThing,
  type Answer,
  type AuthorisedCall,
  type Call,
  type Route,
} from "./call.ts";
import { applyJsonPatch } from "./json-patch.ts";
import { listThings, THING_LIST_PARAMETERS } from "./thing-list.ts";
import { requireThingMatch, thingEtag, wotEtag } from "./thing-etags.ts";

const ALL = "/:account/things";
const ONE = "/:account/things/:thing";

export const thingRoutes: readonly Route[] = [
  { method: "POST", path: ALL, audit: "thing.create", scopes: ["thing.manage"], answer: postThing },
  {
    method: "GET",
    path: ALL,
    scopes: ["thing.read"],
    query: THING_LIST_PARAMETERS,
    answer: listThings,
  },
  { method: "GET", path: ONE, scopes: ["thing.read"], answer: getThing },
  { method: "GET", path: `${ONE}/connection`, scopes: ["thing.read"], answer: getConnection },
  {
    method: "PUT",
    path: ONE,
    audit: "thing.define",
    scopes: ["thing.manage"],
    answer: replaceThing,
  },
  {
    method: "PATCH",
    path: ONE,
    audit: "thing.define",
    scopes: ["thing.manage"],
    answer: patchThing,
  },
  {
    method: "DELETE",
    path: ONE,
    audit: "thing.delete",
    scopes: ["thing.manage"],
    answer: removeThing,
  },
];

function getConnection(call: AuthorisedCall): Answer {
  const thing = authoriseOnThing(call.deps, onThing(call), "thing.read");
  return { status: 200, body: connectionObject(call.deps.deviceConnections.of(thing)) };
}

async function postThing(call: AuthorisedCall): Promise<Answer> {
  const description = await jsonBody(call);
  return thingAnswer(201, createThing(call.deps, { ...onAccount(call), description }));
}

const JSON_TYPE = "application/json";
const WOT_TYPE = "application/td+json";

function getThing(call: AuthorisedCall): Answer {
  const thing = authoriseOnThing(call.deps, onThing(call), "thing.read");
  const headers = { Vary: "Accept" };
  if (call.preferred([JSON_TYPE, WOT_TYPE]) !== WOT_TYPE) {
    return { ...thingAnswer(200, thing), headers };
  }
  const bases = basesOf(call);
  return {
    status: 200,
    body: renderWotThingDescription(thing, bases),
    mediaType: WOT_TYPE,
    etag: wotEtag(thing),
    headers,
  };
}

/** A client goes on as it came: with TLS, or without. */
function basesOf({ host, channel, deps }: Call): Bases {
  const isTls = channel.kind === "tls";
  const port = isTls ? deps.mqttsPort : deps.mqttPort;
  const mqttHost = `${host.replace(/:\d+$/, "")}:${port ?? 0}`;
  return {
    http: `${isTls ? "https" : "http"}://${host}`,
    ...(port === undefined ? {} : { mqtt: `${isTls ? "mqtts" : "mqtt"}://${mqttHost}` }),
  };
}

async function replaceThing(call: AuthorisedCall): Promise<Answer> {
  const description = await jsonBody(call);
  const { thing, created } = putThing(call.deps, {
    ...onThing(call),
    description,
    precondition: requireThingMatch(call.preconditions),
  });
  return thingAnswer(created ? 201 : 200, thing);
}

async function patchThing(call: AuthorisedCall): Promise<Answer> {
  const isJsonPatch = mediaTypeOf(call) === "application/json-patch+json";
  const patch = await jsonBody(call);
  const thing = changeThing(call.deps, {
    ...onThing(call),
    change: (shown) =>
      isJsonPatch ? applyJsonPatch(shown, patch) : mergePatch(shown, mergePatchOf(patch)),
    precondition: requireThingMatch(call.preconditions),
  });
  return thingAnswer(200, thing);
}

function removeThing(call: AuthorisedCall): Answer {
  const precondition = requireThingMatch(call.preconditions);
  deleteThing(call.deps, { ...onThing(call), precondition });
  return { status: 204 };
}

function mergePatchOf(patch: Json): Json {
  if (!isJsonArray(patch)) return patch;
  const detail = "an array is a JSON Patch: send it as application/json-patch+json";
  throw new GatewayError("malformed", detail);
}

function thingAnswer(status: 200 | 201, thing: Thing): Answer {
  const body: JsonObject = renderThingDescription(thing);
  const etag = thingEtag(thing);
  if (status === 200) return { status, body, etag };
  return { status, body, etag, headers: { Location: `/${thing.account}/things/${thing.id}` } };
}
