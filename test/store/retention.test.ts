import { setImmediate as nextTurn } from "node:timers/promises";
import { test, type Test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import type { ActionRequest, ActionStatus } from "../../src/store/action-requests.ts";
import { changeKey, HISTORY_CLASSES, type HistorySource } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { AMPLE, openTemporaryStore, type Opened } from "./open-store.ts";
import { recordDatum, recordEvent, recordValues } from "./recording.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const YEAR = 365 * DAY;

const property = (name: string): HistorySource => ({ thing: 1, of: "property", name });

async function sequencesOf(store: Store, source: HistorySource): Promise<readonly number[]> {
  await store.commit.flushed();
  const page = await store.history.changes([source], { limit: 1_000, oldestFirst: true });
  return page.items.map(({ sequence }) => sequence);
}

/** The count of rows that the log says it has is the count on disk, and no index row leads nowhere. */
async function assertConsistent(t: Test, opened: Opened): Promise<void> {
  const rows = await opened.rows();
  const keys = [...rows.keys()];
  for (const of of HISTORY_CLASSES) {
    const prefix = changeKey(of, 0).slice(0, 3);
    const onDisk = keys.filter((key) => key.startsWith(prefix)).length;
    t.equal(opened.store.changes.rowsOf(of), onDisk, `rows of class ${of}`);
  }
  const pointers = keys.filter((key) => key.startsWith("h:"));
  const lost = pointers.filter((key) => {
    const of = key.charAt(8);
    const order = key.slice(-20);
    const sequence = of === "e" ? order.slice(0, 11) : order.slice(9);
    return !rows.has(`c:${of}${sequence}`);
  });
  t.same(lost, [], "index rows that lead nowhere");
}

await test("of each class the newest rows stay, up to its bound", async (t) => {
  const bounds = {
    ...AMPLE,
    property: { rows: 300, days: 0 },
    event: { rows: 2, days: 0 },
  };
  const opened = await openTemporaryStore(t, bounds);
  const { store } = opened;
  const values = Array.from({ length: 900 }, (_, n) => recordValues(store, 1, n, { p: n, q: n }));
  const events = [1, 2, 3].map((at) => recordEvent(store, 1, at, "e"));
  const data = [1, 2, 3].map((at) => recordDatum(store, 1, at));
  await store.retention.sweep();
  const sequences = values.map(({ sequence }) => sequence);
  t.same(await sequencesOf(store, property("p")), sequences.slice(-300));
  t.same(await sequencesOf(store, property("q")), sequences.slice(-300));
  const keptEvents = events.slice(1).map(({ sequence }) => sequence);
  t.same(await sequencesOf(store, { thing: 1, of: "event", name: "e" }), keptEvents);
  const keptData = data.map(({ sequence }) => sequence);
  t.same(await sequencesOf(store, { thing: 1, of: "data", name: "" }), keptData);
  await assertConsistent(t, opened);
  await opened.reopen();
  const next = recordValues(opened.store, 1, 900, { p: 900 });
  await opened.store.retention.sweep();
  t.same(
    await sequencesOf(opened.store, property("p")),
    [...sequences.slice(-299), next.sequence],
    "it goes on behind what it swept before",
  );
  await assertConsistent(t, opened);
});

await test("age is of running time: neither a step of the clock nor time off expires anything", async (t) => {
  const bounds = { ...AMPLE, property: { rows: 1_000, days: 2 } };
  const opened = await openTemporaryStore(t, bounds);
  const { clock } = opened;
  const record = (): number => recordValues(opened.store, 1, clock.wall, { p: 1 }).sequence;
  const sequences: number[] = [];
  const run = async (hours: number): Promise<void> => {
    for (let hour = 0; hour < hours; hour += 1) {
      sequences.push(record());
      await opened.store.commit.flushed();
      clock.advance(HOUR);
    }
  };
  const kept = async (): Promise<number> => {
    await opened.store.retention.sweep();
    return (await sequencesOf(opened.store, property("p"))).length;
  };
  await run(40);
  t.equal(await kept(), 40);
  clock.wall += 10 * YEAR;
  await run(2);
  t.equal(await kept(), 42, "the clock went forward");
  clock.wall -= 20 * YEAR;
  await run(2);
  t.equal(await kept(), 44, "the clock went back");
  clock.reboot({ wall: clock.wall + 5 * YEAR, synced: true });
  await opened.reopen();
  await run(20);
  const left = await kept();
  t.ok(left >= 47 && left <= 49, `${left} of 64 hours stay when two days are to be kept`);
  const newest = [...(await sequencesOf(opened.store, property("p")))].sort((a, b) => a - b);
  t.same(newest, sequences.slice(-left), "in the order of their coming, not of their times");
  await assertConsistent(t, opened);
  const marks = (await opened.rows("g:")).size;
  await run(60);
  await kept();
  t.ok((await opened.rows("g:")).size <= marks + 4, "old age marks are deleted");
});

await test("a Thing that is deleted leaves nothing but its change, others keep theirs", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  for (let n = 0; n < 300; n += 1) recordValues(store, 1, n, { p: n, "\u{10ffff}": n });
  for (let n = 0; n < 5; n += 1) {
    recordEvent(store, 1, n, "e");
    recordDatum(store, 1, n);
    store.requests.put(makeRequest(store, 1, "go", "completed"));
    store.requests.put(makeRequest(store, 1, "\u{10ffff}", "pending"));
  }
  const other = recordValues(store, 2, 1, { p: 1 });
  const request = makeRequest(store, 2, "go", "pending");
  store.requests.put(request);
  store.properties.set(1, "\u{10ffff}", { value: 1, at: 1, sequence: 1 });
  store.retention.forget(1);
  await store.retention.sweep();
  const left = [...(await opened.rows()).keys()].filter((key) => /^[hros]:/.test(key));
  t.same(
    left.filter((key) => key.slice(2, 8) !== "000002"),
    [],
  );
  t.equal(left.length, 3, "a value, a request and its pointer of the other Thing");
  t.same(store.requests.get(2, "go", request.moment), request);
  t.same(await sequencesOf(store, { ...property("p"), thing: 2 }), [other.sequence]);
  await assertConsistent(t, opened);
});

await test("affordances that one change deletes are all swept, and one made anew keeps what is new", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  recordValues(store, 1, 5, { a: 1, b: 1, c: 1 });
  recordEvent(store, 1, 5, "a");
  const request = makeRequest(store, 1, "a", "completed");
  store.requests.put(request);
  store.retention.forget(1, property("a"));
  store.retention.forget(1, property("b"));
  store.retention.forget(1, { thing: 1, of: "event", name: "a" });
  store.retention.forget(1, { thing: 1, of: "action", name: "a" });
  t.equal(store.requests.get(1, "a", request.moment), undefined);
  const value = recordValues(store, 1, 1, { a: 2 });
  const event = recordEvent(store, 1, 1, "a");
  const again = makeRequest(store, 1, "a", "completed");
  store.requests.put(again);
  await opened.store.retention.sweep();
  t.same(await sequencesOf(store, property("a")), [value.sequence]);
  t.same(await sequencesOf(store, property("b")), []);
  t.equal((await sequencesOf(store, property("c"))).length, 1);
  t.same(await sequencesOf(store, { thing: 1, of: "event", name: "a" }), [event.sequence]);
  t.same(store.requests.get(1, "a", again.moment), again);
  t.equal((await opened.rows("r:")).size, 1);
  t.equal((await opened.rows("x:")).size, 0);
  await assertConsistent(t, opened);
});

await test("a deletion is swept after a restart", async (t) => {
  const opened = await openTemporaryStore(t);
  recordValues(opened.store, 1, 1, { p: 1 });
  opened.store.retention.forget(1);
  await opened.reopen();
  await opened.store.retention.sweep();
  t.equal((await opened.rows("h:")).size, 0);
  t.equal((await opened.rows("x:")).size, 0);
});

function makeRequest(
  store: Store,
  thing: number,
  name: string,
  status: ActionStatus,
): ActionRequest {
  const at = 1;
  const change = { class: "action", thing, at, name, requestedAt: at, status } as const;
  const sequence = store.changes.append({ ...change, request: store.changes.nextSequence });
  return {
    thing,
    name,
    moment: { at, sequence },
    status,
    revision: sequence,
    deadline: { timeToLiveMs: 1, bootId: "b", requestedMonotonicMs: 1, isSynced: true },
  };
}

await test("a request goes with its last change, and never while it is under way", async (t) => {
  const opened = await openTemporaryStore(t, { ...AMPLE, action: { rows: 2, days: 0 } });
  const { store } = opened;
  const pending = makeRequest(store, 1, "go", "pending");
  store.requests.put(pending);
  const finished = Array.from({ length: 4 }, () => {
    const request = makeRequest(store, 1, "go", "completed");
    store.requests.put(request);
    return request;
  });
  await store.retention.sweep();
  const isThere = (request: ActionRequest): boolean =>
    store.requests.get(1, "go", request.moment) !== undefined;
  t.same(finished.map(isThere), [false, false, true, true]);
  t.ok(isThere(pending), "its first change is gone, the request is not");
  const { moment } = pending;
  const change = { class: "action", thing: 1, at: 9, name: "go", status: "completed" } as const;
  const revision = store.changes.append({ ...change, request: moment.sequence, requestedAt: 1 });
  store.requests.put({ ...pending, status: "completed", revision });
  await store.retention.sweep();
  t.ok(isThere(pending));
  store.requests.put(makeRequest(store, 1, "go", "completed"));
  store.requests.put(makeRequest(store, 1, "go", "completed"));
  await store.retention.sweep();
  t.notOk(isThere(pending));
  await assertConsistent(t, opened);
});

await test("a damaged row does not stop the sweep", async (t) => {
  const opened = await openTemporaryStore(t, { ...AMPLE, data: { rows: 1, days: 0 } });
  const { store } = opened;
  const moments = [1, 2, 3].map((at) => recordDatum(store, 1, at));
  store.commit.put(changeKey("data", moments[1]?.sequence ?? 0), "not a row");
  await store.retention.sweep();
  t.equal(store.changes.rowsOf("data"), 1);
  t.equal((await opened.rows("c:d")).size, 1);
});

await test("sweeps come with time, go on after one that failed, and end with the store", async (t) => {
  const opened = await openTemporaryStore(t, { ...AMPLE, event: { rows: 1, days: 0 } });
  const { store, clock } = opened;
  const errors: unknown[] = [];
  const sweepByTime = async (): Promise<void> => {
    await nextTurn();
    t.equal(clock.waiting, 1, "the next sweep is due");
    clock.advance(10_000);
    await store.retention.sweep(); // Joins the one that the timer began.
  };
  store.retention.start((error) => errors.push(error));
  recordEvent(store, 1, 1, "e");
  recordEvent(store, 1, 2, "e");
  await sweepByTime();
  t.equal(store.changes.rowsOf("event"), 1);
  const flushed = store.commit.flushed.bind(store.commit);
  store.commit.flushed = async () => Promise.reject(new Error("the disk is away"));
  await t.rejects(sweepByTime());
  await nextTurn();
  t.equal(errors.length, 1);
  store.writability.setStall(new GatewayError("storage-full", "a write waits"));
  recordEvent(store, 1, 3, "e");
  await t.rejects(sweepByTime());
  await nextTurn();
  t.equal(errors.length, 1, "a disk that is waited for is no failure of the sweep");
  store.writability.setStall(undefined);
  store.commit.flushed = flushed;
  recordEvent(store, 1, 3, "e");
  await sweepByTime();
  t.equal(store.changes.rowsOf("event"), 1);
  const sweeping = store.retention.sweep();
  await store.close();
  await t.resolves(sweeping);
  await nextTurn();
  t.equal(clock.waiting, 0, "no timer is left");
});
