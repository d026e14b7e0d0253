import { test } from "tap";
import { Cursor, type Range, type Source } from "../../src/store/cursor.ts";

const DAMAGE = new Error("a block cannot be read");

type Opened = { readonly ranges: Range[]; open: number; told: number };

/**
 * Rows `a` to `z` as LevelDB gives them when a block of them cannot be read: it goes on behind the
 * block, and tells at the end of what was asked for, instead of the last rows.
 */
function damagedSource(lost: string, opened: Opened): (range: Range) => Source<string> {
  return (range) => {
    opened.ranges.push(range);
    opened.open += 1;
    const { gt = "", gte = "", lt = "~", lte = "~", reverse = false } = range;
    const all = Array.from("abcdefghijklmnopqrstuvwxyz")
      .filter((key) => key > gt && key >= gte && key < lt && key <= lte)
      .filter((key) => !lost.includes(key));
    const rows = (reverse ? all.reverse() : all).slice(0, range.limit);
    const isHit = lost !== "";
    let ahead: string[] = [];
    const take = (size: number): string[] => {
      const taken = rows.splice(0, size);
      if (taken.length < size && isHit) throw DAMAGE;
      return taken;
    };
    return {
      // LevelDB reads one row, and then as many as it likes.
      next: async () => {
        if (ahead.length === 0) ahead = take(rows.length > 20 ? 1 : 20);
        return Promise.resolve(ahead.shift());
      },
      nextv: async (size) => Promise.resolve(take(size)),
      close: async () => {
        opened.open -= 1;
        return Promise.resolve();
      },
    };
  };
}

function cursorOver(lost: string, range: Range = {}) {
  const opened: Opened = { ranges: [], open: 0, told: 0 };
  const cursor = new Cursor<string>(
    {
      open: damagedSource(lost, opened),
      whenOpen: async () => Promise.resolve(),
      keyOf: (key) => key,
      isDamage: (error) => error === DAMAGE,
      onDamage: () => (opened.told += 1),
    },
    range,
  );
  return { cursor, opened };
}

const CASES: readonly (readonly [lost: string, range: Range, expected: string])[] = [
  ["", {}, "abcdefghijklmnopqrstuvwxyz"],
  ["", { gt: "c", lt: "h" }, "defg"],
  ["", { reverse: true, limit: 3 }, "zyx"],
  ["lmn", {}, "abcdefghijkopqrstuvwxyz"],
  ["a", {}, "bcdefghijklmnopqrstuvwxyz"],
  ["z", {}, "abcdefghijklmnopqrstuvwxy"],
  ["lmn", { gte: "k", lte: "p" }, "kop"],
  ["lmn", { reverse: true, lt: "p" }, "okjihgfedcba"],
  ["lmn", { gte: "k", limit: 3 }, "kop"],
  ["lmn", { limit: 40 }, "abcdefghijkopqrstuvwxyz"],
];

await test("every row that can be read is read, in order and once, also behind damage", async (t) => {
  for (const [lost, range, expected] of CASES) {
    const what = `${lost} in ${JSON.stringify(range)}`;
    const all = cursorOver(lost, range);
    t.equal((await all.cursor.all()).join(""), expected, what);
    t.equal(all.opened.open, 0, `${what}: nothing is left open`);
    const single = cursorOver(lost, range);
    let read = "";
    for (
      let key = await single.cursor.next();
      key !== undefined;
      key = await single.cursor.next()
    ) {
      read += key;
    }
    t.equal(read, expected, `${what}, one by one`);
    t.equal(await single.cursor.next(), undefined);
    if (range.limit === undefined && lost !== "")
      t.equal(single.opened.told, 1, `${what}: told once`);
  }
});

await test("a cursor goes on where it was when the database was closed and is open again", async (t) => {
  for (const [, range, expected] of CASES.filter(([lost]) => lost === "")) {
    const opened: Opened = { ranges: [], open: 0, told: 0 };
    const source = damagedSource("", opened);
    let reads = 0;
    const closed = Object.assign(new Error("closed"), { code: "LEVEL_ITERATOR_NOT_OPEN" });
    const failing = async <Row>(read: () => Promise<Row>): Promise<Row> =>
      (reads += 1) % 3 === 0 ? Promise.reject(closed) : read();
    const cursor = new Cursor<string>(
      {
        open: (part) => {
          const { next, nextv, close } = source(part);
          return {
            next: async () => failing(next),
            nextv: async (size) => failing(async () => nextv(size)),
            close,
          };
        },
        whenOpen: async () => Promise.resolve(),
        keyOf: (key) => key,
        isDamage: () => false,
        onDamage: () => t.fail("it is not damage"),
      },
      range,
    );
    let read = "";
    for (let key = await cursor.next(); key !== undefined; key = await cursor.next()) read += key;
    t.equal(read, expected, JSON.stringify(range));
  }
});

await test("a fault of the disk is no damage: it is thrown", async (t) => {
  const failed = new Error("EIO");
  const fail = async (): Promise<never> => Promise.reject(failed);
  const cursor = new Cursor<string>(
    {
      open: () => ({ next: fail, nextv: fail, close: async () => Promise.resolve() }),
      whenOpen: async () => Promise.resolve(),
      keyOf: (key) => key,
      isDamage: () => false,
      onDamage: () => t.fail("it is not damage"),
    },
    {},
  );
  await t.rejects(cursor.next(), failed);
  await t.rejects(cursor.all(), failed);
});
