import { authoriseInGateway } from "../interactions/authorise.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { AuditEntry } from "../store/audit.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import type { Answer, AuthorisedCall, Route } from "./call.ts";
import { historyPage, listAnswer, PAGE_PARAMETERS, readPageRequest } from "./lists.ts";
import { invalidParameter, single, timeRange, type Query } from "./query.ts";

export const auditRoutes: readonly Route[] = [
  {
    method: "GET",
    path: "/gateway/audit",
    scopes: ["gateway.manage"],
    query: [...PAGE_PARAMETERS, "at", "principal", "action", "target", "result"],
    answer: listAudit,
  },
];

const JSON_TYPE = "application/json";
const LINES_TYPE = "application/x-ndjson";

/** Newest first: as a list, or for an export a line each, as many of them as a page may have. */
async function listAudit(call: AuthorisedCall): Promise<Answer> {
  authoriseInGateway(call.principal, "gateway.manage");
  const { store } = call.deps;
  const isExport = call.preferred([JSON_TYPE, LINES_TYPE]) === LINES_TYPE;
  const asked = readPageRequest(call.query);
  const hasLimit = call.query.has("limit");
  const request = isExport && !hasLimit ? { ...asked, limit: FIXED_LIMITS.pageItemsMax } : asked;
  const matches = filterOf(call.query);
  await store.commit.caughtUp();
  const page = await historyPage(
    store.ids,
    request,
    {},
    {
      read: async ({ limit, after, before, oldestFirst = false }) =>
        store.audit.read({
          limit,
          after: after?.sequence,
          before: before?.sequence,
          oldestFirst,
          matches,
        }),
      momentOf: ({ at, number }) => ({ at, sequence: number }),
    },
  );
  const list = listAnswer(call, page, render);
  if (!isExport) return list;
  const { body: _, ...answer } = list;
  const text = page.items.map((entry) => `${JSON.stringify(render(entry))}\n`).join("");
  return { ...answer, text, mediaType: LINES_TYPE };
}

/** @throws GatewayError `invalid-parameter`. */
function filterOf(query: Query): (entry: AuditEntry) => boolean {
  const range = timeRange(query);
  if (range?.kind === "instant") throw invalidParameter("at", "must be FROM|TO");
  const [principal, action] = [single(query, "principal"), single(query, "action")];
  const [target, result] = [single(query, "target"), single(query, "result")];
  return (entry) =>
    (range === undefined || (entry.at >= range.from && entry.at <= range.to)) &&
    (principal === undefined || entry.principal === principal) &&
    (action === undefined || entry.action === action || entry.action.startsWith(`${action}.`)) &&
    (target === undefined || entry.target.startsWith(target)) &&
    (result === undefined || entry.result === result);
}

function render(entry: AuditEntry): JsonObject {
  const { number, principal, address, channel, action, target, requestId, result } = entry;
  return {
    number,
    at: formatTime(entry.at),
    principal,
    address: address ?? null,
    channel,
    action,
    target,
    result,
    detail: entry.detail ?? null,
    request_id: requestId ?? null,
    count: entry.count ?? 1,
  };
}
