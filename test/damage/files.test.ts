import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { reportedBy, takeCensus } from "./census.ts";
import { BATCH, checkCensus } from "./expectations.ts";
import { makeSample, openAt, type Logged } from "./sample.ts";

/** All changes of the sample are in its log of the last start, or in one table. */
const ANY = Number.MAX_SAFE_INTEGER;

type Harm = {
  readonly name: string;
  readonly to: (db: string) => void;
  readonly lostMax: number;
  readonly event?: string;
};

const file = (db: string, name: RegExp): string =>
  join(
    db,
    readdirSync(db)
      .sort()
      .find((each) => name.test(each))!,
  );
const cut = (path: string, part: number): void =>
  truncateSync(path, Math.floor(statSync(path).size * part));

const [LOG, TABLE, MANIFEST] = [/^\d+\.log$/, /\.ldb$/, /^MANIFEST/];

const HARMS: readonly Harm[] = [
  { name: "CURRENT is missing", to: (db) => rmSync(join(db, "CURRENT")), lostMax: 0 },
  { name: "CURRENT is empty", to: (db) => truncateSync(join(db, "CURRENT")), lostMax: 0 },
  {
    name: "CURRENT is of another database",
    to: (db) => writeFileSync(join(db, "CURRENT"), "MANIFEST-000999\n"),
    lostMax: 0,
  },
  {
    name: "CURRENT names no manifest",
    to: (db) => writeFileSync(join(db, "CURRENT"), "hello"),
    lostMax: 0,
  },
  {
    name: "CURRENT is a folder",
    to: (db) => {
      rmSync(join(db, "CURRENT"));
      mkdirSync(join(db, "CURRENT"));
    },
    lostMax: 0,
  },
  { name: "MANIFEST is missing", to: (db) => rmSync(file(db, MANIFEST)), lostMax: 0 },
  { name: "MANIFEST is empty", to: (db) => truncateSync(file(db, MANIFEST)), lostMax: 0 },
  { name: "MANIFEST is cut", to: (db) => cut(file(db, MANIFEST), 0.5), lostMax: 0 },
  {
    name: "the log is missing",
    to: (db) => rmSync(file(db, LOG)),
    lostMax: ANY,
    event: "store.gap",
  },
  { name: "the log is empty", to: (db) => truncateSync(file(db, LOG)), lostMax: ANY },
  { name: "the log is cut", to: (db) => cut(file(db, LOG), 0.9), lostMax: 3 * BATCH },
  { name: "a table is missing", to: (db) => rmSync(file(db, TABLE)), lostMax: ANY },
  { name: "a table is empty", to: (db) => truncateSync(file(db, TABLE)), lostMax: ANY },
  { name: "a table is cut", to: (db) => cut(file(db, TABLE), 0.9), lostMax: ANY },
  {
    name: "a table is replaced by a text",
    to: (db) => writeFileSync(file(db, TABLE), "once upon a time ".repeat(10_000)),
    lostMax: ANY,
  },
  {
    name: "a table has zeros in its middle",
    to: (db) => {
      const path = file(db, TABLE);
      const bytes = readFileSync(path);
      writeFileSync(path, bytes.fill(0, bytes.length >> 1, (bytes.length >> 1) + 4096));
    },
    lostMax: ANY,
  },
  {
    name: "a foreign file is there",
    to: (db) => writeFileSync(join(db, "000999.ldb"), "not a table"),
    lostMax: 0,
  },
  {
    name: "the witness is missing",
    to: (db) => rmSync(join(db, "../store-exists")),
    lostMax: 0,
  },
  {
    name: "the witness and CURRENT are missing",
    to: (db) => {
      rmSync(join(db, "../store-exists"));
      rmSync(join(db, "CURRENT"));
    },
    lostMax: 0,
  },
  {
    name: "the witness cannot be read",
    to: (db) => writeFileSync(join(db, "../store-exists"), "{"),
    lostMax: 0,
  },
];

await test("whatever becomes of a file, the store opens with the rest and tells", async (t) => {
  const sample = await makeSample(t, "stopped");
  for (const { name, to, lostMax, event } of HARMS) {
    const path = sample.copy();
    to(join(path, "db"));
    const census = await takeCensus(path, sample.contents);
    checkCensus(t, census, name, lostMax);
    if (event !== undefined) t.ok(census.events.has(event), `${name}: ${event} is told`);
    t.ok(await staysAsItIs(path), `${name}: it is told once`);
    rmSync(path, { recursive: true });
  }
});

async function staysAsItIs(path: string): Promise<boolean> {
  const store = await openAt(path);
  const before = reportedBy(store);
  await store.close();
  const logged: Logged[] = [];
  const again = await openAt(path, logged);
  await again.gaps.checkAll();
  const isSame = reportedBy(again) === before;
  await again.close();
  return isSame && logged.every(([level]) => level !== "error");
}

await test("a database that is gone is no first start: it begins empty, and says how much is lost", async (t) => {
  const sample = await makeSample(t, "stopped");
  const path = sample.copy();
  rmSync(join(path, "db"), { recursive: true });
  const logged: Logged[] = [];
  const store = await openAt(path, logged);
  const lost = [...sample.contents.keys()].filter((key) => key.startsWith("change ")).length;
  t.match(store.gaps.list(), [{ cause: "tail-lost", from: 1, to: lost, count: lost }]);
  t.ok(logged.some(([level, event]) => level === "error" && event === "store.salvaged"));
  t.equal(store.changes.nextSequence, lost + 1, "no sequence is given twice");
  t.ok(store.boot > 3, "no start is counted twice");
  await store.close();
});

await test("of a log that is lost after SIGKILL nobody knows the end: its sequences are not given again", async (t) => {
  const sample = await makeSample(t, "killed");
  const newest = [...sample.contents.keys()].filter((key) => key.startsWith("change ")).length;
  for (const lose of [(path: string) => rmSync(path), (path: string) => truncateSync(path)]) {
    const path = sample.copy();
    lose(file(join(path, "db"), LOG));
    const store = await openAt(path);
    const [gap] = store.gaps.list();
    t.match(gap, { cause: "tail-lost" });
    t.ok(gap!.from <= newest && gap!.to > newest, "the gap reaches over all that may have been");
    t.ok(store.changes.nextSequence > newest);
    await store.close();
  }
});

await test("a database of a first start that was cut off is made anew", async (t) => {
  for (const harm of ["CURRENT", "MANIFEST-000002"]) {
    const path = join(t.testdir(), harm);
    const first = await openAt(path);
    await first.close();
    rmSync(join(path, "store-exists"));
    rmSync(join(path, "db", harm));
    const store = await openAt(path);
    t.same(store.gaps.list(), [], "nothing was acknowledged, so nothing is missed");
    store.accounts.put({ name: "site", created: 1, revision: 1 });
    await store.close();
    const again = await openAt(path);
    t.ok(again.accounts.has("site"));
    await again.close();
  }
});

await test("a salvage that is cut off anywhere is taken up again", async (t) => {
  const sample = await makeSample(t, "stopped");
  const cuts: readonly (readonly [name: string, (path: string) => void])[] = [
    ["set aside", (path) => renameSync(join(path, "db"), join(path, "db.damaged"))],
    [
      "half rebuilt",
      (path) => {
        renameSync(join(path, "db"), join(path, "db.damaged"));
        mkdirSync(join(path, "db.rebuilt"));
        writeFileSync(join(path, "db.rebuilt", "000003.log"), "half");
      },
    ],
    [
      "in place",
      (path) => {
        cpSync(join(path, "db"), join(path, "db.damaged"), { recursive: true });
      },
    ],
  ];
  for (const [name, cutOff] of cuts) {
    const path = sample.copy();
    cutOff(path);
    const census = await takeCensus(path, sample.contents);
    checkCensus(t, census, name, 0);
    t.notOk(census.events.has("store.gap"), `${name}: nothing is missed`);
    const left = readdirSync(path).sort();
    t.same(left, ["damaged-3", "db", "store-exists"], `${name}: one copy is left aside`);
    rmSync(path, { recursive: true });
  }
});
