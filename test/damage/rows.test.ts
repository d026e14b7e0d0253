import { join } from "node:path";
import { Level } from "level";
import { test } from "tap";
import { openDatabase } from "../../src/store/database.ts";
import { makeSample, openAt, type Logged } from "./sample.ts";

/** Puts a row where only the store itself writes, with a checksum that fits. */
async function plant(path: string, key: string, value: string): Promise<void> {
  const database = await openDatabase(path);
  await database.put(key, value);
  await database.close();
}

/** Puts a row past the checksums, as a flipped bit does. */
async function plantBare(path: string, key: string, value: string): Promise<void> {
  const level = new Level(join(path, "db"));
  await level.put(key, value, { sync: true });
  await level.close();
}

const UNREADABLE: readonly (readonly [key: string, row: string])[] = [
  ["t:000001", "{"],
  ["t:000001", "{}"],
  ["s:000001p0", '{"at":1}'],
  ["u:01J", "[]"],
  ["k:01J", "null"],
  ["l:01J", '{"scopes":["root"]}'],
  ["a:other", '""'],
  ["x:00000100000000001", '{"thing":"1"}'],
  ["o:000001000000000010000000a", "r:nothing"],
  ["n:g000001", '{"cause":"magic"}'],
  ["p:00000000000", '{"property":"many"}'],
];

await test("a row that nobody can parse stops nothing: it is set aside, and told by its key only", async (t) => {
  const sample = await makeSample(t, "stopped");
  for (const [key, row] of UNREADABLE) {
    const path = sample.copy();
    await plant(path, key, row);
    const logged: Logged[] = [];
    const store = await openAt(path, logged);
    const told = logged.filter(([, event]) => event === "store.row_set_aside");
    if (!key.startsWith("o:")) t.match(told, [["error", "store.row_set_aside", { key }]], key);
    t.equal(store.tokens.all().length, 5, `${key}: the other rows serve`);
    t.equal(store.things.countOfAccount("site"), 5, `${key}: a Thing is made again from the log`);
    await store.commit.flushed();
    if (told.length > 0) t.equal(store.database.getSync(key) === row, false, `${key} is away`);
    await store.close();
    const again = await openAt(path);
    t.same(again.gaps.asideKeys(), told.length > 0 ? [key] : [], `${key}: known ever after`);
    t.equal(again.database.damage.counts.rows, 0, `${key}: it harms once`);
    await again.close();
  }
});

const META = [
  "m:log",
  "m:boot",
  "m:salt",
  "m:gateway",
  "m:thing-number",
  "m:age",
  "m:head-property",
];

await test("a damaged row of the store about itself is made again from what there is", async (t) => {
  const sample = await makeSample(t, "stopped");
  for (const key of META) {
    const path = sample.copy();
    const healthy = await openAt(path);
    const { boot, changes, things } = healthy;
    const sequence = changes.sequence;
    const rows = changes.rowsOf("property");
    t.equal(things.count, 5);
    await healthy.close();
    await plantBare(path, key, "damaged");
    const store = await openAt(path);
    t.equal(store.changes.sequence, sequence, `${key}: the log stands where it stood`);
    t.equal(store.changes.rowsOf("property"), rows, `${key}: its rows are counted`);
    t.ok(store.boot > boot, `${key}: no start is counted twice`);
    t.equal(store.things.takeNumber(), 6, `${key}: no Thing gets the number of another`);
    t.ok(Number.isFinite(store.retention.ageMs), key);
    t.same(store.gaps.list(), [], `${key}: no change is missed`);
    await store.close();
  }
});
