import { ERRORS, GatewayError } from "../errors.ts";
import { reportAction, requestAction } from "../interactions/action-invocation.ts";
import { forbidden, type ThingRequest } from "../interactions/authorise.ts";
import { recordData } from "../interactions/data-recording.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { emitEvent } from "../interactions/event-emission.ts";
import { keyedValue, ownMember, refuseOthers, requireObject } from "../interactions/payload.ts";
import { updateProperties, updateProperty } from "../interactions/property-update.ts";
import { putThing } from "../interactions/provisioning.ts";
import type { Principal } from "../thing/access.ts";
import { parseJson } from "../thing/data-schema.ts";
import type { Json } from "../thing/json.ts";
import { isUlid } from "../thing/thing.ts";
import type { InboundTopic } from "../thing/topics.ts";
import type { Qos } from "./frame-kinds.ts";
import { publishRight } from "./grants.ts";
import type { Outbound } from "./outbound.ts";
import type { Refusals } from "./refusals.ts";
import type { RetainedMessages } from "./retained.ts";

export type InboundDeps = {
  readonly interactions: InteractionDeps;
  readonly outbound: Outbound;
  readonly retained: RetainedMessages;
  readonly refusals: Refusals;
};

/** A publish of a client, or the will of one that is gone. */
export type InboundPublish = {
  readonly principal: Principal;
  readonly clientId: string;
  readonly topic: string;
  readonly levels: number;
  /** A view: copied here where it outlives the turn. `undefined`: it was too large to be held. */
  readonly payload: Buffer | undefined;
  readonly qos: Qos;
  readonly retain: boolean;
};

/**
 * Applies a publish: what it changes is in the open batch when this returns, and it may be
 * acknowledged once that is on disk. One that is refused changes nothing, is counted and told, and
 * is acknowledged all the same [MQTT-3.3.5-2].
 */
export function takePublish(deps: InboundDeps, publish: InboundPublish): void {
  try {
    applyPublish(deps, publish);
  } catch (error) {
    // Only what is wrong with the publish is acknowledged, never what is wrong with the store.
    if (!(error instanceof GatewayError) || ERRORS[error.code].mqtt === "withheld") throw error;
    deps.refusals.refuse(publish.principal, publish.clientId, publish.topic, error);
  }
}

function applyPublish(deps: InboundDeps, publish: InboundPublish): void {
  const { limits, store } = deps.interactions;
  const { principal, topic, payload } = publish;
  if (publish.levels > limits.topic_levels) {
    const detail = `${publish.levels} topic levels; limits.topic_levels is ${limits.topic_levels}`;
    throw new GatewayError("too-many-levels", detail);
  }
  const right = publishRight(store, principal, topic);
  if (right.kind === "none") {
    if (right.topic !== undefined) throw forbidden(principal, `publishing to ${topic}`);
    throw new GatewayError("unknown-topic", `${principal.name} may not publish to ${topic}`);
  }
  if (payload === undefined) {
    const detail = `the packet is larger than limits.packet_bytes, ${limits.packet_bytes}`;
    throw new GatewayError("too-large", detail);
  }
  if (right.kind === "free") forwardFree(deps, publish, payload);
  else applyToThing(deps, principal, clientOf(publish), right.topic, topic, payload);
}

/** An ordinary broker's part: kept if it is to be retained, and owed to whoever is subscribed. */
function forwardFree(deps: InboundDeps, publish: InboundPublish, payload: Buffer): void {
  const { topic, qos } = publish;
  const message = { topic, payload: Buffer.from(payload), qos };
  if (publish.retain) deps.retained.keep(message);
  deps.outbound.forward(message);
}

function clientOf({ clientId }: InboundPublish): string {
  return clientId;
}

function applyToThing(
  deps: InboundDeps,
  principal: Principal,
  clientId: string,
  to: InboundTopic,
  topic: string,
  payload: Buffer,
): void {
  const { interactions } = deps;
  const parsed = parseJson(payload);
  if (!parsed.ok) throw new GatewayError(parsed.code, "the payload is not a JSON text of ours");
  const body = parsed.value;
  const { account, thing } = to;
  const on: ThingRequest = { principal, account, thing };
  switch (to.kind) {
    case "property": {
      const { name } = to;
      const outcome = updateProperty(interactions, { ...on, name, body, others: "ignore" });
      if (outcome.ignored.length > 0) {
        const detail = `only ${name} was taken; left aside: ${outcome.ignored.join(", ")}`;
        const error = new GatewayError("unknown-member", detail);
        deps.refusals.refuse(principal, clientId, topic, error);
      }
      return;
    }
    case "properties":
      updateProperties(interactions, { ...on, body });
      return;
    case "action":
      invokeOrReport(interactions, { ...on, name: to.name }, body);
      return;
    case "event":
      emitEvent(interactions, { ...on, name: to.name, body: keyedValue(body, to.name) });
      return;
    case "description":
      putThing(interactions, { ...on, description: body, keepElements: true });
      return;
    case "data":
      recordData(interactions, { ...on, body, text: payload.toString("utf8") });
      return;
  }
}

/** `href` present means a report; `{"<request id>": {"status": …}}` is one too. */
function invokeOrReport(
  deps: InteractionDeps,
  on: ThingRequest & { readonly name: string },
  payload: Json,
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
    requestAction(deps, { ...on, body });
    return;
  }
  if (typeof href !== "string") throw new GatewayError("malformed", "href is a text");
  reportAction(deps, { ...on, id: href.slice(href.lastIndexOf("/") + 1), body });
}
