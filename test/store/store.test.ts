import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type Test } from "tap";
import type { GatewayError } from "../../src/errors.ts";
import { openDatabase } from "../../src/store/database.ts";
import { metaKey } from "../../src/store/keys.ts";
import { openStore, type Store } from "../../src/store/store.ts";
import { ManualClock } from "./manual-clock.ts";
import { AMPLE, openTemporaryStore } from "./open-store.ts";
import { QUIET_LOG } from "./quiet-log.ts";
import { seededRandom } from "./random.ts";
import { recordEvent } from "./recording.ts";

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), "sluice-store-"));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function open(path: string, failures: GatewayError[] = []): Promise<Store> {
  return openStore({
    path,
    window: { gatherMs: 0, syncIntervalMs: 0 },
    quotaBytes: 0,
    history: AMPLE,
    log: QUIET_LOG,
    clock: new ManualClock(),
    random: seededRandom(1),
    onFailure: (failure) => failures.push(failure),
  });
}

/** Puts a row where only the store itself writes. */
async function plant(path: string, key: string, value: string): Promise<void> {
  const database = await openDatabase(path);
  await database.put(key, value);
  await database.close();
}

await test("a store counts its starts and keeps its name", async (t) => {
  const opened = await openTemporaryStore(t);
  const { gatewayId, boot } = opened.store;
  const id = opened.store.ids.ofMoment({ at: 1, sequence: 1 });
  t.equal(boot, 1);
  await opened.reopen();
  t.equal(opened.store.boot, 2);
  t.equal(opened.store.gatewayId, gatewayId);
  t.same(opened.store.ids.momentOf(id), { at: 1, sequence: 1 }, "its ids stay its own");
});

await test("a process lives until what its store has to write is written", (t) => {
  const here = (path: string): string => JSON.stringify(new URL(path, import.meta.url).href);
  // Nothing but the store: the first batches of a new one are 50 ms apart.
  const script = `
    import { systemClock, systemRandom } from ${here("../../src/clock.js")};
    import { openStore } from ${here("../../src/store/store.js")};
    import { AMPLE } from ${here("./open-store.js")};
    import { QUIET_LOG } from ${here("./quiet-log.js")};
    const store = await openStore({
      path: process.argv[1],
      window: { gatherMs: 50, syncIntervalMs: 50 },
      quotaBytes: 0,
      history: AMPLE,
      log: QUIET_LOG,
      clock: systemClock(),
      random: systemRandom,
      onFailure: () => process.exit(1),
    });
    await store.close();
    process.stdout.write("closed");
  `;
  const args = ["--input-type=module", "--eval", script, folder(t)];
  const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8" });
  t.match({ status, stdout }, { status: 0, stdout: "closed" }, stderr);
  t.end();
});

await test("a store whose note of the time is lost knows the time from its newest changes", async (t) => {
  const opened = await openTemporaryStore(t);
  const right = opened.clock.wall;
  recordEvent(opened.store, 1, right, "e");
  for (const at of [0, right + 1e12]) {
    const change = { class: "property", thing: 1, at, values: { p: 1 } } as const;
    opened.store.changes.append({ ...change, backfilled: true });
  }
  await opened.store.close();
  await plant(opened.path, metaKey("time"), "harmed");
  opened.clock.reboot({ wall: 0, synced: false });
  await opened.reopen();
  t.equal(opened.store.clock.wallMs(), right, "not from what was back-filled");
});

await test("what was put before a close is there afterwards, and a second close does nothing", async (t) => {
  const path = folder(t);
  const store = await open(path);
  store.accounts.put({ name: "site", created: 1, revision: 1 });
  await Promise.all([store.close(), store.close()]);
  await store.close();
  const again = await open(path);
  t.ok(again.accounts.has("site"));
  await again.close();
});

await test("a store that is closed stays closed, whoever still puts something", async (t) => {
  const path = folder(t);
  const failures: GatewayError[] = [];
  const store = await open(path, failures);
  await store.close();
  store.commit.put("z:late", "1");
  await t.rejects(store.commit.flushed(), { code: "stopping" });
  t.equal(store.database.status, "closed");
  t.same(failures, []);
});

await test("a store that is open elsewhere is not opened", async (t) => {
  const path = folder(t);
  const store = await open(path);
  await t.rejects(open(path), {
    code: "storage-failed",
    cause: { cause: { code: "LEVEL_LOCKED" } },
  });
  await store.close();
});

await test("a store of a newer version is not opened, and stays as it is", async (t) => {
  const path = folder(t);
  await (await open(path)).close();
  await plant(path, "m:format", "4");
  await t.rejects(open(path), { code: "storage-failed", message: /format 4/ });
  await plant(path, "m:format", "3");
  const store = await open(path);
  t.equal(store.boot, 2, "the refused start is not counted");
  await store.close();
});

await test("a store of the format before is taken over, and is of this one from then on", async (t) => {
  const path = folder(t);
  await (await open(path)).close();
  await plant(path, "m:format", "2");
  const store = await open(path);
  t.equal(store.commit.read("m:format"), "3");
  await store.close();
});

await test("a batch whose write fails is told at once, held, and written when the database is open again", async (t) => {
  const opened = await openTemporaryStore(t);
  const { database, commit, writability } = opened.store;
  await database.close();
  commit.put("z:row", "1");
  await t.rejects(commit.flushed(), { code: "storage-failed" });
  t.equal(writability.stall?.code, "storage-failed");
  t.equal(commit.read("z:row"), "1");
  await new Promise((resolve) => commit.settled(resolve));
  t.equal(writability.stall, undefined);
  t.equal(await database.get("z:row"), "1");
  t.equal(opened.failures.length, 0);
});
