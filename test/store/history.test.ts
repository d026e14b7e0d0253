import fc from "fast-check";
import { test } from "tap";
import type { HistoryPage, Slice } from "../../src/store/history.ts";
import { changeKey, TIME_MS_MAX, type HistorySource, type Moment } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { openTemporaryStore } from "./open-store.ts";
import { recordDatum, recordEvent, recordValues } from "./recording.ts";

const property = (name: string, thing = 1): HistorySource => ({ thing, of: "property", name });

type Dated = { readonly at: number; readonly sequence: number };

/** Turns the pages of a history until it ends. */
async function readAll(
  read: (slice: Slice) => Promise<HistoryPage<Dated>>,
  limit: number,
  oldestFirst: boolean,
): Promise<readonly Moment[]> {
  const found: Moment[] = [];
  for (;;) {
    const last = found.at(-1);
    const from = last === undefined ? {} : oldestFirst ? { after: last } : { before: last };
    const page = await read({ ...from, limit, oldestFirst });
    found.push(...page.items.map(({ at, sequence }) => ({ at, sequence })));
    if (!page.more) return found;
    if (page.items.length !== limit) throw new Error("a page that is not full and not the last");
  }
}

const byTime = (a: Moment, b: Moment): number => a.at - b.at || a.sequence - b.sequence;

await test("pages in both directions hold every change once, in order of time", async (t) => {
  const opened = await openTemporaryStore(t);
  const names = ["a", "ab", "b", "💡", "\u{10ffff}"];
  let thing = 0;
  const write = fc.record({
    at: fc.integer({ min: 100, max: 110 }),
    names: fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(write, { maxLength: 25 }),
      fc.integer({ min: 1, max: 7 }),
      fc.boolean(),
      fc.uniqueArray(fc.constantFrom(...names), { minLength: 1 }),
      async (writes, limit, oldestFirst, asked) => {
        const { store } = opened;
        thing += 1;
        const written = writes.map(({ at, names }) => {
          const values = Object.fromEntries(names.map((name) => [name, at]));
          return { moment: recordValues(store, thing, at, values), names };
        });
        await store.commit.flushed();
        const sources = asked.map((name) => property(name, thing));
        const read = async (slice: Slice) => store.history.changes(sources, slice);
        const found = await readAll(read, limit, oldestFirst);
        const expected = written
          .filter(({ names }) => names.some((name) => asked.includes(name)))
          .map(({ moment }) => moment)
          .sort(byTime);
        t.same(found, oldestFirst ? expected : expected.reverse());
      },
    ),
    { seed: 53, numRuns: 60 },
  );
});

await test("a change of several properties comes once, with the values that were asked for", async (t) => {
  const { store } = await openTemporaryStore(t);
  recordValues(store, 1, 100, { a: 1, b: 2, c: 3 });
  recordValues(store, 1, 101, { c: 4 });
  await store.commit.flushed();
  const values = async (...names: readonly string[]): Promise<readonly unknown[]> => {
    const page = await store.history.changes(
      names.map((name) => property(name)),
      { limit: 9 },
    );
    return page.items.map((change) => (change.class === "property" ? change.values : undefined));
  };
  t.same(await values("a", "b"), [{ a: 1, b: 2 }]);
  t.same(await values("c", "a"), [{ c: 4 }, { a: 1, c: 3 }]);
  t.same(await values("none"), []);
  t.same(await store.history.changes([], { limit: 9 }), { items: [], more: false });
});

await test("a range holds its bounds as the caller says, and one instant the latest before it", async (t) => {
  const { store } = await openTemporaryStore(t);
  const moments = [100, 200, 200, 300].map((at) => recordValues(store, 1, at, { p: at }));
  await store.commit.flushed();
  const inclusive = async (from: number, to: number): Promise<readonly number[]> => {
    const bounds = { after: { at: from, sequence: 0 }, before: { at: to + 1, sequence: 0 } };
    const page = await store.history.changes([property("p")], { ...bounds, limit: 9 });
    return page.items.map(({ at }) => at);
  };
  t.same(await inclusive(100, 300), [300, 200, 200, 100]);
  t.same(await inclusive(101, 200), [200, 200]);
  t.same(await inclusive(201, 299), []);
  t.same(await inclusive(-62_167_219_200_000, 253_402_300_799_999), [300, 200, 200, 100]);
  t.same(await inclusive(TIME_MS_MAX + 1, TIME_MS_MAX + 5), []);
  t.same(await inclusive(-5, -1), []);
  const latest = async (at: number): Promise<number | undefined> =>
    (await store.history.latestAt(property("p"), at))?.sequence;
  t.equal(await latest(99), undefined);
  t.equal(await latest(100), moments[0]?.sequence);
  t.equal(await latest(200), moments[2]?.sequence, "of two in one millisecond the later");
  t.equal(await latest(299), moments[2]?.sequence);
  t.equal(await latest(9_999), moments[3]?.sequence);
  t.equal(await store.history.hasAt(property("p"), 200), true);
  t.equal(await store.history.hasAt(property("p"), 201), false);
  t.equal(await store.history.hasAt(property("p", 2), 200), false);
});

await test("events keep the order in which they came, whatever the clock did", async (t) => {
  const { store } = await openTemporaryStore(t);
  const moments = [300, 100, 200].map((at) => recordEvent(store, 1, at, "alarm"));
  moments.push(recordEvent(store, 1, 50, "other"));
  await store.commit.flushed();
  const sources = ["alarm", "other"].map((name) => ({ thing: 1, of: "event", name }) as const);
  const read = async (slice: Slice) => store.history.changes(sources, slice);
  t.same(await readAll(read, 2, true), moments);
  t.same(await readAll(read, 3, false), [...moments].reverse());
});

await test("raw data of several Things merge by time", async (t) => {
  const { store } = await openTemporaryStore(t);
  const moments = [
    recordDatum(store, 1, 300),
    recordDatum(store, 2, 100),
    recordDatum(store, 1, 200),
    recordDatum(store, 3, 250),
  ];
  await store.commit.flushed();
  const sources = [1, 2].map((thing) => ({ thing, of: "data", name: "" }) as const);
  const page = await store.history.changes(sources, { limit: 9 });
  t.same(
    page.items.map(({ sequence }) => sequence),
    [moments[0], moments[2], moments[1]].map((moment) => moment?.sequence),
  );
});

async function countOf(store: Store, source: HistorySource): Promise<number> {
  await store.commit.flushed();
  return (await store.history.changes([source], { limit: 99 })).items.length;
}

await test("what was deleted is not shown, before and after the sweep, though the name is back", async (t) => {
  const opened = await openTemporaryStore(t);
  const p = property("p");
  recordValues(opened.store, 1, 500, { p: 1, q: 1 });
  recordValues(opened.store, 1, 900, { p: 2 });
  opened.store.retention.forget(1, p);
  t.equal(await countOf(opened.store, p), 0);
  t.equal(await opened.store.history.latestAt(p, 999), undefined);
  t.equal(await opened.store.history.hasAt(p, 500), false);
  recordValues(opened.store, 1, 500, { p: 3 });
  recordValues(opened.store, 1, 600, { p: 4 });
  t.equal(await countOf(opened.store, p), 2);
  t.equal(await countOf(opened.store, property("q")), 1);
  const both = await opened.store.history.changes([p, property("q")], {
    limit: 1,
    oldestFirst: true,
  });
  t.match(both.items, [{ values: { q: 1 } }]);
  t.notOk("p" in (both.items[0] as { values: object }).values, "the deleted value is not shown");
  await opened.reopen();
  t.equal(await countOf(opened.store, p), 2, "known after a restart");
  await opened.store.retention.sweep();
  t.equal(await countOf(opened.store, p), 2);
  t.equal((await opened.rows("x:")).size, 0);
});

await test("a row that is gone is left out, and so is a damaged one, which is told", async (t) => {
  const { store } = await openTemporaryStore(t);
  const first = recordValues(store, 1, 1, { p: 1 });
  const second = recordValues(store, 1, 2, { p: 2 });
  store.commit.delete(changeKey("property", first.sequence));
  t.equal(await countOf(store, property("p")), 1);
  store.commit.put(changeKey("property", second.sequence), "00000000{}");
  await store.commit.flushed();
  t.equal(await countOf(store, property("p")), 0);
  const { sequence } = second;
  t.match(store.gaps.list(), [
    { cause: "damaged", class: "property", from: sequence, to: sequence, count: 1 },
  ]);
});

await test("a page of nothing but unreadable rows does not end the history", async (t) => {
  const { store } = await openTemporaryStore(t);
  const moments: Moment[] = [];
  for (let at = 1; at <= 700; at += 1) moments.push(recordValues(store, 1, at, { a: at }));
  const kept = moments.filter((_, index) => index < 3 || index === 350 || index > 695);
  for (const [index, { sequence }] of moments.entries()) {
    const key = changeKey("property", sequence);
    if (kept.includes(moments[index]!)) continue;
    // Some are gone, and some are not what was written.
    if (index % 2 === 0) store.commit.delete(key);
    else store.commit.put(key, "{");
  }
  await store.commit.flushed();
  const read = async (slice: Slice) => store.history.changes([property("a")], slice);
  for (const limit of [1, 2, 3, 100]) {
    t.same(await readAll(read, limit, true), kept, `from the oldest, ${limit} a page`);
    t.same(
      await readAll(read, limit, false),
      kept.toReversed(),
      `from the newest, ${limit} a page`,
    );
  }
  const latest = await store.history.latestAt(property("a"), 600);
  t.equal(latest?.at, 351, "the latest value that can be read");
});
