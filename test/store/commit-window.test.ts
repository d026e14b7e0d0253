import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { Commit } from "../../src/store/commit.ts";
import type { WindowBounds } from "../../src/store/commit-window.ts";
import { Writability } from "../../src/store/writability.ts";
import { HeldDatabase } from "./held-database.ts";
import { ManualClock } from "./manual-clock.ts";

type Windowed = {
  readonly database: HeldDatabase;
  readonly commit: Commit;
  readonly clock: ManualClock;
  readonly keys: () => readonly (readonly string[])[];
};

function makeWindowed(window: WindowBounds): Windowed {
  const database = new HeldDatabase();
  const clock = new ManualClock();
  const commit = new Commit(database.asDatabase(), {
    window,
    clock,
    beforeWrite: () => undefined,
    onWritten: () => undefined,
    writability: new Writability(),
    mend: async (failure) => Promise.reject(failure),
    onFailure: () => undefined,
  });
  return { database, commit, clock, keys: () => database.batches.map((rows) => [...rows.keys()]) };
}

await test("a lone change is written at once; what comes while it is written waits for company", async (t) => {
  const { database, commit, clock, keys } = makeWindowed({ gatherMs: 5, syncIntervalMs: 0 });
  commit.put("a", "1");
  await nextTurn();
  t.same(keys(), [["a"]]);
  commit.put("b", "1");
  clock.advance(2);
  database.end();
  await nextTurn();
  await nextTurn();
  t.same(keys(), [["a"]], "the disk is free, the window is open");
  commit.put("c", "1");
  clock.advance(2);
  t.same(keys(), [["a"]]);
  clock.advance(1);
  t.same(keys(), [["a"], ["b", "c"]]);
  database.end();
  await nextTurn();
  commit.put("d", "1");
  await nextTurn();
  t.same(keys(), [["a"], ["b", "c"], ["d"]], "alone again");
});

await test("a window that is over when the disk is free delays nothing", async (t) => {
  const { database, commit, clock, keys } = makeWindowed({ gatherMs: 5, syncIntervalMs: 0 });
  commit.put("a", "1");
  await nextTurn();
  commit.put("b", "1");
  clock.advance(5);
  database.end();
  await nextTurn();
  await nextTurn();
  t.same(keys(), [["a"], ["b"]]);
});

await test("no two writes begin within the interval that spares the disk, alone or not", async (t) => {
  const { database, commit, clock, keys } = makeWindowed({ gatherMs: 0, syncIntervalMs: 100 });
  commit.put("a", "1");
  await nextTurn();
  t.same(keys(), [["a"]]);
  database.end();
  await nextTurn();
  clock.advance(40);
  commit.put("b", "1");
  await nextTurn();
  clock.advance(59);
  t.same(keys(), [["a"]]);
  commit.put("c", "1");
  clock.advance(1);
  t.same(keys(), [["a"], ["b", "c"]]);
  database.end();
  await nextTurn();
  clock.advance(100);
  commit.put("d", "1");
  await nextTurn();
  t.same(keys(), [["a"], ["b", "c"], ["d"]]);
});
