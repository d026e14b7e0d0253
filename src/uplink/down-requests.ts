import { ERRORS, GatewayError } from "../errors.ts";
import { cancelAction, requestAction } from "../interactions/action-invocation.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { ownMember, requireObject } from "../interactions/payload.ts";
import { isActionStatus, isFinal } from "../store/action-requests.ts";
import type { Outbox } from "../store/outbox.ts";
import type { Principal } from "../thing/access.ts";
import type { Json } from "../thing/json.ts";
import { parseTime } from "../thing/time.ts";
import { actionSetTopic, type AffordanceTopic } from "../thing/topics.ts";
import type { CommandAges } from "./command-ages.ts";
import type { DownMessage, UpMessage } from "./message.ts";
import type { TopicMapping } from "./topic-mapping.ts";

export type RequestDeps = {
  readonly interactions: InteractionDeps;
  readonly outbox: Pick<Outbox, "memory">;
  readonly principal: Principal;
  readonly ages: CommandAges;
  readonly mapping: TopicMapping;
  readonly tell: (message: UpMessage) => void;
};

/**
 * `peer`: a request of the gateway above becomes one of ours, once, whose reports go up under the
 * `href` it has there; its end there withdraws ours while no device has taken it up.
 * @throws GatewayError as `requestAction`: then upstream is told that it failed.
 */
export function followRequest(
  deps: RequestDeps,
  message: DownMessage,
  topic: AffordanceTopic,
  payload: Json,
): "applied" | "unchanged" {
  const keyed = requireObject(payload, "an object of one action request");
  const body = requireObject(ownMember(keyed, topic.name) ?? null, "an action request");
  const href = ownMember(body, "href");
  const status = ownMember(body, "status");
  if (typeof href !== "string" || typeof status !== "string" || !isActionStatus(status)) {
    throw new GatewayError("malformed", "an action request has an href and a status");
  }
  const known = deps.outbox.memory.requestOf(href);
  if (known !== undefined) {
    return isFinal(status) && withdraw(deps, topic, known) ? "applied" : "unchanged";
  }
  // Of a request that never was ours, what becomes of it is not our business.
  if (status !== "pending") return "unchanged";
  const input = ownMember(body, "input");
  const timeRequested = ownMember(body, "timeRequested");
  const saidAt = typeof timeRequested === "string" ? parseTime(timeRequested) : undefined;
  const lifeMsMax = deps.ages.lifeMs(message, undefined, saidAt);
  requestAs(deps, topic, href, { body: input === undefined ? {} : { input }, lifeMsMax });
  return "applied";
}

function requestAs(
  deps: RequestDeps,
  topic: AffordanceTopic,
  href: string,
  request: { readonly body: Json; readonly lifeMsMax: number },
): void {
  const { interactions, principal, outbox } = deps;
  const { account, thing, name } = topic;
  // Ahead of the request: an end that comes at once is to be told under this href, too.
  const expected = {
    at: interactions.clock.wallMs(),
    sequence: interactions.store.changes.nextSequence,
  };
  outbox.memory.mapRequest(expected, href);
  try {
    const on = { principal, account, thing, name, ...request };
    const { moment } = requestAction(interactions, on).request;
    if (moment.at !== expected.at) outbox.memory.mapRequest(moment, href);
  } catch (error) {
    outbox.memory.forgetRequest(expected.sequence);
    if (error instanceof GatewayError) tellFailed(deps, topic, href, error);
    throw error;
  }
}

/** Only of a Thing that is here: others may follow the same account, and have it. */
function tellFailed(
  deps: RequestDeps,
  topic: AffordanceTopic,
  href: string,
  error: GatewayError,
): void {
  const { store } = deps.interactions;
  const thing = store.things.find(topic.account, topic.thing);
  const account = deps.mapping.upstreamAccount(topic.account);
  if (thing === undefined || account === undefined) return;
  const { code, message } = error;
  const { title, status, mqtt } = ERRORS[code];
  // It is taken again.
  if (mqtt === "withheld") return;
  const problem = { type: `/problems/${code}`, title, status, detail: message };
  const report = { [topic.name]: { href, status: "failed", error: problem } };
  deps.tell({
    topic: deps.mapping.up(actionSetTopic({ account, id: thing.id }, topic.name)),
    payload: Buffer.from(JSON.stringify(report)),
    retain: false,
  });
}

/** @returns whether it was still pending here. */
function withdraw(
  { interactions, principal }: RequestDeps,
  { account, thing, name }: AffordanceTopic,
  moment: { readonly at: number; readonly sequence: number },
): boolean {
  const { things, requests, ids } = interactions.store;
  const present = things.find(account, thing);
  if (present === undefined) return false;
  if (requests.get(present.number, name, moment)?.status !== "pending") return false;
  cancelAction(interactions, { principal, account, thing, name, id: ids.ofMoment(moment) });
  return true;
}
