import type Koa from "koa";
import type { AuditRecord } from "../store/audit.ts";
import type { Principal } from "../thing/access.ts";
import type { Answer, Call } from "./call.ts";
import { toGatewayError } from "./problem.ts";
import { protocolOf } from "./refused-request.ts";

/** What a request left behind on its way: its call once it was read, with its principal once known. */
export type Trail = { call?: Call & { readonly principal?: Principal } };

/**
 * Answers a request whose route is audited, and records what came of it. Of an answer that changed
 * something the record is in the batch of the change: nothing but promises that are settled stands
 * between the two.
 * @throws what `answer` throws.
 */
export async function trailOf(
  action: AuditRecord["action"],
  context: Koa.Context,
  answer: (trail: Trail) => Promise<Answer>,
): Promise<Answer> {
  const trail: Trail = {};
  const requestId = context.response.get("X-Request-Id");
  try {
    const given = await answer(trail);
    record(trail, requestId, given.status < 400, {
      action,
      target: given.headers?.["Location"] ?? context.path,
      result: given.status < 400 ? "ok" : String(given.status),
      ...given.audit,
    });
    return given;
  } catch (thrown) {
    const { code } = toGatewayError(thrown);
    record(trail, requestId, false, { action, target: context.path, result: code });
    throw thrown;
  }
}

const NOT_LET_IN: ReadonlySet<string> = new Set([
  "unauthorized",
  "rate-limited",
  "unclaimed",
  "401",
]);

type Told = Pick<AuditRecord, "action" | "target" | "result"> & Partial<AuditRecord>;

function record({ call }: Trail, requestId: string, isDone: boolean, told: Told): void {
  if (call === undefined) return;
  const { principal, channel, address } = call;
  // Who was not even let in is told of as a log-in that failed, whatever it wanted.
  if (principal === undefined && NOT_LET_IN.has(told.result)) return;
  const row: AuditRecord = {
    principal: principal?.name ?? "nobody",
    ...(channel.kind === "local" ? {} : { address }),
    channel: protocolOf(channel),
    requestId,
    ...told,
  };
  const { audit } = call.deps.store;
  if (!isDone) audit.recordRepeatable(row);
  else if (EVERYBODYS.has(row.action)) audit.recordRepeatable(row);
  else if (isOfItself(row, principal)) audit.recordRepeatable(row, row.target);
  else audit.record(row);
}

/**
 * What whoever may log in at all may do as often as he likes. A row for each would let a viewer, or a
 * program with one client secret, push everything else out of the log.
 */
const EVERYBODYS: ReadonlySet<string> = new Set([
  "joining.prove",
  "session.end",
  "session.open",
  "token.issue",
  "token.revoke",
]);

/** The same, on what is somebody's own: his password, what a device says that it is. */
function isOfItself({ action }: AuditRecord, principal: Principal | undefined): boolean {
  if (action === "user.password") return true;
  return action === "thing.define" && principal?.kind === "credential";
}
