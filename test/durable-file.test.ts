import { spawnSync } from "node:child_process";
import {
  lstatSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { writeDurably } from "../src/durable-file.ts";

const MODULE = new URL("../src/durable-file.js", import.meta.url).href;

await test("what is written is there whole, and for its owner only", (t) => {
  const folder = t.testdir();
  const path = join(folder, "secret");
  writeFileSync(`${path}.new`, "left by a power cut", { mode: 0o666 });
  writeDurably(path, "first");
  writeDurably(path, "second");
  t.equal(readFileSync(path, "utf8"), "second");
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.same(readdirSync(folder), ["secret"]);
  t.end();
});

await test("a link in the way of the draft leads nowhere", (t) => {
  const folder = t.testdir({ victim: "untouched" });
  const path = join(folder, "secret");
  symlinkSync(join(folder, "victim"), `${path}.new`);
  writeDurably(path, "mine");
  t.equal(readFileSync(join(folder, "victim"), "utf8"), "untouched");
  t.ok(lstatSync(path).isFile());
  t.end();
});

await test("where only a part can be written, what was there before stays", (t) => {
  const path = join(t.testdir({ pair: "the one before" }), "pair");
  const program = `
    import { writeDurably } from ${JSON.stringify(MODULE)};
    writeDurably(${JSON.stringify(path)}, "x".repeat(100_000));`;
  // Files may have 8 blocks of 512 bytes or 1 KiB: the first write is taken in part, the next fails.
  const script = `ulimit -f 8; exec "$0" --input-type=module -e "$1"`;
  const run = spawnSync("sh", ["-c", script, process.execPath, program], { encoding: "utf8" });
  t.match(run.stderr, /EFBIG/);
  t.equal(readFileSync(path, "utf8"), "the one before");
  t.end();
});
