import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { peerNetwork } from "../peer-network.ts";
import type { AuditRecord } from "./audit.ts";

type Held = { readonly last: AuditRecord; readonly count: number };

const WINDOW_MS = 60_000;

/**
 * Records of what can be made to happen at any rate, wrong passwords above all. The first of its kind
 * is written at once; those like it that come within the minute are one row at its end. Two are alike
 * if principal, action, result and network are. Beyond so many kinds at once the rest counts as one.
 */
export class AuditRepeats {
  readonly #clock: Pick<Clock, "after">;
  readonly #write: (record: AuditRecord, count: number) => void;
  readonly #held = new Map<string, Held>();
  #cancelTimer: CancelTimer | undefined;

  constructor(clock: Pick<Clock, "after">, write: (record: AuditRecord, count: number) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  add(record: AuditRecord): void {
    const { principal, action, result, address = "" } = record;
    const key = JSON.stringify([principal, action, result, peerNetwork(address)]);
    if (this.#held.has(key) || this.#held.size < FIXED_LIMITS.auditRepeatsMax) {
      this.#addAs(key, record);
      return;
    }
    const { address: _, requestId: __, ...rest } = record;
    this.#addAs("", { ...rest, principal: "several", action: "audit.flood", target: "" });
  }

  /** Writes what was only counted so far; the next of each kind is the first again. */
  flush(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const held = [...this.#held.values()];
    this.#held.clear();
    for (const { last, count } of held) if (count > 0) this.#write(last, count);
  }

  #addAs(key: string, record: AuditRecord): void {
    const held = this.#held.get(key);
    this.#held.set(key, { last: record, count: held === undefined ? 0 : held.count + 1 });
    if (held === undefined) this.#write(record, 1);
    this.#cancelTimer ??= this.#clock.after(WINDOW_MS, () => this.flush());
  }
}
