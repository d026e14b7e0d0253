import { test } from "tap";
import { profileText } from "../../bench/profile.ts";
import { documentOf, tableOf, verdictOf } from "../../bench/report.ts";
import type { Results, RowResult } from "../../bench/results.ts";
import { interleave, ratioOf, valueOf, type Bench, type Run } from "../../bench/rounds.ts";
import { ROWS, type Row } from "../../bench/rows/table.ts";
import type { Seen } from "../../bench/watch.ts";

const BENCH: Bench = { rounds: 3, warmupMs: 0, measureMs: 1, say: () => undefined };
const QUIET: Seen = {
  brokerCpu: 1,
  foreignCpu: 0,
  isDisturbed: false,
  bytesWritten: 0,
  residentBytesMax: 0,
  residentBytes: 0,
  counted: 0,
};

/** Gives one value a round, and notes that it was its turn. */
function scripted(name: string, values: readonly number[], turns: string[]): Run<number> {
  const left = [...values];
  return {
    name,
    describe: String,
    measure: async () => {
      turns.push(name);
      const value = left.shift();
      if (value === undefined) throw new Error(`${name} broke`);
      return Promise.resolve({ value, seen: { ...QUIET, isDisturbed: value === 30 } });
    },
  };
}

const value = (observed: { readonly value: number }): number => observed.value;

await test("runs take turns; ratios are of one round, and their median counts", async (t) => {
  const turns: string[] = [];
  const [a, b] = await interleave(BENCH, [
    scripted("a", [10, 30, 20], turns),
    scripted("b", [10, 10, 40], turns),
  ]);
  t.equal(turns.join(""), "ababab");
  t.same(ratioOf(a, b, value), {
    spread: { median: 1, min: 0.5, max: 3 },
    rounds: 3,
    disturbed: 1,
  });
});

await test("a run that fails is out, says why, and does not stop the others", async (t) => {
  const turns: string[] = [];
  const outcomes = await interleave(BENCH, [
    scripted("a", [1, 2, 3], turns),
    scripted("b", [], turns),
    { ...scripted("c", [], turns), missing: () => "c is not installed" },
  ]);
  const [a, b, c] = outcomes;
  t.equal(turns.join(""), "abaa");
  t.match(valueOf(a, value), { spread: { median: 2 }, rounds: 3 });
  t.same(ratioOf(a, b, value), { because: "b broke" });
  t.same(ratioOf(a, c, value), { because: "c is not installed" });
});

function rowOf(wanted: string): Row {
  const row = ROWS.find(({ id }) => id === wanted);
  if (row === undefined) throw new Error(`no row ${wanted}`);
  return row;
}

const MORE = rowOf("durable/mosquitto");
const LESS = rowOf("memory/idle");

function measured(median: number, disturbed = 0): RowResult {
  const spread = { median, min: median, max: median };
  return { spread, rounds: 3, disturbed, date: "2026-11-22T12:00:00.000Z", seconds: 5 };
}

await test("a row says how far it has come, and what stood in the way", (t) => {
  t.equal(verdictOf(MORE, measured(MORE.goal)), "goal");
  t.equal(verdictOf(MORE, measured(MORE.firstStep)), "first step");
  t.equal(verdictOf(MORE, measured(MORE.firstStep - 0.01)), "**short**");
  t.equal(verdictOf(LESS, measured(LESS.goal)), "goal");
  t.equal(verdictOf(LESS, measured(LESS.goal + 1)), "first step");
  t.equal(verdictOf(LESS, measured(LESS.firstStep + 1)), "**short**");
  t.equal(verdictOf(LESS, measured(LESS.goal, 2)), "goal, 2 of 3 rounds disturbed");
  t.end();
});

const RESULTS: Results = {
  machine: { hardware: "a machine", fileSystem: "ext4", cores: "not pinned", versions: {} },
  rows: {
    [MORE.id]: measured(1.5),
    [LESS.id]: { because: "gone | wrong\nand more", date: "", seconds: 5 },
  },
  details: { durable: [{ who: "sluice", "messages/s": 1 }] },
};

await test("the table has every row, measured or not", (t) => {
  const table = tableOf(RESULTS);
  for (const { what } of ROWS) t.match(table, what);
  t.match(table, "1.50 (1.50–1.50)");
  t.match(table, "not measured: gone \\| wrong |");
  t.end();
});

await test("what was written by hand survives the next run", (t) => {
  const first = documentOf(RESULTS, "");
  const byHand = `${first}\nMost of it is writev.\n`;
  t.equal(documentOf(RESULTS, byHand), byHand);
  t.end();
});

await test("a profile is summed by function and by place, without idle time", (t) => {
  const frame = (id: number, functionName: string, url: string) => ({
    id,
    callFrame: { functionName, url, lineNumber: 9 },
  });
  const text = profileText({
    nodes: [
      frame(1, "(idle)", ""),
      frame(2, "take", "file:///x/build/src/mqtt/gate.js"),
      frame(3, "write", "file:///x/node_modules/classic-level/chained-batch.js"),
    ],
    samples: [1, 2, 3, 2],
    timeDeltas: [900, 50, 25, 25],
  });
  t.match(text, " 75.0 %  src/mqtt\n");
  t.match(text, " 25.0 %  classic-level\n");
  t.match(text, " 75.0 %  take · src/mqtt/gate.js:10\n");
  t.notMatch(text, "idle");
  t.end();
});
