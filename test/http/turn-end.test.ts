import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { turnEnds } from "../../src/http/turn-end.ts";

await test("what is asked in one turn ends with it, and the next turn has an end of its own", async (t) => {
  const turnEnd = turnEnds();
  let ended = 0;
  const first = turnEnd().then(() => (ended += 1));
  await Promise.resolve();
  const second = turnEnd().then(() => (ended += 1));
  await Promise.resolve();
  t.equal(ended, 0, "the turn goes on");
  await nextTurn();
  t.equal(ended, 2, "both went on at its end");
  await Promise.all([first, second]);
  const third = turnEnd().then(() => (ended += 1));
  await Promise.resolve();
  t.equal(ended, 2, "the next turn has not ended yet");
  await third;
  t.equal(ended, 3);
});
