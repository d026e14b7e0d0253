import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { Turn } from "../../src/mqtt/turn.ts";

await test("a turn ends after so many frames, and the next begins when others had theirs", async (t) => {
  let begun = 0;
  const turn = new Turn(() => (begun += 1));
  for (let round = 1; round <= 3; round += 1) {
    for (let frame = 1; frame < FIXED_LIMITS.turnFramesMax; frame += 1) turn.took();
    t.equal(turn.isOver, false);
    turn.took();
    turn.took();
    t.equal(turn.isOver, true);
    t.equal(begun, round - 1);
    await nextTurn();
    t.equal(turn.isOver, false);
    t.equal(begun, round);
  }
});

await test("a turn ends with a full read, because there may be more", async (t) => {
  const turn = new Turn(() => undefined);
  t.equal(turn.isOverAfter(65_535), false);
  t.equal(turn.isOverAfter(65_536), true);
  await nextTurn();
  t.equal(turn.isOver, false);
});
