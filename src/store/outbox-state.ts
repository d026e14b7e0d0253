import type { Backlog } from "./outbox-backlog.ts";
import type { Drop } from "./outbox-items.ts";
import type { LossLedger } from "./outbox-ledger.ts";
import type { OutboxPages } from "./outbox-pages.ts";
import { totalOf } from "./outbox-place.ts";
import type { OutboxRates } from "./outbox-rates.ts";

/** What one uplink owes, in numbers. */
export type OutboxState = {
  /** All up to this number is acknowledged. */
  readonly ackedSeq: number;
  /** When the last acknowledgement came; absent: none in this start. */
  readonly ackedAtMonotonicMs?: number;
  readonly depth: {
    readonly rows: number;
    readonly bytes: number;
    /** Age of the oldest change that is owed, by the gateway's time; 0: nothing is. */
    readonly oldestAgeMs: number;
  };
  /** When the first class is full, if it goes on as in the last minute; `null`: never. */
  readonly fullInS: number | null;
  /** When nothing is owed any more, likewise; `null`: never. */
  readonly emptyInS: number | null;
  /** Changes a second, over the last minute. */
  readonly inPerS: number;
  readonly outPerS: number;
  /** Changes since the start: that came to be owed, and that were acknowledged. */
  readonly counts: { readonly added: number; readonly acknowledged: number };
  /** Oldest first. */
  readonly drops: readonly Drop[];
  /** Everything that was there when the uplink was made has a number. */
  readonly snapshotDone: boolean;
};

type Parts = {
  readonly backlog: Backlog;
  readonly pages: OutboxPages;
  readonly rates: OutboxRates;
  readonly ledger: LossLedger;
};

export function outboxState(
  { backlog, pages, rates, ledger }: Parts,
  now: {
    readonly ackedSeq: number;
    readonly ackedAtMonotonicMs: number | undefined;
    readonly counts: OutboxState["counts"];
    readonly wallMs: number;
  },
): OutboxState {
  const { ackedSeq, ackedAtMonotonicMs, counts, wallMs } = now;
  const { bounds, carried, isSnapshotDone } = backlog;
  const { total } = bounds;
  const rows = total.rows + carried + pages.outstanding;
  const oldestAt = pages.first?.content?.at ?? backlog.oldestAt;
  return {
    ackedSeq,
    ...(ackedAtMonotonicMs === undefined ? {} : { ackedAtMonotonicMs }),
    depth: {
      rows,
      bytes: total.bytes + totalOf(pages.amounts).bytes,
      oldestAgeMs: rows === 0 ? 0 : Math.max(0, wallMs - oldestAt),
    },
    fullInS: rates.fullInS(bounds),
    emptyInS: rates.emptyInS(rows),
    inPerS: rates.inPerS,
    outPerS: rates.outPerS,
    counts: { ...counts },
    drops: ledger.list(),
    snapshotDone: isSnapshotDone,
  };
}
