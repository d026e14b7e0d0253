import { setImmediate as nextTurn } from "node:timers/promises";
import fc from "fast-check";
import { test } from "tap";
import type { GatewayError } from "../../src/errors.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { Commit } from "../../src/store/commit.ts";
import { Writability } from "../../src/store/writability.ts";
import { HeldDatabase } from "./held-database.ts";
import { ManualClock } from "./manual-clock.ts";

type Made = {
  readonly database: HeldDatabase;
  readonly commit: Commit;
  readonly failures: readonly GatewayError[];
  readonly writability: Writability;
};

function makeCommit(beforeWrite: (commit: Commit) => void = () => undefined): Made {
  const database = new HeldDatabase();
  const failures: GatewayError[] = [];
  const writability = new Writability();
  const commit: Commit = new Commit(database.asDatabase(), {
    window: { gatherMs: 0, syncIntervalMs: 0 },
    clock: new ManualClock(),
    beforeWrite: () => beforeWrite(commit),
    onWritten: () => undefined,
    writability,
    mend: async (failure) => Promise.reject(failure),
    onFailure: (failure) => failures.push(failure),
  });
  return { database, commit, failures, writability };
}

/** A callback that writes its name down when it is called. */
function logger(log: string[]): (name: string) => (failure: GatewayError | undefined) => void {
  return (name) => (failure) => log.push(failure === undefined ? name : `${name} ${failure.code}`);
}

await test("all that is put in one turn is one synced batch, the last value of each key", async (t) => {
  const { database, commit } = makeCommit();
  commit.put("a", "1");
  commit.put("b", "1");
  await Promise.resolve();
  commit.put("a", "2");
  commit.delete("b");
  await nextTurn();
  t.same(
    database.batches.map((rows) => [...rows]),
    [
      [
        ["a", "2"],
        ["b", undefined],
      ],
    ],
  );
  database.end();
  await commit.flushed();
  t.same(commit.written, { batches: 1, rows: 2, failures: 0 });
});

await test("what comes while a batch is in flight is the next batch, and only one is in flight", async (t) => {
  const { database, commit } = makeCommit();
  commit.put("a", "1");
  await nextTurn();
  commit.put("b", "1");
  await nextTurn();
  commit.put("c", "1");
  await nextTurn();
  t.equal(database.inFlight, 1);
  database.end();
  await nextTurn();
  await nextTurn();
  t.same(
    database.batches.map((rows) => [...rows.keys()]),
    [["a"], ["b", "c"]],
  );
  database.end();
  await commit.flushed();
});

await test("rows added before a write go with it and ask for no other", async (t) => {
  let marks = 0;
  const { database, commit } = makeCommit((commit) => commit.put("mark", String((marks += 1))));
  commit.put("a", "1");
  await nextTurn();
  await nextTurn();
  await nextTurn();
  t.same(
    database.batches.map((rows) => [...rows.keys()]),
    [["a", "mark"]],
  );
  database.end();
  await commit.flushed();
  await nextTurn();
  await nextTurn();
  t.equal(database.batches.length, 1);
});

await test("a callback is called at once when nothing is under way, else after its rows are on disk", async (t) => {
  const { database, commit } = makeCommit();
  const log: string[] = [];
  const named = logger(log);
  commit.settled(named("idle"));
  t.same(log, ["idle"]);
  commit.put("a", "1");
  commit.settled(named("open"));
  await nextTurn();
  commit.settled(named("in flight"));
  await nextTurn();
  t.same(log, ["idle"]);
  database.end();
  await nextTurn();
  t.same(log, ["idle", "open", "in flight"]);
  commit.settled(named("idle again"));
  t.equal(log.at(-1), "idle again");
});

await test("items of a batch are taken at once, in their order and that of the callbacks", async (t) => {
  const { database, commit } = makeCommit();
  const log: string[] = [];
  const named = logger(log);
  const later = commit.inBatches<string>((items, failure) => {
    log.push(`[${items.join(" ")}]${failure?.code ?? ""}`);
    if (items.includes("b")) later("of a callback");
  });
  later("at once");
  t.same(log, ["[at once]"]);
  commit.put("a", "1");
  commit.settled(named("before"));
  later("a");
  commit.settled(named("between"));
  later("b");
  await nextTurn();
  later("in flight");
  t.same(log, ["[at once]"]);
  database.end();
  await nextTurn();
  t.same(log, ["[at once]", "before", "[a b in flight]", "between", "[of a callback]"]);
  commit.put("b", "1");
  later("next");
  await nextTurn();
  database.end();
  await nextTurn();
  t.equal(log.at(-1), "[next]");
});

await test("items of a batch that cannot be written are taken with the failure", async (t) => {
  const { database, commit } = makeCommit();
  const log: string[] = [];
  const later = commit.inBatches<string>((items, failure) => {
    log.push(`${items.join(" ")} ${failure?.code ?? "written"}`);
  });
  commit.put("a", "1");
  later("a");
  later("b");
  await nextTurn();
  database.fail(new Error("EIO"));
  await nextTurn();
  await nextTurn();
  later("after it");
  t.same(log, ["a b storage-failed", "after it storage-failed"]);
});

await test("a row that is a function is what it says when its batch is closed, also when it is written again", async (t) => {
  const database = new HeldDatabase();
  const commit: Commit = new Commit(database.asDatabase(), {
    window: { gatherMs: 0, syncIntervalMs: 0 },
    clock: new ManualClock(),
    beforeWrite: () => undefined,
    onWritten: () => undefined,
    writability: new Writability(),
    mend: async () => Promise.resolve(),
    onFailure: () => t.fail("it can be mended"),
  });
  let value = 1;
  const row = (): string => String(value);
  commit.put("a", row);
  value = 2;
  t.equal(commit.read("a"), "2");
  await nextTurn();
  value = 3;
  commit.put("a", row);
  t.equal(commit.read("a"), "3");
  database.fail(new Error("EIO"));
  await nextTurn();
  await nextTurn();
  database.end();
  await nextTurn();
  await nextTurn();
  database.end();
  await commit.flushed();
  t.same(
    database.batches.map((rows) => rows.get("a")),
    ["2", "2", "3"],
  );
});

await test("callbacks run in the order of their registration, those of callbacks included", async (t) => {
  const { database, commit } = makeCommit();
  const log: string[] = [];
  const named = logger(log);
  commit.put("a", "1");
  commit.settled(() => {
    log.push("first");
    commit.settled(named("registered by first"));
    commit.put("b", "1");
    commit.settled(named("behind b"));
  });
  commit.settled(named("second"));
  commit.settled(named("third"));
  await nextTurn();
  database.end();
  await nextTurn();
  t.same(log, ["first", "second", "third", "registered by first"]);
  await nextTurn();
  database.end();
  await nextTurn();
  t.equal(log.at(-1), "behind b");
});

await test("a read shows what was put last: open, in flight or on disk", async (t) => {
  const { database, commit } = makeCommit();
  database.stored.set("a", "disk");
  t.equal(commit.read("a"), "disk");
  t.equal(commit.read("none"), undefined);
  commit.put("a", "in flight");
  await nextTurn();
  t.equal(commit.read("a"), "in flight");
  commit.delete("a");
  t.equal(commit.read("a"), undefined);
  commit.put("a", "open");
  t.equal(commit.read("a"), "open");
  database.end();
  await nextTurn();
  t.equal(database.stored.get("a"), "in flight");
  t.equal(commit.read("a"), "open");
  await nextTurn();
  database.end();
  await commit.flushed();
  t.equal(commit.read("a"), "open");
});

const CAUSES: readonly (readonly [message: string, code: string])[] = [
  ["IO error: db/000003.log: No space left on device", "storage-full"],
  ["ENOSPC", "storage-full"],
  ["Disk quota exceeded", "storage-full"],
  ["IO error: db/000005.log: Read-only file system", "storage-full"],
  ["IO error: db/000005.log: Permission denied", "storage-full"],
  ["IO error: db/000003.log: Input/output error", "storage-failed"],
];
for (const [message, code] of CAUSES) {
  await test(`after "${message}" nothing is acknowledged, and everyone is told ${code}`, async (t) => {
    const { database, commit, failures } = makeCommit();
    const log: string[] = [];
    const named = logger(log);
    commit.put("a", "1");
    commit.settled(named("in flight"));
    const flushed = commit.flushed();
    await nextTurn();
    commit.put("b", "1");
    commit.settled(named("open"));
    database.fail(new Error(message));
    await t.rejects(flushed, { code });
    t.same(log, [`in flight ${code}`, `open ${code}`]);
    t.same(
      failures.map((failure) => failure.code),
      [code],
    );
    t.equal(commit.failure, failures[0]);
    commit.settled(named("later"));
    t.equal(log.at(-1), `later ${code}`);
    await t.rejects(commit.flushed(), { code });
    commit.put("c", "1");
    commit.delete("d");
    commit.settled(named("put after it"));
    t.equal(log.at(-1), `put after it ${code}`);
    await nextTurn();
    await nextTurn();
    t.equal(database.batches.length, 1, "nothing is written after a failure");
    t.notMatch(failures[0]?.message, message, "the message holds no path");
  });
}

await test("what waits behind a write that does not end is bounded: new changes are refused until it has", async (t) => {
  const { database, commit, writability } = makeCommit();
  const heard: (string | undefined)[] = [];
  writability.onChange((refusal) => heard.push(refusal?.code));
  const row = "x".repeat(1_000_000);
  const most = Math.floor(FIXED_LIMITS.waitingSizeMax / row.length);
  commit.put("in flight", row);
  await nextTurn();
  for (let number = 0; number < most; number += 1) commit.put(`${number}`, row);
  t.equal(writability.refusal, undefined);
  commit.put("one more", row);
  t.match(writability.refusal, { code: "storage-full" });
  t.equal(commit.stall, undefined, "nothing has failed");
  commit.put("what nobody can refuse", row);
  database.end();
  await nextTurn();
  await nextTurn();
  t.equal(writability.refusal, undefined, "what waited is on its way");
  t.same(heard, ["storage-full", undefined]);
  database.end();
  await commit.flushed();
  t.equal(database.stored.size, most + 3, "all of it was written");
});

await test("batches reach the disk in order, acknowledged in order, whatever the timing", async (t) => {
  const step = fc.constantFrom("put", "end", "turn");
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { database, commit } = makeCommit();
      const acknowledged: number[] = [];
      let count = 0;
      for (const step of steps) {
        if (step === "put") {
          const number = (count += 1);
          commit.put("last", String(number));
          commit.settled(() => {
            acknowledged.push(number);
            t.ok(
              Number(database.stored.get("last")) >= number,
              "acknowledged before it was stored",
            );
          });
        } else if (step === "end" && database.inFlight > 0) database.end();
        else await nextTurn();
        t.ok(database.inFlight <= 1);
      }
      while (acknowledged.length < count) {
        if (database.inFlight > 0) database.end();
        await nextTurn();
      }
      t.same(
        acknowledged,
        Array.from({ length: count }, (_, index) => index + 1),
      );
    }),
    { seed: 31, numRuns: 60 },
  );
});

await test("a close writes what was put, and tells whoever comes later that it is stopping", async (t) => {
  const { database, commit, failures } = makeCommit();
  const log: string[] = [];
  const named = logger(log);
  commit.put("a", "1");
  commit.settled(named("before"));
  const closed = commit.close();
  await nextTurn();
  commit.put("b", "1");
  commit.settled(named("during"));
  database.end();
  await nextTurn();
  await nextTurn();
  database.end();
  await closed;
  commit.put("c", "1");
  commit.settled(named("after"));
  t.same(log, ["before", "during", "after stopping"]);
  await t.rejects(commit.flushed(), { code: "stopping" });
  await nextTurn();
  await nextTurn();
  t.same([...database.stored.keys()], ["a", "b"]);
  t.equal(database.inFlight, 0);
  t.same(failures, [], "no fault of the store");
  await t.resolves(commit.close());
});
