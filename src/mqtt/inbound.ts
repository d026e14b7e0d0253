import type { Peer } from "../channel.ts";
import { ERRORS, GatewayError } from "../errors.ts";
import { forbidden } from "../interactions/authorise.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { applyThingMessage, parsePayload } from "../interactions/thing-message.ts";
import type { Principal } from "../thing/access.ts";
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
  /** Absent: its connection is gone. */
  readonly peer?: Peer;
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
    deps.refusals.refuse(publish, error);
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
  else applyToThing(deps, publish, right.topic, payload);
}

/** An ordinary broker's part: kept if it is to be retained, and owed to whoever is subscribed. */
function forwardFree(deps: InboundDeps, publish: InboundPublish, payload: Buffer): void {
  const { topic, qos } = publish;
  const message = { topic, payload: Buffer.from(payload), qos };
  if (publish.retain) deps.retained.keep(message);
  deps.outbound.forward(message);
}

/** What a client publishes for the gateway to interpret. */
function applyToThing(
  deps: InboundDeps,
  publish: InboundPublish,
  to: InboundTopic,
  payload: Buffer,
): void {
  const { principal, peer } = publish;
  const message = { principal, to, body: parsePayload(payload), payload, peer };
  const { ignored } = applyThingMessage(deps.interactions, message);
  if (ignored.length === 0) return;
  const name = to.kind === "property" ? to.name : "";
  const detail = `only ${name} was taken; left aside: ${ignored.join(", ")}`;
  deps.refusals.refuse(publish, new GatewayError("unknown-member", detail));
}
