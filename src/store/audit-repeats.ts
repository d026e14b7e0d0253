import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { peerNetwork } from "../peer-network.ts";
import type { AuditRecord } from "./audit.ts";

type Held = { readonly last: AuditRecord; readonly count: number };

const WINDOW_MS = 60_000;

/** How many kinds may still be told apart; in the long run so many a minute. */
type Kinds = { left: number; atMs: number; readonly perMinute: number };

/**
 * Records of what can be made to happen at any rate, wrong passwords above all. The first of its kind
 * is written at once; those like it that come within the minute are one row at its end. Two are alike
 * if principal, action, result, network and `of` are.
 *
 * Of refusals so many kinds are told apart, and the rest counts as one: else whoever has many addresses
 * writes so many rows that what he did goes out of the log. Strangers cost nobody with a name his kinds.
 */
export class AuditRepeats {
  readonly #clock: Pick<Clock, "after" | "monotonicMs">;
  readonly #write: (record: AuditRecord, count: number) => void;
  readonly #held = new Map<string, Held>();
  readonly #ofStrangers: Kinds;
  readonly #ofKnown: Kinds;
  #cancelTimer: CancelTimer | undefined;

  constructor(
    clock: Pick<Clock, "after" | "monotonicMs">,
    write: (record: AuditRecord, count: number) => void,
  ) {
    this.#clock = clock;
    this.#write = write;
    const { auditRepeatsMax: left, auditStrangersPerMinute, auditRefusedPerMinute } = FIXED_LIMITS;
    const atMs = clock.monotonicMs();
    this.#ofStrangers = { left, atMs, perMinute: auditStrangersPerMinute };
    this.#ofKnown = { left, atMs, perMinute: auditRefusedPerMinute };
  }

  /** `of`: what else has to be the same. */
  add(record: AuditRecord, of = ""): void {
    const { principal, action, result, address = "" } = record;
    const key = JSON.stringify([principal, action, result, peerNetwork(address), of]);
    if (this.#held.has(key) || result === "ok" || this.#takeKind(principal)) {
      this.#addAs(key, record);
      return;
    }
    const { address: _, requestId: __, ...rest } = record;
    this.#addAs("", { ...rest, principal: "several", action: "audit.flood", target: "" });
  }

  #takeKind(principal: string): boolean {
    const kinds = principal === "nobody" ? this.#ofStrangers : this.#ofKnown;
    const now = this.#clock.monotonicMs();
    const regained = ((now - kinds.atMs) * kinds.perMinute) / WINDOW_MS;
    kinds.left = Math.min(FIXED_LIMITS.auditRepeatsMax, kinds.left + regained);
    kinds.atMs = now;
    if (kinds.left < 1) return false;
    kinds.left -= 1;
    return true;
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
