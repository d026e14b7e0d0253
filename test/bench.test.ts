import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "tap";

const MAIN = fileURLToPath(new URL("../bench/main.js", import.meta.url));

type Ended = { readonly code: unknown; readonly stdout: string; readonly stderr: string };

async function runBench(args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [unknown];
  return { code, stdout, stderr };
}

await test("the bench measures a row against real processes and writes what it found", async (t) => {
  const out = join(t.testdir({}), "results");
  const rounds = ["--rounds", "1", "--seconds", "0.5"];
  const ended = await runBench(["--only", "plain", ...rounds, "--json", "--out", out]);
  t.equal(ended.code, 0, ended.stderr);
  const results = JSON.parse(ended.stdout) as {
    readonly rows: Record<string, { readonly spread?: { readonly median: number } }>;
    readonly details: Record<string, readonly Record<string, unknown>[]>;
  };
  t.same(Object.keys(results.rows), ["plain/aedes", "plain/aedes-pairs"]);
  for (const row of Object.values(results.rows)) t.ok(Number(row.spread?.median) > 0);
  const ours = results.details["plain"]?.filter(({ who }) => String(who).startsWith("sluice"));
  t.match(ours, [
    { who: "sluice, 50 to 1", "lost, reordered, twice": "0, 0, 0" },
    { who: "sluice, 50 pairs", "lost, reordered, twice": "0, 0, 0" },
  ]);
  t.match(readFileSync(join(out, "RESULTS.md"), "utf8"), "## Where the time goes");
  t.ok(existsSync(join(out, "results.json")));
});

await test("the bench refuses arguments it does not know", async (t) => {
  for (const args of [["--only", "speed"], ["--rounds", "0"], ["--seconds", "no"], ["--fast"]]) {
    const ended = await runBench(args);
    t.equal(ended.code, 64, args.join(" "));
    t.match(ended.stderr, "Usage: npm run bench");
  }
});
