import assert from "node:assert/strict";
import fc from "fast-check";
import { test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import { historyPage, pageById, readPageRequest, type Page } from "../../src/http/lists.ts";
import { formatQuery, parseQuery } from "../../src/http/query.ts";
import { makeIds } from "../../src/store/ids.ts";
import type { HistoryPage, Slice } from "../../src/store/history.ts";
import type { Moment } from "../../src/store/keys.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { seededRandom } from "../store/random.ts";

const RUNS = { numRuns: 300 };

const ids = makeIds(new ManualClock(), seededRandom(1), 12_345);
const otherIds = makeIds(new ManualClock(), seededRandom(2), 54_321);

const limit = fc.integer({ min: 1, max: 7 });
const names = fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9]{1,4}$/), { maxLength: 30 });

const pageOfNames = (sorted: readonly string[], request: ReturnType<typeof readPageRequest>) =>
  pageById(sorted, request, (name) => name);

/** Follows cursors from the first page on, or back from behind the last. */
function walk<Item>(
  page: (cursor: string) => Page<Item>,
  to: "next" | "previous",
): readonly Item[] {
  const seen: Item[] = [];
  let cursor = "";
  for (let pages = 0; pages < 100; pages += 1) {
    const { items, next, previous } = page(cursor);
    if (to === "next") seen.push(...items);
    else seen.unshift(...items);
    cursor = to === "next" ? next : previous;
    if (cursor === "") return seen;
  }
  throw new Error("the cursors go round in circles");
}

await test("any query is a page request, or refused as a parameter that is not valid", (t) => {
  const part = fc.oneof(
    fc.constantFrom("limit", "next_cursor", "previous_cursor", "0", "1001", "-1", "__proto__", ""),
    fc.string(),
  );
  const property = fc.property(fc.array(fc.tuple(part, part), { maxLength: 4 }), (pairs) => {
    try {
      const query = parseQuery(pairs.map((pair) => pair.join("=")).join("&"));
      const request = readPageRequest(query);
      return request.limit >= 1 && request.limit <= 1_000;
    } catch (error) {
      return error instanceof GatewayError && error.code === "invalid-parameter";
    }
  });
  fc.assert(property, RUNS);
  t.end();
});

await test("a query that is written reads as it was", (t) => {
  const property = fc.property(fc.array(fc.tuple(fc.string(), fc.string())), (pairs) => {
    const query = new Map<string, readonly string[]>();
    for (const [name, value] of pairs) query.set(name, [...(query.get(name) ?? []), value]);
    const isWellFormed = [...query].flat(2).every((text) => text.isWellFormed());
    fc.pre(isWellFormed);
    assert.deepEqual([...parseQuery(formatQuery(query, {}))].sort(), [...query].sort());
  });
  fc.assert(property, RUNS);
  t.end();
});

await test("pages in either direction hold every item once, in order", (t) => {
  const property = fc.property(names, limit, (unsorted, most) => {
    const sorted = [...unsorted].sort();
    const forth = (id: string) =>
      pageOfNames(sorted, { limit: most, cursor: id === "" ? undefined : { to: "next", id } });
    assert.deepEqual(walk(forth, "next"), sorted);
    const back = (id: string) =>
      pageOfNames(sorted, { limit: most, cursor: { to: "previous", id: id === "" ? "~" : id } });
    assert.deepEqual(walk(back, "previous"), sorted);
  });
  fc.assert(property, RUNS);
  t.end();
});

await test("what comes and goes between two pages changes nothing for what stays", (t) => {
  const property = fc.property(names, names, names, limit, (staying, coming, going, most) => {
    const isStaying = (name: string): boolean => staying.includes(name);
    let pages = 0;
    const page = (id: string) => {
      pages += 1;
      const present = new Set([...staying, ...(pages % 2 === 0 ? coming : going)]);
      const cursor = id === "" ? undefined : ({ to: "next", id } as const);
      return pageOfNames([...present].sort(), { limit: most, cursor });
    };
    // A page may end with one that goes, and still lead on.
    assert.deepEqual(walk(page, "next").filter(isStaying), [...staying].sort());
  });
  fc.assert(property, RUNS);
  t.end();
});

const moment = fc.record({
  at: fc.integer({ min: 0, max: 40 }),
  sequence: fc.integer({ min: 1, max: 2 ** 40 }),
});
const moments = fc.uniqueArray(moment, {
  maxLength: 30,
  selector: ({ at, sequence }) => `${at} ${sequence}`,
});

const compare = (a: Moment, b: Moment): number => a.at - b.at || a.sequence - b.sequence;

/** As History reads a slice, from memory. */
function readSlice(all: readonly Moment[], slice: Slice): HistoryPage<Moment> {
  const { after, before, oldestFirst } = slice;
  const within = all
    .filter((item) => after === undefined || compare(item, after) > 0)
    .filter((item) => before === undefined || compare(item, before) < 0)
    .sort(compare);
  const ordered = oldestFirst === true ? within : within.toReversed();
  return { items: ordered.slice(0, slice.limit), more: ordered.length > slice.limit };
}

async function pageOfMoments(
  all: readonly Moment[],
  bounds: { readonly after?: Moment | undefined; readonly before?: Moment | undefined },
  request: ReturnType<typeof readPageRequest>,
): Promise<Page<Moment>> {
  return historyPage(ids, request, bounds, {
    read: async (slice) => Promise.resolve(readSlice(all, slice)),
    momentOf: (item) => item,
  });
}

await test("pages of a history hold every moment within the bounds once, newest first, there and back", async () => {
  const property = fc.asyncProperty(
    moments,
    fc.option(moment, { nil: undefined }),
    fc.option(moment, { nil: undefined }),
    limit,
    async (all, after, before, most) => {
      const bounds = { after, before };
      const expected = readSlice(all, { ...bounds, limit: 1_000 }).items;
      const seen: Moment[] = [];
      const pages: Page<Moment>[] = [];
      for (let next: string | undefined; next !== "" && pages.length < 50;) {
        const cursor = next === undefined ? undefined : ({ to: "next", id: next } as const);
        const page = await pageOfMoments(all, bounds, { limit: most, cursor });
        pages.push(page);
        seen.push(...page.items);
        ({ next } = page);
      }
      assert.deepEqual(seen, expected);
      // From each page back is the page before.
      for (const [at, { previous }] of pages.entries()) {
        if (at === 0 || previous === "") continue;
        const cursor = { to: "previous", id: previous } as const;
        const back = await pageOfMoments(all, bounds, { limit: most, cursor });
        assert.deepEqual(back.items, pages[at - 1]?.items);
      }
    },
  );
  await fc.assert(property, RUNS);
});

await test("any text is a cursor of a history, or refused as a parameter that is not valid", async (t) => {
  const text = fc.oneof(
    fc.string(),
    fc.stringMatching(/^[0-9A-HJKMNP-TV-Z]{26}$/),
    moment.map((item) => ids.ofMoment(item)),
    moment.map((item) => otherIds.ofMoment(item)),
    moment.map((item) => ids.ofMoment(item).toLowerCase()),
  );
  const property = fc.asyncProperty(
    moments,
    text,
    fc.constantFrom("next" as const, "previous" as const),
    async (all, id, to) => {
      try {
        const { items } = await pageOfMoments(all, {}, { limit: 5, cursor: { to, id } });
        return ids.momentOf(id) !== undefined && items.length <= 5;
      } catch (error) {
        return error instanceof GatewayError && error.code === "invalid-parameter";
      }
    },
  );
  await fc.assert(property, RUNS);
  t.pass("no text makes it throw anything else");
});
