import fc from "fast-check";
import { test } from "tap";
import * as keys from "../../src/store/keys.ts";
import { isAffordanceName } from "../../src/thing/thing.ts";

const SEED = { seed: 17, numRuns: 150 };

const thing = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 2 ** 30 - 1 }));
const sequence = fc.oneof(
  fc.integer({ min: 1, max: 70 }),
  fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
);
const at = fc.oneof(fc.integer({ min: 0, max: 70 }), fc.integer({ min: 0, max: keys.TIME_MS_MAX }));
const moment = fc.record({ at, sequence });
const of = fc.constantFrom(...keys.HISTORY_CLASSES);
/** Names near each other, and any legal one: emoji, quotes, spaces, the last code point there is. */
const name = fc
  .oneof(
    fc.string({ unit: fc.constantFrom("a", "b", " ", '"', "~", "💡", "\u{10ffff}"), maxLength: 3 }),
    fc.string({ unit: "binary", maxLength: 8 }),
  )
  .filter(isAffordanceName);
const source = fc.record({ thing, of, name });

/** As LevelDB compares keys: byte by byte, of UTF-8. */
const compare = (a: string, b: string): number =>
  Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b)));
const compareNumbers = (a: number, b: number): number => Math.sign(a - b);

type Range = { readonly gt?: string; readonly gte?: string; readonly lt?: string; lte?: string };
function isIn(key: string, { gt, gte, lt, lte }: Range): boolean {
  return (
    (gt === undefined || compare(key, gt) > 0) &&
    (gte === undefined || compare(key, gte) >= 0) &&
    (lt === undefined || compare(key, lt) < 0) &&
    (lte === undefined || compare(key, lte) <= 0)
  );
}

await test("keys of numbers sort as the numbers do", (t) => {
  const compared = (a: number, b: number, key: (n: number) => string): boolean =>
    compare(key(a), key(b)) === compareNumbers(a, b);
  fc.assert(
    fc.property(thing, thing, (a, b) => compared(a, b, keys.thingKey)),
    SEED,
  );
  fc.assert(
    fc.property(sequence, sequence, of, (a, b, of) => {
      return compared(a, b, (n) => keys.changeKey(of, n)) && compared(a, b, keys.ageMarkKey);
    }),
    SEED,
  );
  t.end();
});

await test("a history key sorts by time for values and data, by sequence for the others", (t) => {
  fc.assert(
    fc.property(source, moment, moment, (source, a, b) => {
      const isByTime = source.of === "property" || source.of === "data";
      const [first, second] = isByTime
        ? (["at", "sequence"] as const)
        : (["sequence", "at"] as const);
      const expected = compareNumbers(a[first], b[first]) || compareNumbers(a[second], b[second]);
      const [keyA, keyB] = [keys.historyKey(source, a), keys.historyKey(source, b)];
      t.equal(compare(keyA, keyB), expected);
      t.equal(compare(keys.orderOfKey(keyA), keys.orderOfKey(keyB)), expected);
    }),
    SEED,
  );
  t.end();
});

await test("what a key was made of can be read back from it", (t) => {
  fc.assert(
    fc.property(source, moment, sequence, (source, moment, sequence) => {
      const { thing, of, name } = source;
      const key = keys.historyKey(source, moment);
      t.same(keys.momentOfKey(of, key), moment);
      t.equal(keys.numberOfKey(key), thing);
      if (of !== "action") t.same(keys.sourceOfHistoryKey(key), source);
      const state = keys.stateKey(thing, name);
      t.same([keys.numberOfKey(state), keys.nameOfStateKey(state)], [thing, name]);
      t.equal(keys.numberOfKey(keys.thingKey(thing)), thing);
      t.equal(keys.sequenceOfChangeKey(keys.changeKey(of, sequence)), sequence);
      t.equal(keys.accountOfKey(keys.accountKey(name)), name);
    }),
    SEED,
  );
  t.end();
});

await test("the range of a source holds its own keys and those of no other source", (t) => {
  fc.assert(
    fc.property(source, source, moment, (mine, other, moment) => {
      const range = keys.historyRange(mine);
      t.ok(isIn(keys.historyKey(mine, moment), range));
      const isSame = mine.thing === other.thing && mine.of === other.of && mine.name === other.name;
      t.equal(isIn(keys.historyKey(other, moment), range), isSame);
    }),
    {
      ...SEED,
      examples: [
        [
          { thing: 1, of: "event", name: "a" },
          { thing: 1, of: "event", name: "ab" },
          { at: 0, sequence: 1 },
        ],
      ],
    },
  );
  t.end();
});

await test("bounds are exclusive, and a time that no key can hold is beyond all that can", (t) => {
  const anyTime = fc.oneof(
    at,
    fc.integer({ min: -62_167_219_200_000, max: -1 }),
    fc.integer({ min: keys.TIME_MS_MAX + 1, max: 253_402_300_799_999 }),
  );
  const place = { thing: 1, of: "property", name: "p" } as const;
  fc.assert(
    fc.property(moment, anyTime, fc.nat(70), (moment, at, sequence) => {
      const key = keys.historyKey(place, moment);
      const order = compareNumbers(moment.at, at) || compareNumbers(moment.sequence, sequence);
      const bound = { at, sequence };
      t.equal(isIn(key, keys.historyRange(place, { after: bound })), order > 0);
      t.equal(isIn(key, keys.historyRange(place, { before: bound })), order < 0);
    }),
    SEED,
  );
  t.end();
});

await test("all that a deleted Thing leaves is in its ranges, and nothing of another Thing", (t) => {
  fc.assert(
    fc.property(source, source, moment, (mine, other, moment) => {
      const ranges = keys.rowsOfDeletedThing(mine.thing);
      const rowsOf = ({ thing, of, name }: keys.HistorySource): readonly string[] => [
        keys.historyKey({ thing, of, name }, moment),
        keys.requestKey(thing, name, moment),
        keys.unfinishedKey(thing, moment),
        keys.stateKey(thing, name),
      ];
      const found = (key: string): number => ranges.filter((range) => isIn(key, range)).length;
      for (const key of rowsOf(mine)) t.equal(found(key), 1);
      for (const key of rowsOf(other)) t.equal(found(key), mine.thing === other.thing ? 1 : 0);
    }),
    SEED,
  );
  t.end();
});

await test("each kind of row is in the range of its kind and in no other", (t) => {
  const rows: Readonly<Record<keyof typeof keys.everyRow, string>> = {
    account: keys.accountKey("zz_-Z"),
    thing: keys.thingKey(2 ** 30 - 1),
    state: keys.stateKey(2 ** 30 - 1, "\u{10ffff}"),
    deletedRows: keys.deletedRowsKey(1, 1, { thing: 1, of: "event", name: "\u{10ffff}" }),
    credential: keys.credentialKey("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
    token: keys.tokenKey("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
    client: keys.clientKey("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
    user: keys.userKey("z@z"),
    browserSession: keys.browserSessionKey("7ZZZZZZZZZZZZZZZZZZZZZZZZZ"),
    certificate: keys.certificateKey("7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"),
    ageMark: keys.ageMarkKey(Number.MAX_SAFE_INTEGER),
    page: keys.pageKey(Number.MAX_SAFE_INTEGER),
    gap: keys.gapKey(2 ** 30 - 1),
    aside: keys.asideKey("n:g"),
    unfinishedRequest: keys.unfinishedKey(1, { at: 0, sequence: 1 }),
    uplink: keys.uplinkKey(2 ** 20 - 1),
    audit: keys.auditKey(Number.MAX_SAFE_INTEGER),
  };
  for (const [kind, key] of Object.entries(rows)) {
    const holders = Object.entries(keys.everyRow).filter(([, range]) => isIn(key, range));
    t.same(
      holders.map(([holder]) => holder),
      [kind],
    );
  }
  t.end();
});

await test("several affordances that one change deletes are several rows", (t) => {
  const of = "property" as const;
  const made = [
    keys.deletedRowsKey(1, 9, undefined),
    keys.deletedRowsKey(1, 9, { thing: 1, of, name: "a" }),
    keys.deletedRowsKey(1, 9, { thing: 1, of, name: "b" }),
    keys.deletedRowsKey(1, 9, { thing: 1, of: "event", name: "a" }),
  ];
  t.equal(new Set(made).size, made.length);
  t.end();
});

await test("a range of changes holds both its ends", (t) => {
  fc.assert(
    fc.property(sequence, sequence, sequence, of, (from, to, at, of) => {
      t.equal(
        isIn(keys.changeKey(of, at), keys.changesOfClass(of, from, to)),
        from <= at && at <= to,
      );
    }),
    SEED,
  );
  t.end();
});
