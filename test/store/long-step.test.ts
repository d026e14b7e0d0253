import { test } from "tap";
import { LongStep } from "../../src/store/long-step.ts";
import { QUIET_LOG } from "./quiet-log.ts";

await test("a long step lets others have their turn, and says now and then how far it is", async (t) => {
  let nowMs = 0;
  const said: unknown[] = [];
  const log = {
    ...QUIET_LOG,
    info: (...record: readonly unknown[]): void => void said.push(record),
  };
  const step = new LongStep({ log, monotonicMs: () => nowMs }, "store.checking");
  let turns = 0;
  const turn = setInterval(() => (turns += 1), 0);
  t.teardown(() => clearInterval(turn));
  for (let part = 1; part <= 12_000; part += 1) {
    nowMs += 1;
    await step.goOn(() => ({ part }));
  }
  t.same(said, [
    ["store.checking", { part: 5_000 }],
    ["store.checking", { part: 10_000 }],
  ]);
  t.ok(turns > 0, "timers run");
});

await test("a short step says nothing", async (t) => {
  const log = { ...QUIET_LOG, info: () => t.fail("nobody wants to know") };
  const step = new LongStep({ log, monotonicMs: () => 4_999 }, "store.checking");
  for (let part = 0; part < 100; part += 1) await step.goOn(() => ({ part }));
  t.pass();
});
