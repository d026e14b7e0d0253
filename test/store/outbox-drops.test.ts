import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { DropRanges, NO_LOSS, type DropRange } from "../../src/store/outbox-drops.ts";
import type { DropCause } from "../../src/store/outbox-items.ts";

const range = (
  from: number,
  to: number,
  {
    cause = "bounds-rows",
    count = 1,
  }: { readonly cause?: DropCause; readonly count?: number } = {},
): DropRange => {
  const loss = count === 0 ? NO_LOSS : { count, bytes: 10 * count, since: from, until: to };
  return { from, to, place: to, ...loss, cause, carried: 0 };
};

const shown = (drops: DropRanges): readonly string[] =>
  drops.of("event").map(({ from, to, place, count, cause }) => {
    return `${from}-${to} at ${place}: ${count} ${cause}`;
  });

const of = (...ranges: readonly DropRange[]): DropRanges => {
  const drops = new DropRanges();
  for (const one of ranges) drops.add("event", one);
  return drops;
};

await test("ranges that touch and have one cause are one, in whatever order they come", (t) => {
  const one = ["1-9 at 3: 3 bounds-rows"];
  t.same(shown(of(range(1, 3), range(4, 6), range(7, 9))), one);
  t.same(shown(of(range(7, 9), range(4, 6), range(1, 3))), one);
  t.same(shown(of(range(1, 3), range(7, 9), range(4, 6))), one);
  const [joined] = of(range(1, 3), range(4, 6)).of("event");
  t.match(joined, { bytes: 20, since: 1, until: 6 });
  t.end();
});

await test("ranges apart, or of another cause, are not", (t) => {
  t.same(shown(of(range(1, 3), range(5, 6))), [
    "1-3 at 3: 1 bounds-rows",
    "5-6 at 6: 1 bounds-rows",
  ]);
  t.same(shown(of(range(1, 3), range(4, 6, { cause: "bounds-age" }))), [
    ...["1-3 at 3: 1 bounds-rows", "4-6 at 6: 1 bounds-age"],
  ]);
  t.end();
});

await test("where nothing is lost does not say where the gap stands", (t) => {
  t.same(shown(of(range(1, 3, { count: 0 }), range(4, 6))), ["1-6 at 6: 1 bounds-rows"]);
  t.end();
});

await test("too many that touch are one whatever their causes, and none is forgotten", (t) => {
  const most = FIXED_LIMITS.outboxDropRangesMax;
  const causes = ["bounds-rows", "bounds-bytes"] as const;
  const many = (count: number): DropRanges =>
    of(...Array.from({ length: count }, (_, n) => range(n + 1, n + 1, { cause: causes[n % 2]! })));
  t.equal(many(most).of("event").length, most);
  t.match(many(most + 1).of("event"), [{ from: 1, to: most + 1, count: most + 1 }]);
  t.end();
});

await test("many drops, one after the other, are one range", (t) => {
  const drops = new DropRanges();
  for (let n = 1; n <= 10_000; n += 1) drops.add("event", range(n, n));
  t.same(shown(drops), ["1-10000 at 1: 10000 bounds-rows"]);
  t.equal(drops.neededFrom("event", [{ after: 0, through: 20_000 }]), 10_001);
  t.end();
});

await test("what is read of a range is told once; the rest of it is passed over in silence", (t) => {
  const drops = of(range(1, 9, { count: 9 }));
  t.match(drops.take("event", 5, { after: 2, through: 6 }), { count: 9 });
  t.same(shown(drops), ["1-2 at 9: 0 bounds-rows", "7-9 at 7: 0 bounds-rows"]);
  t.equal(drops.take("event", 5, { after: 2, through: 6 }), undefined);
  t.equal(drops.covers("event", 8), true);
  t.equal(drops.covers("event", 5), false);
  t.end();
});
