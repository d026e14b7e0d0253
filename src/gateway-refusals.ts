import type { RefusalCause } from "./refusal-causes.ts";
import { RefusalLog, type Refusal } from "./refusal-log.ts";
import type { Store } from "./store/store.ts";

/** Causes that mean that a log-in failed: what an audit has to show of those who try. */
const OF_LOGIN: ReadonlySet<RefusalCause> = new Set<RefusalCause>([
  "wrong-password",
  "unknown-user",
  "unknown-token",
  "disabled-credential",
  "expired-credential",
  "too-many-failures",
  "unknown-certificate",
  "expired-certificate",
  "revoked-certificate",
]);

/** The log of refusals; log-ins that failed are recorded in the audit log, too. */
export function makeRefusalLog({ clock, audit }: Pick<Store, "clock" | "audit">): RefusalLog {
  return new RefusalLog(clock, (refusal) => {
    // A wrong claim code is recorded with the route it was sent to.
    if (!OF_LOGIN.has(refusal.cause) || refusal.code === "wrong-claim-code") return;
    audit.recordRepeatable(failedLogin(refusal));
  });
}

function failedLogin({ cause, protocol, address, user, clientId }: Refusal) {
  return {
    principal: "nobody",
    ...(protocol === "local" ? {} : { address }),
    channel: protocol,
    action: "access.login",
    // A name that nobody has may be a password in the wrong field: it is not kept for years.
    target: cause === "unknown-user" ? "" : (user ?? clientId ?? ""),
    result: cause,
  } as const;
}
