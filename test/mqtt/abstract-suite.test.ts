import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test as nodeTest } from "node:test";
import abstractPersistence from "aedes-persistence/abstract.js";
import { SessionPersistence } from "../../src/mqtt/persistence.ts";
import { SUBLEVEL } from "../../src/mqtt/session-rows.ts";
import { WrittenLevel } from "../../src/mqtt/written-level.ts";
import { openStore } from "../../src/store/store.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { AMPLE } from "../store/open-store.ts";
import { QUIET_LOG } from "../store/quiet-log.ts";
import { seededRandom } from "../store/random.ts";

// The contract suite that every persistence of aedes has to pass. It wants node:test.
abstractPersistence({
  test: nodeTest,
  testAsync: true,
  persistence: async () => {
    const path = mkdtempSync(join(tmpdir(), "sluice-persistence-"));
    const store = await openStore({
      path,
      window: { gatherMs: 0, syncIntervalMs: 0 },
      quotaBytes: 0,
      history: AMPLE,
      clock: new ManualClock(),
      random: seededRandom(1),
      log: QUIET_LOG,
      onFailure: (failure) => {
        throw failure;
      },
    });
    const level = new WrittenLevel(store.database, store.commit, SUBLEVEL);
    const persistence = new SessionPersistence(level, { get: () => undefined });
    return Object.assign(persistence, {
      destroy: async () => {
        await store.close();
        rmSync(path, { recursive: true, force: true });
      },
    });
  },
});
