import { authoriseInGateway } from "../interactions/authorise.ts";
import { REFUSAL_CAUSES } from "../refusal-causes.ts";
import type { NotedRefusal } from "../refusal-log.ts";
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
  const { limit } = readPageRequest(query);
  const filter = {
    clientId: single(query, "client"),
    user: single(query, "user"),
    address: single(query, "address"),
  };
  const items = deps.refusals.list(filter, limit);
  return listAnswer(call, { items, next: "", previous: "" }, render);
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
