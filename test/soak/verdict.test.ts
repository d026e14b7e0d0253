import { test } from "tap";
import { seededRandom } from "../store/random.ts";
import { growthOf, GROWTHS, judge, judgedOf, type Remains, type Sample } from "./verdict.ts";

const MIB = 1024 * 1024;
const HOUR = 3_600;

const CLEAN: Remains = {
  ...{ socketsLeft: 0, connectionsLeft: 0, sessionsLeft: 0, thingsLeft: 0 },
  ...{ complaints: [], exitCode: 0 },
};

/** What a gateway looks like that is as it should be, but for `other`. */
function sampleAt(seconds: number, other: Partial<Sample> = {}): Sample {
  return {
    ...{
      seconds,
      rssBytes: 90 * MIB,
      heapBytes: 30 * MIB,
      bufferBytes: MIB,
      sockets: 12,
      files: 23,
      threads: 23,
    },
    ...{ diskBytes: 10 * MIB, diskFiles: 8, connections: 10, sessions: 7, things: 4 },
    ...{ changes: seconds, batches: seconds, written: seconds, delivered: seconds },
    ...other,
  };
}

/** A sample every ten seconds. */
function run(minutes: number, other: (seconds: number) => Partial<Sample>): readonly Sample[] {
  return Array.from({ length: minutes * 6 }, (_, index) => {
    const seconds = (index + 1) * 10;
    return sampleAt(seconds, other(seconds));
  });
}

/** From -1 to 1, the same at each run. */
function noise(): () => number {
  const random = seededRandom(4711);
  return () => Buffer.from(random.bytes(4)).readInt32BE() / 2 ** 31;
}

const exceeded = (samples: readonly Sample[], remains: Partial<Remains> = {}): readonly string[] =>
  judge(samples, { ...CLEAN, ...remains })
    .rows.filter(({ verdict }) => verdict === "exceeded")
    .map(({ what }) => what);

const chance = noise();
const GROWING: readonly (readonly [
  what: string,
  minutes: number,
  other: (seconds: number) => Partial<Sample>,
  exceeded: readonly string[],
])[] = [
  ["nothing changes", 10, () => ({}), []],
  ["memory goes up and down", 60, () => ({ rssBytes: (90 + 10 * chance()) * MIB }), []],
  [
    "memory grows until everything is warm",
    10,
    (seconds) => ({ rssBytes: (60 + Math.min(seconds, 190) / 4) * MIB }),
    [],
  ],
  [
    "memory settles later",
    60,
    (seconds) => ({ rssBytes: (120 + Math.min(seconds / 60, 30)) * MIB }),
    [],
  ],
  [
    "memory leaks fast, and goes up and down",
    10,
    (seconds) => ({ rssBytes: (90 + 5 * chance() + (300 * seconds) / HOUR) * MIB }),
    ["RSS, growth"],
  ],
  [
    "memory leaks slowly, in a short run",
    10,
    (seconds) => ({ rssBytes: (90 + 5 * chance() + (40 * seconds) / HOUR) * MIB }),
    [],
  ],
  [
    "memory leaks slowly, in a long run",
    180,
    (seconds) => ({ rssBytes: (90 + 5 * chance() + (40 * seconds) / HOUR) * MIB }),
    ["RSS, growth"],
  ],
  [
    "the heap leaks",
    60,
    (seconds) => ({ heapBytes: (30 + 0.1 * chance() + (12 * seconds) / HOUR) * MIB }),
    ["heap, growth"],
  ],
  [
    "clients come and go",
    10,
    (seconds) => ({ sockets: 12 + (seconds % 70) / 10 + Math.round(2 * chance()) }),
    [],
  ],
  [
    "a socket stays now and then",
    10,
    (seconds) => ({ sockets: 12 + Math.floor(seconds / 20) + Math.round(2 * chance()) }),
    ["sockets, growth"],
  ],
  [
    "a file stays each minute",
    60,
    (seconds) => ({ files: 23 + Math.floor(seconds / 60) }),
    ["open files, growth"],
  ],
  [
    "a thread is started each minute",
    10,
    (seconds) => ({ threads: 23 + Math.floor(seconds / 60) }),
    ["threads, growth"],
  ],
  [
    "the store is compacted every two minutes",
    10,
    (seconds) => ({ diskBytes: (10 + (seconds % 120) / 20) * MIB }),
    [],
  ],
  [
    "nothing is swept",
    60,
    (seconds) => ({ diskBytes: (10 + (seconds % 120) / 20 + (60 * seconds) / HOUR) * MIB }),
    ["disk, growth"],
  ],
  [
    "it stands still for a while",
    10,
    (seconds) => ({ written: Math.min(seconds, 300) }),
    ["intervals without a write"],
  ],
];

await test("what leaks exceeds its bound, what goes up and down or settles does not", (t) => {
  for (const [what, minutes, other, expected] of GROWING) {
    t.same(exceeded(run(minutes, other)), expected, what);
  }
  t.end();
});

await test("of two runs of one gateway the longer one has the stricter bounds", (t) => {
  const boundsOf = (minutes: number): readonly number[] =>
    judge(
      run(minutes, () => ({})),
      CLEAN,
    )
      .rows.slice(0, GROWTHS.length)
      .map(({ bound }) => bound);
  const [short, long] = [boundsOf(10), boundsOf(600)];
  for (const [index, { what, perHour }] of GROWTHS.entries()) {
    t.ok((long[index] ?? 0) < (short[index] ?? 0), what);
    t.ok((long[index] ?? 0) > perHour, `${what}: never below what it may rise by in an hour`);
  }
  t.end();
});

const LEFT: readonly (readonly [remains: Partial<Remains>, exceeded: string])[] = [
  [{ socketsLeft: 1 }, "sockets left over"],
  [{ connectionsLeft: 1 }, "connections left over"],
  [{ sessionsLeft: 1 }, "sessions left over"],
  [{ thingsLeft: 1 }, "Things left over"],
  [{ thingsLeft: -1 }, "Things left over"],
  [{ complaints: ["GET /site/things: 500"] }, "complaints"],
  [{ exitCode: 74 }, "exit code of the stop"],
  [{ exitCode: null }, "exit code of the stop"],
];

await test("what is left when everybody has gone exceeds its bound", (t) => {
  const samples = run(10, () => ({}));
  for (const [remains, what] of LEFT) {
    t.same(exceeded(samples, remains), [what], JSON.stringify(remains));
    t.equal(judge(samples, { ...CLEAN, ...remains }).ok, false);
  }
  t.end();
});

await test("a short run says so, and is judged by what is left only", (t) => {
  const leaking = (seconds: number): Partial<Sample> => ({ rssBytes: seconds * MIB });
  const samples = run(1, leaking);
  const { ok, rows } = judge(samples, CLEAN);
  t.equal(ok, true);
  const growth = rows.filter(({ what }) => what.endsWith("growth"));
  t.same([...new Set(growth.map(({ verdict }) => verdict))], ["too short to say"]);
  t.equal(judge([], CLEAN).ok, true, "it was ended before the first sample");
  t.equal(judge(samples, { ...CLEAN, socketsLeft: 1 }).ok, false);
  t.end();
});

await test("the growth is that of the least-squares line, after the warm-up", (t) => {
  t.same(growthOf([]), { perHour: 0, plusMinus: 0 });
  t.same(
    growthOf([
      [0, 1],
      [0, 2],
      [0, 3],
    ]),
    { perHour: 0, plusMinus: 0 },
    "all at one time",
  );
  t.same(
    growthOf([
      [0, 1],
      [1, 3],
      [2, 5],
    ]),
    { perHour: 2, plusMinus: 0 },
    "a line",
  );
  // By hand: slope 0.8, squared residuals 0.8 in all, Σ(x - mean)² = 5.
  const { perHour, plusMinus } = growthOf([
    [0, 1],
    [1, 1],
    [2, 3],
    [3, 3],
  ]);
  t.ok(Math.abs(perHour - 0.8) < 1e-9);
  t.ok(Math.abs(plusMinus - 2 * Math.sqrt(0.8 / 2 / 5)) < 1e-9);
  t.same(
    judgedOf(run(1, () => ({}))).map(({ seconds }) => seconds),
    [20, 30, 40, 50, 60],
  );
  t.end();
});
