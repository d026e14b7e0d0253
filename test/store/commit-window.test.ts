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

/** Puts one change, and ends its write as a disk does that needs no time. */
async function putAlone(windowed: Windowed, key: string): Promise<void> {
  windowed.commit.put(key, "1");
  await nextTurn();
  await nextTurn();
  windowed.database.end();
  await nextTurn();
}

/** As many writes as it takes for waiting to be tried: the next soon after waits. */
async function writeUntilTried(windowed: Windowed): Promise<void> {
  for (let change = 0; change < 9; change += 1) {
    windowed.clock.advance(1);
    await putAlone(windowed, `lone ${change}`);
  }
  windowed.clock.advance(1);
}

await test("what comes while a write is under way is the next, at once", async (t) => {
  const { database, commit, keys } = makeWindowed({ gatherMs: 8, syncIntervalMs: 0 });
  commit.put("a", "1");
  await nextTurn();
  t.same(keys(), [["a"]]);
  commit.put("b", "1");
  commit.put("c", "1");
  await nextTurn();
  t.same(keys(), [["a"]], "one at a time");
  database.end();
  await nextTurn();
  await nextTurn();
  t.same(keys(), [["a"], ["b", "c"]]);
});

await test("changes that come one by one to a fast disk share its writes", async (t) => {
  const windowed = makeWindowed({ gatherMs: 8, syncIntervalMs: 0 });
  const { commit, clock, database, keys } = windowed;
  await writeUntilTried(windowed);
  t.equal(keys().length, 9, "each at once until it is known that more come");
  for (let batch = 0; batch < 3; batch += 1) {
    for (let change = 0; change < 8; change += 1) {
      commit.put(`${batch} ${change}`, "1");
      await nextTurn();
      t.equal(keys().length, 9 + batch, "it waits");
      clock.advance(1);
    }
    await nextTurn();
    t.equal(keys().at(-1)?.length, 8);
    database.end();
    await nextTurn();
    clock.advance(1);
  }
  clock.advance(8);
  await putAlone(windowed, "after a pause");
  t.same(keys().at(-1), ["after a pause"], "alone again, and at once");
});

await test("a wait that is over when the disk is free delays nothing and judges nothing", async (t) => {
  const windowed = makeWindowed({ gatherMs: 8, syncIntervalMs: 0 });
  const { commit, clock, database, keys } = windowed;
  await writeUntilTried(windowed);
  commit.put("a", "1");
  clock.advance(7);
  commit.put("b", "1");
  clock.advance(1);
  t.same(keys().at(-1), ["a", "b"], "it was worth it");
  commit.put("c", "1");
  clock.advance(8);
  database.end();
  await nextTurn();
  await nextTurn();
  t.same(keys().at(-1), ["c"], "nothing more came, but nobody waited for it");
  commit.put("d", "1");
  database.end();
  await nextTurn();
  await nextTurn();
  t.same(keys().at(-1), ["c"], "still worth it");
  clock.advance(8);
  t.same(keys().at(-1), ["d"]);
});

await test("clients that wait for each answer are held up ever less", async (t) => {
  const windowed = makeWindowed({ gatherMs: 8, syncIntervalMs: 0 });
  const { commit, clock, database, keys } = windowed;
  const waits: number[] = [];
  for (let change = 0; change < 2_100; change += 1) {
    const before = keys().length;
    commit.put("one", String(change));
    await nextTurn();
    await nextTurn();
    if (keys().length === before) {
      waits.push(change);
      clock.advance(2);
      commit.put("other", String(change));
      clock.advance(6);
    }
    database.end();
    await nextTurn();
    clock.advance(1);
  }
  t.same(waits, [9, 26, 59, 124, 253, 510, 1_023, 2_048], "twice as far away each time");
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
