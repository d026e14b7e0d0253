import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";

/** Rows that are left of a share, and when that was reckoned. */
type Share = { left: number; atMs: number };

const DAY_MS = 86_400_000;

/**
 * How many rows of the audit log each principal may fill by himself: a part of it at once, which he
 * regains within a day. Else whoever may make and delete Things could make and delete one until nothing
 * is left in the log of what he, or anybody else, did before. In memory: a start gives all of it back.
 */
export class AuditShares {
  readonly #rows: number;
  readonly #clock: Pick<Clock, "monotonicMs">;
  /** By principal, the one that was longest quiet first. */
  readonly #shares = new Map<string, Share>();

  /** `rowsMax`: those of the whole log. */
  constructor(rowsMax: number, clock: Pick<Clock, "monotonicMs">) {
    const { auditShareParts, auditShareRowsMin } = FIXED_LIMITS;
    this.#rows = Math.max(auditShareRowsMin, Math.floor(rowsMax / auditShareParts));
    this.#clock = clock;
  }

  /** Takes a row of the share of `principal`; false: there is none left. */
  take(principal: string): boolean {
    const atMs = this.#clock.monotonicMs();
    const before = this.#shares.get(principal) ?? { left: this.#rows, atMs };
    const regained = ((atMs - before.atMs) * this.#rows) / DAY_MS;
    const left = Math.min(this.#rows, before.left + regained);
    const isLeft = left >= 1;
    this.#shares.delete(principal);
    this.#shares.set(principal, { left: isLeft ? left - 1 : left, atMs });
    const [quiet] = this.#shares.keys();
    const isFull = this.#shares.size > FIXED_LIMITS.auditSharesMax;
    if (isFull && quiet !== undefined) this.#shares.delete(quiet);
    return isLeft;
  }
}
