import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import type { Random } from "../../src/clock.ts";
import type { GatewayError } from "../../src/errors.ts";
import { rowsOf } from "../../src/store/database.ts";
import type { HistoryBounds } from "../../src/store/retention.ts";
import { openStore, type Store, type StoreOptions } from "../../src/store/store.ts";
import { ManualClock } from "./manual-clock.ts";
import { QUIET_LOG } from "./quiet-log.ts";
import { seededRandom } from "./random.ts";

export const AMPLE: HistoryBounds = {
  property: { rows: 1_000_000, days: 0 },
  action: { rows: 1_000_000, days: 0 },
  event: { rows: 1_000_000, days: 0 },
  data: { rows: 1_000_000, days: 0 },
};

/** A store on a real disk under a clock that the test moves. */
export type Opened = {
  readonly clock: ManualClock;
  readonly random: Random;
  readonly path: string;
  readonly failures: readonly GatewayError[];
  /** Changes with each reopening. */
  store: Store;
  /** Closes the store and opens it again, as a restart does. */
  readonly reopen: (bounds?: HistoryBounds) => Promise<Store>;
  /** Closes the store and takes it from the disk, before the end of the test. */
  readonly close: () => Promise<void>;
  /** Every row on disk, once what was put is there. */
  readonly rows: (prefix?: string) => Promise<ReadonlyMap<string, string>>;
};

export async function openTemporaryStore(
  t: Test,
  bounds = AMPLE,
  more: Pick<Partial<StoreOptions>, "uplinkTerms" | "quotaBytes" | "audit" | "log"> = {},
): Promise<Opened> {
  const path = mkdtempSync(join(tmpdir(), "sluice-store-"));
  const clock = new ManualClock();
  const random = seededRandom(20260301);
  const failures: GatewayError[] = [];
  const open = async (history: HistoryBounds): Promise<Store> =>
    openStore({
      path,
      window: { gatherMs: 0, syncIntervalMs: 0 },
      quotaBytes: 0,
      history,
      clock,
      random,
      log: QUIET_LOG,
      onFailure: (failure) => failures.push(failure),
      ...more,
    });
  const opened: Opened = {
    clock,
    random,
    path,
    failures,
    store: await open(bounds),
    reopen: async (given = bounds) => {
      await opened.store.close();
      opened.store = await open(given);
      return opened.store;
    },
    close: async () => {
      await opened.store.close();
      rmSync(path, { recursive: true, force: true });
    },
    rows: async (prefix = "") => {
      await opened.store.commit.flushed();
      const range = { gt: prefix, lt: `${prefix}\u{10ffff}` };
      return new Map(await rowsOf(opened.store.database, range));
    },
  };
  t.teardown(async () => opened.close());
  return opened;
}
