import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Level } from "level";
import { test, type Test } from "tap";
import { maskedCrc } from "../../src/store/crc32c.ts";
import { whyOpenedFilesAreDamaged, whyTablesAreDamaged } from "../../src/store/level-check.ts";
import { readLogFile } from "../../src/store/level-log-file.ts";
import { LongStep } from "../../src/store/long-step.ts";
import { newestEntries, type Losses } from "../../src/store/newest-entries.ts";
import { uncompress } from "../../src/store/snappy.ts";
import { makeDice } from "../crash/dice.ts";
import { QUIET_LOG } from "./quiet-log.ts";

const step = (): LongStep => new LongStep({ log: QUIET_LOG, monotonicMs: () => 0 }, "");

type Rows = ReadonlyMap<string, string>;
type Made = { readonly folder: string; readonly rows: Rows };

/** A database with several tables, overwritten and deleted rows, long ones, and a log. */
async function makeLevel(t: Test, seed: number): Promise<Made> {
  const folder = join(t.testdir(), "level");
  const level = new Level(folder);
  await level.open();
  const dice = makeDice(seed);
  const words = Array.from({ length: 50 }, () => "ab💡".repeat(dice.below(40)));
  for (let batches = 0; batches < 150; batches += 1) {
    const batch = level.batch();
    for (let row = 0; row < 80; row += 1) {
      const key = `k${dice.below(4_000)}`;
      if (dice.chance(0.2)) batch.del(key);
      else
        batch.put(
          key,
          dice.pick(words) +
            dice
              .below(2 ** 31)
              .toString(36)
              .repeat(20),
        );
    }
    await batch.write();
    if (batches % 40 !== 39) continue;
    await level.close();
    await level.open();
  }
  await level.put("long", "y".repeat(100_000) + String(seed), { sync: true });
  const rows = new Map<string, string>();
  for await (const [key, value] of level.iterator()) rows.set(key, value);
  await level.close();
  return { folder, rows };
}

function readAll(folder: string): { readonly rows: Map<string, string>; readonly losses: Losses } {
  const losses: Losses = { damagedBlocks: 0, damagedLogs: 0 };
  const rows = new Map<string, string>();
  for (const { key, value } of newestEntries(folder, losses)) {
    rows.set(Buffer.from(key, "latin1").toString("utf8"), value?.toString("utf8") ?? "");
  }
  return { rows, losses };
}

await test("the files of LevelDB are read as LevelDB reads them", async (t) => {
  for (const seed of [1, 2]) {
    const { folder, rows } = await makeLevel(t, seed);
    const read = readAll(folder);
    t.same(read.losses, { damagedBlocks: 0, damagedLogs: 0 });
    t.ok(rows.size > 1_000);
    t.same(read.rows, rows);
    t.equal(whyOpenedFilesAreDamaged(folder), undefined);
    t.equal(await whyTablesAreDamaged(folder, Infinity, step()), undefined);
  }
});

const tablesIn = (folder: string): readonly string[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".ldb"))
    .sort()
    .map((name) => join(folder, name));

await test("each row is read from a table whose index is damaged", async (t) => {
  const { folder, rows } = await makeLevel(t, 3);
  for (const table of tablesIn(folder)) {
    const bytes = readFileSync(table);
    bytes.fill(0xff, bytes.length - 60);
    writeFileSync(table, bytes);
  }
  const read = readAll(folder);
  t.same(read.rows, rows);
  t.equal(read.losses.damagedBlocks, tablesIn(folder).length);
  t.ok(await whyTablesAreDamaged(folder, Infinity, step()));
  t.equal(
    await whyTablesAreDamaged(folder, 0, step()),
    undefined,
    "a table beyond the bound is not looked at",
  );
});

await test("a damaged block costs its own rows only, and no false one is read", async (t) => {
  const { folder, rows } = await makeLevel(t, 4);
  const [table = ""] = tablesIn(folder);
  const copy = `${folder}-copy`;
  const dice = makeDice(5);
  for (let round = 0; round < 10; round += 1) {
    cpSync(folder, copy, { recursive: true, force: true });
    const bytes = readFileSync(table);
    const at = dice.below(bytes.length - 2_000);
    bytes[at] = (bytes[at] ?? 0) ^ 0x10;
    writeFileSync(table.replace(folder, copy), bytes);
    const read = readAll(copy);
    const wrong = [...read.rows].filter(([key, value]) => rows.get(key) !== value);
    // What an older table holds of the same key comes to light.
    t.ok(wrong.length < 60, `byte ${at}`);
    t.ok(read.rows.size > rows.size - 60, `byte ${at}: ${read.rows.size} of ${rows.size}`);
    t.equal(read.losses.damagedBlocks, 1, `byte ${at}`);
  }
});

await test("a log tells damage from a torn end, and gives every record that is whole", async (t) => {
  const folder = join(t.testdir(), "level");
  const level = new Level(folder);
  for (let record = 0; record < 100; record += 1) {
    await level.put(`k${record}`, "z".repeat(record * 20), { sync: true });
  }
  await level.close();
  const log = join(
    folder,
    readdirSync(folder).find((name) => name.endsWith(".log"))!,
  );
  const bytes = readFileSync(log);
  t.match(readLogFile(bytes), { isDamaged: false, isTorn: false });
  t.equal(readLogFile(bytes).records.length, 100);
  for (let cut = 1; cut < 5_000; cut += 37) {
    const torn = readLogFile(bytes.subarray(0, bytes.length - cut));
    t.equal(torn.isDamaged, false, `cut ${cut}`);
    const zeros = readLogFile(Buffer.concat([bytes.subarray(0, bytes.length - cut)], bytes.length));
    t.equal(zeros.isDamaged, false, `zeros ${cut}`);
  }
  const middle = Buffer.from(bytes);
  middle[bytes.length >> 1] = (middle[bytes.length >> 1] ?? 0) ^ 1;
  t.match(readLogFile(middle), { isDamaged: true, isTorn: false });
  t.equal(readLogFile(middle).records.length, 99, "only one record is lost");
  writeFileSync(log, middle);
  t.match(whyOpenedFilesAreDamaged(folder), /is damaged/);
});

await test("the checksum is CRC-32C", (t) => {
  // RFC 3720 §B.4: 32 zeros have 8a9136aa; LevelDB rotates it and adds a constant.
  const unmask = (masked: number): number => {
    const rotated = (masked - 0xa282ead8) >>> 0;
    return ((rotated >>> 17) | (rotated << 15)) >>> 0;
  };
  t.equal(unmask(maskedCrc(Buffer.alloc(32), 0, 32)), 0x8a9136aa);
  t.equal(unmask(maskedCrc(Buffer.alloc(40, 0xff), 4, 36)), 0x62a8ab43);
  t.equal(unmask(maskedCrc(Buffer.from("123456789"), 0, 9)), 0xe3069283);
  t.end();
});

await test("bytes that are no Snappy block are refused, never read past", (t) => {
  t.same(uncompress(Buffer.from([3, 2 << 2, 97, 98, 99])), Buffer.from("abc"));
  // Four of "a": one literal, then a copy of three that overlaps itself.
  t.same(uncompress(Buffer.from([5, 0, 97, 1, 1])), Buffer.from("aaaaa"));
  const refused = [[], [3], [3, 0, 97], [3, 2 << 2, 97], [4, 0, 97, 1, 0], [4, 0, 97, 1, 2]];
  for (const bytes of refused) t.equal(uncompress(Buffer.from(bytes)), undefined, String(bytes));
  const dice = makeDice(6);
  for (let round = 0; round < 2_000; round += 1) {
    uncompress(Buffer.from(Array.from({ length: dice.below(40) }, () => dice.below(256))));
  }
  t.end();
});
