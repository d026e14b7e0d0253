import fc from "fast-check";
import { test } from "tap";
import { makeIds, newSalt } from "../../src/store/ids.ts";
import { isUlid } from "../../src/thing/thing.ts";
import { ManualClock } from "./manual-clock.ts";
import { seededRandom } from "./random.ts";

const SEED = { seed: 23, numRuns: 200 };
const random = seededRandom(5);
const clock = new ManualClock();
const ids = makeIds(clock, random, 12_345);

const moment = fc.record({
  at: fc.integer({ min: 0, max: 2 ** 45 - 1 }),
  sequence: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.maxSafeNat()),
});

await test("an id of a moment is a ULID and leads back to its moment", (t) => {
  fc.assert(
    fc.property(moment, (moment) => {
      const id = ids.ofMoment(moment);
      t.ok(isUlid(id));
      t.same(ids.momentOf(id), moment);
    }),
    SEED,
  );
  t.end();
});

await test("ids of moments sort by time, then by sequence", (t) => {
  const near = fc.record({
    at: fc.integer({ min: 0, max: 3 }),
    sequence: fc.integer({ min: 0, max: 2 ** 35 }),
  });
  const any = fc.oneof(moment, near);
  fc.assert(
    fc.property(any, any, (a, b) => {
      const isBefore = a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
      t.equal(ids.ofMoment(a) < ids.ofMoment(b), isBefore);
    }),
    SEED,
  );
  t.end();
});

await test("an id of another store, or of another form, names no moment", (t) => {
  const other = makeIds(clock, random, 12_346);
  const mine = ids.ofMoment({ at: 1_000, sequence: 7 });
  const not: readonly (readonly [why: string, id: string])[] = [
    ["another store's", other.ofMoment({ at: 1_000, sequence: 7 })],
    ["made by next", ids.next()],
    ["empty", ""],
    ["too short", mine.slice(1)],
    ["too long", `${mine}0`],
    ["in small letters", mine.toLowerCase()],
    ["a letter Crockford left out", `${mine.slice(0, -1)}U`],
    ["a time beyond 48 bits", `8${mine.slice(1)}`],
    ["a time that is none", `0-${mine.slice(2)}`],
    ["a sequence beyond 2^53", `${mine.slice(0, 15)}ZZZZZZZZZZZ`],
    ["emoji of the right length", "💡".repeat(13)],
  ];
  for (const [why, id] of not) t.equal(ids.momentOf(id), undefined, why);
  fc.assert(
    fc.property(fc.string({ minLength: 26, maxLength: 26 }), (text) => {
      t.equal(ids.momentOf(text), undefined);
    }),
    SEED,
  );
  t.end();
});

await test("ids that are made go up, though the clock stands or goes back", (t) => {
  const made = [ids.next(), ids.next()];
  clock.wall -= 3_600_000;
  made.push(ids.next());
  clock.wall += 2 * 3_600_000;
  made.push(ids.next());
  t.same([...made].sort(), made);
  t.equal(new Set(made).size, made.length);
  t.ok(made.every(isUlid));
  t.end();
});

await test("a store's name in its ids takes 25 bits", (t) => {
  for (let round = 0; round < 200; round += 1) {
    const salt = newSalt(random);
    t.ok(Number.isInteger(salt) && salt >= 0 && salt < 2 ** 25);
  }
  t.end();
});
