import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "tap";
import type { Test } from "tap";
import { EXIT } from "../../src/start-error.ts";
import { needs } from "./programs.ts";

const UNIT = readFileSync("systemd/sluice.service", "utf8");

/** The unit in a folder of its own, as systemd would find it; its path. */
function unitFile(t: Test, text: string): string {
  const directory = mkdtempSync(join(tmpdir(), "sluice-unit-"));
  t.teardown(() => rmSync(directory, { recursive: true }));
  const file = join(directory, "sluice.service");
  writeFileSync(file, text);
  return file;
}

function analyze(...args: readonly string[]): { readonly code: number; readonly output: string } {
  const { status, stdout, stderr } = spawnSync("systemd-analyze", args, { encoding: "utf8" });
  return { code: status ?? -1, output: `${stdout}${stderr}` };
}

/** What is said of our unit: `verify` also reads, and judges, the machine's own units it names. */
function complaints(output: string): readonly string[] {
  return output.split("\n").filter((line) => line.includes("sluice"));
}

const real = needs("systemd-analyze");

await test("systemd finds nothing wrong with the unit", real, (t) => {
  // Node lies elsewhere on the machine of a developer; install.sh writes the place it found.
  const text = UNIT.replace("/usr/bin/node", process.execPath);
  const verified = analyze("verify", unitFile(t, text));
  t.equal(verified.code, 0, verified.output);
  t.same(complaints(verified.output), []);
  const planted = analyze("verify", unitFile(t, text.replace("Type=notify", "Type=notfy")));
  t.match(complaints(planted.output), [/notfy/], "a fault would be seen");
  t.end();
});

await test("the sandbox of the unit scores 1.7 or better", real, (t) => {
  const security = ["security", "--offline=true"];
  const scored = analyze(...security, "--threshold=17", unitFile(t, UNIT));
  t.equal(scored.code, 0, /Overall exposure.*/.exec(scored.output)?.[0] ?? scored.output);
  const open = unitFile(t, UNIT.replace(/^SystemCallFilter=.*$/gm, ""));
  t.not(analyze(...security, "--threshold=17", open).code, 0, "a wider sandbox would be seen");
  t.end();
});

await test("the unit is not restarted into a fault that only a person can mend", (t) => {
  t.match(UNIT, `RestartPreventExitStatus=${String(EXIT.usage)} ${String(EXIT.configuration)}\n`);
  t.end();
});

await test("a stop is asked of the gateway alone, and not of the child that tells systemd of it", (t) => {
  t.match(UNIT, /^KillMode=mixed$/m);
  t.end();
});

await test("the unit leaves V8 able to compile, and waits for no network", (t) => {
  t.notMatch(UNIT, /^MemoryDenyWriteExecute=/m);
  t.notMatch(UNIT, /^Requires=/m);
  t.end();
});
