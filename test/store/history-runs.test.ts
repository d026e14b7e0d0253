import { join } from "node:path";
import fc from "fast-check";
import { Level } from "level";
import { test } from "tap";
import type { Slice } from "../../src/store/history.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { keysOfRow } from "../../src/store/history-runs.ts";
import { momentOfKey, type HistorySource, type Moment } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { AMPLE, openTemporaryStore, type Opened } from "./open-store.ts";
import { recordValues } from "./recording.ts";

const { historyRunMomentsMax: MOMENTS_MAX, historyRunMsMax: MS_MAX } = FIXED_LIMITS;
const P: HistorySource = { thing: 1, of: "property", name: "p" };

const byTime = (a: Moment, b: Moment): number => a.at - b.at || a.sequence - b.sequence;

function recordPast(store: Store, thing: number, at: number): Moment {
  const change = { class: "property", thing, at, values: { p: at } } as const;
  const sequence = store.changes.append({ ...change, backfilled: true });
  store.historyIndex.add({ thing, of: "property", name: "p" }, { at, sequence });
  return { at, sequence };
}

/** Turns the pages of a history, within bounds, until it ends. */
async function readAll(store: Store, source: HistorySource, slice: Slice): Promise<Moment[]> {
  const found: Moment[] = [];
  for (;;) {
    const last = found.at(-1);
    const edge = slice.oldestFirst === true ? "after" : "before";
    const page = await store.history.changes([source], {
      ...slice,
      ...(last === undefined ? {} : { [edge]: last }),
    });
    found.push(...page.items.map(({ at, sequence }) => ({ at, sequence })));
    if (!page.more) return found;
    if (page.items.length !== slice.limit) throw new Error("a page that is not full, nor the last");
  }
}

async function rowsOfIndex(opened: Opened): Promise<readonly (readonly Moment[])[]> {
  return [...(await opened.rows("h:"))].map(([key, content]) =>
    keysOfRow(key, content).map((each) => momentOfKey("property", each)),
  );
}

await test("whatever shares a row, and whatever was back-filled between, each page and bound holds", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  let thing = 0;
  const act = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("value"), ms: fc.nat({ max: 20 }) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("past"), ms: fc.nat({ max: 400 }) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("batch"), ms: fc.constant(0) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("pause"), ms: fc.nat({ max: 400 }) }) },
  );
  const moment = fc.option(
    fc.record({ at: fc.integer({ min: -150, max: 600 }), sequence: fc.nat({ max: 40 }) }),
    { nil: undefined },
  );
  const shapes = new Set<string>();
  await fc.assert(
    fc.asyncProperty(
      fc.array(act, { minLength: 10, maxLength: 60 }),
      fc.record({ after: moment, before: moment }),
      fc.integer({ min: 1, max: 9 }),
      fc.boolean(),
      async (acts, { after, before }, limit, oldestFirst) => {
        thing += 1;
        let now = 0;
        const written: Moment[] = [];
        const first = store.changes.sequence;
        for (const { kind, ms } of acts) {
          if (kind === "batch") await store.commit.flushed();
          else if (kind === "past") written.push(recordPast(store, thing, ms));
          else {
            now += ms;
            if (kind === "value") written.push(recordValues(store, thing, now, { p: now }));
          }
        }
        await store.commit.flushed();
        const from = (bound: Moment | undefined): Moment | undefined =>
          bound && { at: bound.at, sequence: bound.sequence + first };
        const bounds = { after: from(after), before: from(before) };
        const expected = written
          .filter((one) => bounds.after === undefined || byTime(one, bounds.after) > 0)
          .filter((one) => bounds.before === undefined || byTime(one, bounds.before) < 0)
          .sort(byTime);
        const source = { thing, of: "property", name: "p" } as const;
        const found = await readAll(store, source, { ...bounds, limit, oldestFirst });
        t.same(found, oldestFirst ? expected : expected.reverse());
        shapes.add(`${expected.length > limit} ${oldestFirst}`);
      },
    ),
    { seed: 20261123, numRuns: 150 },
  );
  t.equal(shapes.size, 4, "pages of both directions, several and single");
  const rows = await rowsOfIndex(opened);
  t.ok(rows.filter((row) => row.length > 3).length > 50, "many rows were shared");
});

await test("a row of the index holds so many moments, and so long a time, and no more", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  for (let n = 0; n < 150; n += 1) recordValues(store, 1, 1_000, { p: n });
  t.same(
    (await rowsOfIndex(opened)).map((row) => row.length),
    [MOMENTS_MAX, MOMENTS_MAX, 150 - 2 * MOMENTS_MAX],
  );
  for (const at of [0, MS_MAX, MS_MAX + 1, 50]) recordValues(store, 2, at, { p: at });
  const ofOther = [...(await opened.rows("h:000002"))];
  t.same(
    ofOther.map(([key, content]) => keysOfRow(key, content).length),
    [1, 2, 1],
    "a time that is earlier, or later by too much, begins another",
  );
  t.same(
    (await readAll(store, { ...P, thing: 2 }, { limit: 9, oldestFirst: true })).map(({ at }) => at),
    [0, 50, MS_MAX, MS_MAX + 1],
  );
});

await test("what retention takes of a shared row is not shown, and the row goes with its last", async (t) => {
  const opened = await openTemporaryStore(t);
  const moments = Array.from({ length: 40 }, (_, n) => recordValues(opened.store, 1, n, { p: n }));
  const store = await opened.reopen({ ...AMPLE, property: { rows: 7, days: 0 } });
  await store.retention.sweep();
  await store.commit.flushed();
  t.equal((await opened.rows("h:")).size, 1);
  for (const oldestFirst of [true, false]) {
    const kept = oldestFirst ? moments.slice(-7) : moments.slice(-7).reverse();
    t.same(await readAll(store, P, { limit: 3, oldestFirst }), kept);
    const page = await store.history.changes([P], { limit: 7, oldestFirst });
    t.equal(page.more, false, "nothing is promised that has gone");
  }
  recordValues(store, 1, 5_000, { p: 0 });
  await store.commit.flushed();
  await opened.reopen({ ...AMPLE, property: { rows: 1, days: 0 } });
  await opened.store.retention.sweep();
  t.same(
    (await rowsOfIndex(opened)).map((row) => row.map(({ at }) => at)),
    [[5_000]],
  );
});

await test("a value after a deletion shares no row with one before it", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  recordValues(store, 1, 10, { p: 1 });
  recordValues(store, 1, 11, { p: 2 });
  store.retention.forget(1, P);
  const later = recordValues(store, 1, 12, { p: 3 });
  await store.commit.flushed();
  t.same(await readAll(store, P, { limit: 9 }), [later]);
  await store.retention.sweep();
  t.same(await readAll(store, P, { limit: 9 }), [later]);
  t.same(await rowsOfIndex(opened), [[later]]);
});

await test("with a Thing go all changes that its rows name", async (t) => {
  const opened = await openTemporaryStore(t);
  const { store } = opened;
  for (let n = 0; n < 1_000; n += 1) recordValues(store, 1, 10, { p: n, q: n });
  recordValues(store, 2, 10, { p: 1 });
  await store.commit.flushed();
  store.retention.forget(1);
  await store.retention.sweep();
  t.equal(store.changes.rowsOf("property"), 1);
  t.equal((await opened.rows("c:p")).size, 1);
  t.equal((await opened.rows("h:")).size, 1);
});

await test("a shared row that is gone is made again, and one that is there is left alone", async (t) => {
  const opened = await openTemporaryStore(t);
  const description = { properties: { p: {} } };
  const row = { account: "site", id: "a", uid: "u", description };
  opened.store.changes.append({ class: "thing", thing: 1, at: 1, ...row });
  const moments = [1_000, 5_000].flatMap((from) =>
    Array.from({ length: 20 }, (_, n) => recordValues(opened.store, 1, from + n, { p: n })),
  );
  await opened.store.commit.flushed();
  const [first, second] = [...(await opened.rows("h:")).keys()];
  const batch = opened.store.database.batch();
  batch.del(first ?? "");
  batch.put("t:000001", "not a Thing");
  await batch.write({ sync: true });
  const store = await opened.reopen();
  await store.gaps.checkAll();
  t.same(await readAll(store, P, { limit: 50, oldestFirst: true }), moments);
  const rows = await opened.rows("h:");
  t.equal(rows.size, 20 + 1, "a row each for what was lost");
  t.not(rows.get(second ?? ""), "", "what was there is as it was");
});

await test("a shared row that is not what was written is told, set aside and made again", async (t) => {
  const opened = await openTemporaryStore(t);
  const description = { properties: { p: {} } };
  const row = { account: "site", id: "a", uid: "u", description };
  opened.store.changes.append({ class: "thing", thing: 1, at: 1, ...row });
  const moments = [1, 2, 3].map((at) => recordValues(opened.store, 1, at, { p: at }));
  const [[key, content] = ["", ""]] = [...(await opened.rows("h:"))];
  t.equal(content.split(" ").length, 2);
  const batch = opened.store.database.batch();
  batch.put("t:000001", "not a Thing");
  await batch.write({ sync: true });
  await opened.store.close();
  const level = new Level(join(opened.path, "db"));
  await level.put(key, `0000000${content}`);
  await level.close();
  const store = await opened.reopen();
  t.same(await readAll(store, P, { limit: 9 }), [], "it is not read as something else");
  await store.commit.flushed();
  t.ok(store.gaps.asideKeys().includes(key), "it is set aside");
  const again = await opened.reopen();
  await again.gaps.checkAll();
  t.same(await readAll(again, P, { limit: 9, oldestFirst: true }), moments);
});
