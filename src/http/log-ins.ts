import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { peerNetwork } from "../peer-network.ts";
import type { AuditLog } from "../store/audit.ts";
import type { Call } from "./call.ts";
import { protocolOf } from "./refused-request.ts";

type Hour = { readonly sinceMs: number; readonly networks: Set<string> };

const HOUR_MS = 3_600_000;

/**
 * Records who logged in by Basic. Each request does, so it is one record for each person, network and
 * hour, of so many networks at most: a script that asks each second is one row an hour.
 */
export class LogIns {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #audit: Pick<AuditLog, "record">;
  /** By name: there are as many as people. */
  readonly #hours = new Map<string, Hour>();

  constructor(clock: Pick<Clock, "monotonicMs">, audit: Pick<AuditLog, "record">) {
    this.#clock = clock;
    this.#audit = audit;
  }

  /** `person` was let in. */
  note(person: string, { address, channel }: Pick<Call, "address" | "channel">): void {
    const now = this.#clock.monotonicMs();
    let hour = this.#hours.get(person);
    if (hour === undefined || now - hour.sinceMs >= HOUR_MS) {
      hour = { sinceMs: now, networks: new Set() };
      this.#hours.set(person, hour);
    }
    const network = peerNetwork(address);
    if (hour.networks.has(network) || hour.networks.size >= FIXED_LIMITS.auditLogInsPerHour) return;
    hour.networks.add(network);
    this.#audit.record({
      principal: `user ${person}`,
      ...(channel.kind === "local" ? {} : { address }),
      ...{ channel: protocolOf(channel), action: "access.login", target: person, result: "ok" },
    });
  }
}
