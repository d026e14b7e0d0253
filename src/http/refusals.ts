import { authoriseInGateway } from "../interactions/authorise.ts";
import { whyNot } from "../interactions/authentication.ts";
import { REFUSAL_CAUSES } from "../refusal-causes.ts";
import type { NotedRefusal } from "../refusal-log.ts";
import { mayInGateway } from "../thing/access.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import type { Answer, AuthorisedCall, Route } from "./call.ts";
import { listAnswer, readPageRequest } from "./lists.ts";
import { single } from "./query.ts";

export const refusalRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/gateway/refusals",
    scopes: ["gateway.read"],
    query: ["client", "user", "address", "limit"],
    answer: listRefusals,
  },
];

/** The last ones, newest first. It holds so few that it has no pages. */
function listRefusals(call: AuthorisedCall): Answer {
  authoriseInGateway(call.principal, "gateway.read");
  const { query, deps } = call;
  const mayName = NAMING.some((scope) => mayInGateway(call.principal, scope));
  const { limit } = readPageRequest(query);
  const filter = {
    clientId: single(query, "client"),
    user: single(query, "user"),
    address: single(query, "address"),
  };
  const isShown = ({ user }: NotedRefusal): boolean =>
    user === undefined || mayName || whyNot(deps, user) !== "unknown-user";
  const items = deps.refusals
    .list(filter, limit)
    .filter((refusal) => filter.user === undefined || isShown(refusal))
    .map((refusal) => (isShown(refusal) ? refusal : withoutUser(refusal)));
  return listAnswer(call, { items, next: "", previous: "" }, render);
}

/**
 * A name that nobody has may be a password in the wrong field: it is for those who could give everybody
 * a new one, and not for a panel in the hall.
 */
const NAMING = ["gateway.manage", "mqtt.credentials"] as const;

function withoutUser({ user: _, ...refusal }: NotedRefusal): NotedRefusal {
  return refusal;
}

function render(refusal: NotedRefusal): JsonObject {
  const { cause, protocol, address, clientId, user, topic, code, detail } = refusal;
  const { title, remedy } = REFUSAL_CAUSES[cause];
  return {
    at: formatTime(refusal.last),
    cause,
    title,
    detail,
    remedy,
    protocol,
    address,
    client: clientId ?? null,
    user: user ?? null,
    topic: topic ?? null,
    code: code ?? null,
    count: refusal.count,
    since: formatTime(refusal.first),
  };
}
