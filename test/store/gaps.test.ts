import { test, type Test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import { changeKey, historyKey, pageKey, type ChangeClass } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { AMPLE, openTemporaryStore, type Opened } from "./open-store.ts";
import { recordDatum, recordEvent, recordValues } from "./recording.ts";

/** Page 0 ends with sequence 4095. */
const PAGE = 4_096;

/** Takes rows of the log away as damage does: nobody counts them. */
async function lose(store: Store, of: ChangeClass, sequences: readonly number[]): Promise<void> {
  const batch = store.database.batch();
  for (const sequence of sequences) batch.del(changeKey(of, sequence));
  await batch.write({ sync: true });
}

function recordMany(store: Store, count: number): void {
  for (let index = 0; index < count; index += 1) {
    if (index % 4 === 3) recordEvent(store, 1, 1_000 + index, "e");
    else recordValues(store, 1, 1_000 + index, { p: index });
  }
}

async function checked(opened: Opened): Promise<Store> {
  const store = await opened.reopen();
  await store.gaps.checkAll();
  return store;
}

async function isQuiet(t: Test, opened: Opened): Promise<void> {
  const before = opened.store.gaps.list();
  const store = await checked(opened);
  t.same(store.gaps.list(), before, "it is told once");
}

await test("a store without damage has no gap, over pages and restarts", async (t) => {
  const opened = await openTemporaryStore(t);
  recordMany(opened.store, PAGE + 100);
  for (let restart = 0; restart < 3; restart += 1) {
    const store = await checked(opened);
    t.same(store.gaps.list(), []);
    t.equal(store.changes.sequence, PAGE + 100 + restart);
    recordDatum(store, 1, 1);
  }
});

await test("changes that are missing are told with their class, number and times", async (t) => {
  const opened = await openTemporaryStore(t);
  recordMany(opened.store, 100);
  await opened.store.commit.flushed();
  await lose(opened.store, "property", [41, 42, 43]);
  const store = await checked(opened);
  t.match(store.gaps.list(), [
    {
      ...{ cause: "missing", class: "property", from: 41, to: 43, count: 3 },
      ...{ since: 1_000 + 39, until: 1_000 + 43, boot: 2, foundAt: opened.clock.wallMs() },
    },
  ]);
  t.equal(store.changes.rowsOf("property"), 72, "what is there is counted from then on");
  await isQuiet(t, opened);
});

await test("changes that are missing of an older page are found while the gateway runs", async (t) => {
  const opened = await openTemporaryStore(t);
  recordMany(opened.store, 4 * PAGE);
  await opened.store.commit.flushed();
  await lose(opened.store, "event", [100, 200]);
  const store = await opened.reopen();
  t.same(store.gaps.list(), [], "the start looks at the newest only");
  t.ok(store.gaps.pagesLeft > 0);
  store.gaps.start((error) => t.fail(String(error)));
  while (store.gaps.pagesLeft > 0) {
    await new Promise((resolve) => setImmediate(resolve));
    opened.clock.advance(500);
  }
  t.match(store.gaps.list(), [{ class: "event", from: 100, to: 200, count: 2 }]);
});

await test("the look through an old store goes on behind a stall of the disk", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  const description = { properties: { p: {} } };
  const row = { account: "site", id: "a", uid: "u", description };
  store.changes.append({ class: "thing", thing: 1, at: 1, ...row });
  // So far from each other that each has a row of its own in the index.
  const moments = Array.from({ length: 2 * PAGE }, (_, n) =>
    recordValues(store, 1, n * 1_000, { p: n }),
  );
  await store.commit.flushed();
  const batch = store.database.batch();
  const keys = moments.map((moment) => historyKey({ thing: 1, of: "property", name: "p" }, moment));
  const gone = [keys[5] ?? "", keys[PAGE + 5] ?? ""];
  for (const key of gone) batch.del(key);
  batch.put("t:000001", "not a Thing");
  await batch.write({ sync: true });
  const again = await opened.reopen();
  const stall = new GatewayError("storage-full", "a write waits");
  again.gaps.start((error) => t.fail(String(error)));
  const flushed = again.commit.flushed.bind(again.commit);
  let refused = 0;
  again.commit.flushed = async () => {
    refused += 1;
    return Promise.reject(stall);
  };
  while (refused < 2) {
    again.writability.setStall(stall);
    await new Promise((resolve) => setImmediate(resolve));
    opened.clock.advance(500);
  }
  again.writability.setStall(undefined);
  again.commit.flushed = flushed;
  while (again.gaps.pagesLeft > 0) {
    await new Promise((resolve) => setImmediate(resolve));
    opened.clock.advance(500);
  }
  for (const key of gone) t.equal(again.commit.read(key), "", "each row was made again");
});

await test("what was deleted or swept is not missing", async (t) => {
  const bounds = { ...AMPLE, event: { rows: 10, days: 0 } };
  const opened = await openTemporaryStore(t, bounds);
  const { store } = opened;
  recordMany(store, PAGE + 200);
  for (let index = 0; index < 50; index += 1) recordValues(store, 2, index, { q: index });
  store.retention.forget(2);
  await store.retention.sweep();
  const again = await checked(opened);
  t.same(again.gaps.list(), []);
  t.equal(again.changes.rowsOf("event"), 10);
});

await test("a change that was swept and has come back goes again, and is nobody's gap", async (t) => {
  const opened = await openTemporaryStore(t, { ...AMPLE, event: { rows: 5, days: 0 } });
  const { store } = opened;
  recordMany(store, 100);
  const old = store.commit.read(changeKey("event", 4)) ?? "";
  await store.retention.sweep();
  await store.commit.flushed();
  const batch = store.database.batch();
  batch.put(changeKey("event", 4), old);
  await batch.write({ sync: true });
  const again = await checked(opened);
  await again.commit.flushed();
  t.equal(again.database.getSync(changeKey("event", 4)), undefined);
  t.same(again.gaps.list(), []);
  t.equal(again.changes.rowsOf("event"), 5);
});

await test("the count of a page may be lost too: the mark knows how many there are in all", async (t) => {
  const opened = await openTemporaryStore(t);
  recordMany(opened.store, 3 * PAGE);
  await opened.store.commit.flushed();
  await lose(opened.store, "event", [8, 12, 16]);
  const batch = opened.store.database.batch();
  batch.del(pageKey(0));
  await batch.write({ sync: true });
  const store = await checked(opened);
  t.match(store.gaps.list(), [{ class: "event", from: 1, to: PAGE - 1, count: 3 }]);
  await isQuiet(t, opened);
});

await test("a row of the index that is gone is made again, but for what was removed", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  const thing = 1;
  const revise = (names: readonly string[]): void => {
    const properties = Object.fromEntries(names.map((name) => [name, {}]));
    const row = { account: "site", id: "a", uid: "u", description: { properties } };
    store.changes.append({ class: "thing", thing, at: 1, ...row });
  };
  revise(["p", "q"]);
  const both = recordValues(store, thing, 5_000, { p: 1, q: 1 });
  revise(["p"]);
  revise(["p", "q"]);
  const later = recordValues(store, thing, 6_000, { q: 2 });
  const key = (name: string, moment: typeof both): string =>
    historyKey({ thing, of: "property", name }, moment);
  await store.commit.flushed();
  const batch = store.database.batch();
  for (const gone of [key("p", both), key("q", both), key("q", later), "t:000001"]) batch.del(gone);
  batch.put("t:000002", "not a Thing");
  await batch.write({ sync: true });
  const again = await checked(opened);
  await again.commit.flushed();
  t.ok(again.things.find("site", "a"), "the Thing is made again");
  t.equal(again.database.getSync(key("p", both)), "");
  t.equal(again.database.getSync(key("q", later)), "");
  t.equal(again.database.getSync(key("q", both)), undefined, "q is another property since");
  t.match(again.properties.get(thing, "p"), { value: 1, sequence: both.sequence });
  t.match(again.properties.get(thing, "q"), { value: 2, sequence: later.sequence });
});
