import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "tap";
import { isOver, momentIn, systemClock } from "../src/clock.ts";
import { packageVersion, VERSION_DAY_MS } from "../src/version.ts";
import { ManualClock } from "./store/manual-clock.ts";

const TIMESYNCD = "run/systemd/timesync/here";
const SYNCHRONIZED = "run/systemd/timesync/synchronized";
const HCTOSYS = "sys/class/rtc/rtc0/hctosys";

await test("with auto a time counts as set if somebody set it, or nobody could tell", (t) => {
  const rows: readonly (readonly [files: Readonly<Record<string, string>>, isSet: boolean])[] = [
    [{}, true],
    [{ [TIMESYNCD]: "" }, false],
    [{ [TIMESYNCD]: "", [SYNCHRONIZED]: "" }, true],
    [{ [TIMESYNCD]: "", [HCTOSYS]: "1\n" }, true],
    [{ [TIMESYNCD]: "", [HCTOSYS]: "0\n" }, false],
  ];
  for (const [files, isSet] of rows) {
    const root = mkdtempSync(join(tmpdir(), "sluice-clock-"));
    t.teardown(() => rmSync(root, { recursive: true }));
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
    const what = Object.keys(files).join(", ");
    t.equal(systemClock("auto", root).isSynced(), isSet, what);
    t.equal(systemClock("always", root).isSynced(), true, what);
    t.equal(systemClock("reset", root).isSynced(), true, what);
  }
  t.end();
});

await test("the system's clock has one boot id, and its monotonic time goes on", (t) => {
  const [one, other] = [systemClock(), systemClock()];
  t.match(one.bootId, /^[0-9a-f-]{36}$/);
  t.equal(one.bootId, other.bootId);
  t.ok(other.monotonicMs() >= one.monotonicMs());
  t.equal(systemClock("auto", "/nowhere").bootId, "unknown");
  t.end();
});

await test("an end so long from now is moved by no step, and after a reboot it is the wall time", (t) => {
  const clock = new ManualClock();
  const at = clock.wall + 1_000;
  const moment = momentIn(clock, 1_000);
  for (const step of [1e12, -1e12]) {
    clock.wall += step;
    t.notOk(isOver(clock, at, moment));
    clock.wall -= step;
  }
  clock.advance(999);
  t.notOk(isOver(clock, at, moment));
  clock.advance(1);
  clock.wall -= 1e12;
  t.ok(isOver(clock, at, moment));
  clock.reboot({ wall: at - 1, synced: true });
  t.notOk(isOver(clock, at, moment));
  clock.wall = at;
  t.ok(isOver(clock, at, moment));
  t.ok(isOver(clock, at, undefined), "without a moment it always is");
  t.end();
});

await test("the day of the version is past, and that of its heading in the changelog", (t) => {
  t.ok(VERSION_DAY_MS <= Date.now());
  t.equal(VERSION_DAY_MS % 86_400_000, 0);
  const version = packageVersion().replaceAll(".", "\\.");
  const heading = new RegExp(`^## ${version} - (\\S+)$`, "m");
  const day = heading.exec(readFileSync("CHANGELOG.md", "utf8"))?.[1];
  if (day !== undefined) t.equal(new Date(VERSION_DAY_MS).toISOString().slice(0, 10), day);
  t.end();
});
