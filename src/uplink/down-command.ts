import { GatewayError } from "../errors.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { ownMember } from "../interactions/payload.ts";
import { applyThingMessage } from "../interactions/thing-message.ts";
import { openChange } from "../store/changes.ts";
import { changeKey } from "../store/keys.ts";
import type { Outbox } from "../store/outbox.ts";
import type { Principal } from "../thing/access.ts";
import { isJsonObject, type Json } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import type { InboundTopic } from "../thing/topics.ts";
import type { CommandAges } from "./command-ages.ts";
import type { KnownUpstream } from "./known-upstream.ts";
import type { DownMessage } from "./message.ts";
import { sameValue } from "./same-value.ts";

export type CommandDeps = {
  readonly interactions: InteractionDeps;
  readonly outbox: Pick<Outbox, "owes">;
  readonly uplink: number;
  readonly principal: Principal;
  readonly ages: CommandAges;
  readonly known: KnownUpstream;
};

/** What a message says, out of its envelope. */
export type Said = {
  readonly body: Json;
  /** When it was said, ms since the epoch. */
  readonly at: number | undefined;
};

/**
 * `mirror`: does what an application upstream asks for, as if it were on the LAN. A request that came
 * too late is recorded as expired, so that its asker hears of it.
 * @returns what was left aside of the payload.
 * @throws GatewayError as the interaction it means; `expired`; `conflict`: a local change of the
 * property has not reached upstream yet, and stands.
 */
export function applyCommand(
  deps: CommandDeps,
  message: DownMessage,
  to: InboundTopic,
  { body, at }: Said,
): { readonly ignored: readonly string[] } {
  const lifeMs = deps.ages.lifeMs(message, timeoutOf(to, body), at);
  const isRequest = to.kind === "action" && isRequestBody(to.name, body);
  if (lifeMs <= 0 && !isRequest) {
    throw new GatewayError("expired", `the ${to.kind} for ${to.thing} came too late`);
  }
  if (to.kind === "property") requireNoConflict(deps, to, [to.name], body);
  if (to.kind === "properties") requireNoConflict(deps, to, undefined, body);
  const { principal, interactions } = deps;
  const { payload } = message;
  return applyThingMessage(interactions, { principal, to, body, payload, lifeMsMax: lifeMs });
}

function isRequestBody(name: string, body: Json): boolean {
  const request = isJsonObject(body) ? ownMember(body, name) : undefined;
  return request !== undefined && isJsonObject(request) && ownMember(request, "href") === undefined;
}

/** Of an action request, in ms; one that is not valid is refused further on. */
function timeoutOf(to: InboundTopic, body: Json): number | undefined {
  if (to.kind !== "action" || !isJsonObject(body)) return undefined;
  const request = ownMember(body, to.name);
  const timeout =
    request !== undefined && isJsonObject(request) ? ownMember(request, "timeout") : undefined;
  return typeof timeout === "number" && timeout > 0 ? timeout * 1000 : undefined;
}

/** A map is all or nothing: it loses as a whole. */
function requireNoConflict(
  deps: CommandDeps,
  to: InboundTopic,
  named: readonly string[] | undefined,
  body: Json,
): void {
  const thing = deps.interactions.store.things.find(to.account, to.thing);
  if (thing === undefined || !isJsonObject(body)) return;
  const name = (named ?? Object.keys(body)).find((one) =>
    isOpposed(deps, thing, one, ownMember(body, one)),
  );
  if (name === undefined) return;
  const detail = `a local change of ${thing.id}/${name} was not acknowledged upstream yet, and stands`;
  throw new GatewayError("conflict", detail);
}

/** There is another value, set here, that upstream has not got. */
function isOpposed(
  deps: CommandDeps,
  thing: Thing,
  name: string,
  value: Json | undefined,
): boolean {
  const { properties, commit } = deps.interactions.store;
  const state = properties.get(thing.number, name);
  if (state === undefined || value === undefined) return false;
  if (!deps.outbox.owes("property", state.sequence)) return false;
  const held = sameValue(state.value);
  // A device that repeats its value changes nothing.
  if (held === sameValue(value) || deps.known.isHeld(thing.number, name, held)) return false;
  const row = commit.read(changeKey("property", state.sequence));
  return row === undefined || openChange("property", state.sequence, row).via !== deps.uplink;
}
