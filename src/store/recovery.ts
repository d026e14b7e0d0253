import type { Clock } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { readMark } from "./changes.ts";
import type { Database } from "./database.ts";
import type { Space } from "./space.ts";

type RecoveryDeps = {
  readonly database: Database;
  readonly space: Space;
  readonly clock: Clock;
  readonly log: Log;
  /** The newest sequence that was acknowledged: it has to be there afterwards. */
  readonly acknowledgedSequence: () => number;
};

const RETRY_EVERY_MS = 1_000;

/**
 * Mends the database after a failed write: waits for room if the disk is full, or until it may be
 * written to, closes the handle that cannot be trusted any more, opens it anew and looks whether all
 * that was acknowledged is there.
 */
export function makeMend(deps: RecoveryDeps): (failure: GatewayError) => Promise<void> {
  let failures = 0;
  let lastMs = -Infinity;
  return async (failure) => {
    const { clock, log } = deps;
    log.error("store.write_failed", { error: failure });
    failures = clock.monotonicMs() - lastMs > 60_000 ? 1 : failures + 1;
    lastMs = clock.monotonicMs();
    if (failure.code === "storage-full") await waitForRoom(deps);
    else if (failures >= FIXED_LIMITS.writeFailuresMax) throw failure;
    await reopen(deps);
    log.info("store.reopened", { sequence: deps.acknowledgedSequence() });
  };
}

/** The old handle still serves reads meanwhile. */
async function waitForRoom({ space, clock }: RecoveryDeps): Promise<void> {
  while (!(await space.hasRoom())) {
    await new Promise<void>((resolve) => clock.after(RETRY_EVERY_MS, resolve, true));
  }
}

async function reopen({ database, acknowledgedSequence }: RecoveryDeps): Promise<void> {
  const expected = acknowledgedSequence();
  try {
    await database.reopen();
  } catch (cause) {
    throw new GatewayError("storage-failed", "the database did not open again", { cause });
  }
  const { sequence } = readMark((key) => database.getSync(key));
  if (sequence >= expected) return;
  const detail = `changes ${sequence + 1} to ${expected} were acknowledged and are not on disk`;
  throw new GatewayError("storage-failed", detail);
}
