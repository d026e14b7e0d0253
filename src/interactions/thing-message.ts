import { isDeepStrictEqual } from "node:util";
import type { Peer } from "../channel.ts";
import { GatewayError } from "../errors.ts";
import type { AuditRecord } from "../store/audit.ts";
import { originOf, type Principal } from "../thing/access.ts";
import { parseJson } from "../thing/data-schema.ts";
import type { Json } from "../thing/json.ts";
import { isUlid } from "../thing/thing.ts";
import type { InboundTopic } from "../thing/topics.ts";
import { reportAction, requestAction } from "./action-invocation.ts";
import type { ThingRequest } from "./authorise.ts";
import { recordData } from "./data-recording.ts";
import type { InteractionDeps } from "./deps.ts";
import { emitEvent } from "./event-emission.ts";
import { keyedValue, ownMember, refuseOthers, requireObject } from "./payload.ts";
import { updateProperties, updateProperty } from "./property-update.ts";
import { putThing } from "./provisioning.ts";

/** A message to a Thing, whoever brought it: a client of the broker here, or upstream. */
export type ThingMessage = {
  readonly principal: Principal;
  readonly to: InboundTopic;
  readonly body: Json;
  /** The payload as it came. */
  readonly payload: Buffer;
  /** Where it came from; absent: from upstream, or from a client that is gone. */
  readonly peer?: Peer | undefined;
  /** What is left of the life of a request, where it comes from. */
  readonly lifeMsMax?: number;
};

/** @throws GatewayError `not-json`, `too-large`. */
export function parsePayload(payload: Buffer): Json {
  const parsed = parseJson(payload);
  if (!parsed.ok) throw new GatewayError(parsed.code, "the payload is not a JSON text of ours");
  return parsed.value;
}

/**
 * Does what a message on a topic of `set/…` or of raw data asks for: the one interaction it means.
 * Synchronous, as every interaction. Nothing can be deleted by a message.
 * @returns the members of the payload that were left aside.
 * @throws GatewayError as that interaction.
 */
export function applyThingMessage(
  deps: InteractionDeps,
  message: ThingMessage,
): { readonly ignored: readonly string[] } {
  const { principal, to, body } = message;
  const { account, thing } = to;
  const on: ThingRequest = { principal, account, thing };
  switch (to.kind) {
    case "property": {
      // Member by member: the hot path has no time for a spread.
      const { name } = to;
      return updateProperty(deps, { principal, account, thing, name, body, others: "ignore" });
    }
    case "properties":
      return updateProperties(deps, { ...on, body });
    case "action":
      invokeOrReport(deps, { ...on, name: to.name }, message);
      break;
    case "event":
      emitEvent(deps, { ...on, name: to.name, body: keyedValue(body, to.name) });
      break;
    case "description":
      define(deps, on, message);
      break;
    case "data":
      recordData(deps, { ...on, body, text: message.payload.toString("utf8") });
      break;
  }
  return NOTHING_IGNORED;
}

const NOTHING_IGNORED = { ignored: [] } as const;

/** Of who defines what over HTTP the edge keeps a record; here there is nobody else to do it. */
function define(deps: InteractionDeps, on: ThingRequest, { body, peer }: ThingMessage): void {
  const { principal, account, thing: id } = on;
  const before = deps.store.things.find(account, id)?.description;
  const record: AuditRecord = {
    principal: principal.name,
    ...(peer === undefined ? {} : { address: peer.address }),
    channel: isFromUpstream(principal) ? "uplink" : peer?.channel.kind === "tls" ? "mqtts" : "mqtt",
    action: before === undefined ? "thing.create" : "thing.define",
    target: `/${account}/things/${id}`,
    result: "ok",
  };
  const { audit } = deps.store;
  try {
    const { thing } = putThing(deps, { ...on, description: body, keepElements: true });
    // Devices say what they are at each connection: only what is new is a change.
    if (isDeepStrictEqual(before, thing.description)) return;
    // Things it can make are bounded, changes are not: those are counted.
    if (before === undefined) audit.record(record);
    else audit.recordRepeatable(record, record.target);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    audit.recordRepeatable({ ...record, result: error.code });
    throw error;
  }
}

function isFromUpstream(principal: Principal): boolean {
  return originOf(principal).via !== undefined;
}

/** `href` present means a report; `{"<request id>": {"status": …}}` is one too. */
function invokeOrReport(
  deps: InteractionDeps,
  on: ThingRequest & { readonly name: string },
  { body: payload, lifeMsMax }: ThingMessage,
): void {
  const object = requireObject(payload, `{${JSON.stringify(on.name)}: {…}}`);
  const keyed = ownMember(object, on.name);
  const [only] = Object.keys(object);
  if (keyed === undefined && only !== undefined && isUlid(only)) {
    refuseOthers(object, [only], "");
    reportAction(deps, { ...on, id: only, body: keyedValue(object, only) });
    return;
  }
  const body = requireObject(keyedValue(object, on.name), "an object");
  const href = ownMember(body, "href");
  if (href === undefined) {
    if (ownMember(body, "status") !== undefined) {
      throw new GatewayError("malformed", "a status needs the href of the request it is about");
    }
    requestAction(deps, { ...on, body, ...(lifeMsMax === undefined ? {} : { lifeMsMax }) });
    return;
  }
  if (typeof href !== "string") throw new GatewayError("malformed", "href is a text");
  reportAction(deps, { ...on, id: href.slice(href.lastIndexOf("/") + 1), body });
}
