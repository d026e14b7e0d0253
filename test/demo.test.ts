import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test, type Test } from "tap";
import type { Summary } from "../demo/summary.ts";

const DEMO = fileURLToPath(new URL("../demo/main.js", import.meta.url));

/** Runs it to its end, or to `signal` once it has said something. */
async function runDemo(t: Test, args: readonly string[], signal?: NodeJS.Signals) {
  const folder = mkdtempSync(join(tmpdir(), "sluice-demo-test-"));
  const child = spawn(process.execPath, [DEMO, ...args], {
    env: { PATH: process.env["PATH"], TMPDIR: folder },
  });
  t.teardown(() => {
    child.kill("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  if (signal !== undefined) child.stdout.once("data", () => child.kill(signal));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr, left: readdirSync(folder) };
}

type Said = { readonly who: string; readonly what: string };

await test("the demo tells what happens, and nothing that was accepted is missing", async (t) => {
  const args = ["--seconds", "3", "--cut-seconds", "3", "--json"];
  const { code, stdout, stderr, left } = await runDemo(t, args);
  t.same({ code, stderr, left }, { code: 0, stderr: "", left: [] }, "its store is gone, too");
  const lines = stdout.trimEnd().split("\n");
  const { summary } = JSON.parse(lines.pop() ?? "") as { summary: Summary };
  const said = lines.map((line) => JSON.parse(line) as Said);
  const happened = (who: string, what: string): void => {
    const has = said.some((each) => each.who === who && each.what.startsWith(what));
    t.ok(has, `${who} ${what}`);
  };
  const waiting = said
    .filter(({ who }) => who === "uplink")
    .map(({ what }) => /^is (\w+): (\d+) changes wait/.exec(what) ?? [])
    .flatMap(([, state, rows]) => (rows === undefined ? [] : [{ state, rows: Number(rows) }]));
  happened("oven", "temperature is ");
  happened("oven", "EVENT overheated: ");
  happened("operator", "sets the conveyor to ");
  happened("conveyor", "actualSpeed is ");
  happened("press", "strokes is ");
  happened("valve", "action move is completed, output 0");
  happened("valve", "loses its line");
  happened("valve", "action move is completed, output 35");
  happened("misfit", "was refused: not-json");
  happened("misfit", "was refused: schema-violation");

  t.equal(summary.missing, 0);
  const codes = ["forbidden", "not-json", "schema-violation", "unknown-affordance"];
  t.same(Object.keys(summary.refused).sort(), [...codes, "unknown-topic"]);
  const refused = Object.values(summary.refused).reduce((sum, count) => sum + count, 0);
  t.equal(summary.published, summary.accepted + refused);
  t.ok(summary.accepted > 20, "the line works");
  const { p50, p99 } = summary.acknowledgementMs;
  t.ok(p50 > 0 && p50 <= p99);

  happened("operator", "PUT /gateway/uplinks/cloud ");
  happened("uplink", "LOSES ITS LINE for 3 s");
  const [first, second] = waiting.filter(({ state }) => state === "connecting");
  t.ok((first?.rows ?? 0) < (second?.rows ?? 0), "the backlog grows while the line is cut");
  t.same(waiting.at(-1), { state: "connected", rows: 0 }, "and drains when it is back");
  t.ok(summary.uplink.deepest >= (second?.rows ?? 0));
  t.equal(summary.uplink.isEqual, true);
  const upstream = Object.entries(summary.uplink.counts);
  const history = Object.entries(summary.history).filter(([, rows]) => rows > 0);
  t.same(upstream.sort(), history.sort(), "upstream has what the history has");
});

await test("the demo ends in order when it is told to", async (t) => {
  const { code, stdout, stderr, left } = await runDemo(t, ["--seconds", "600"], "SIGTERM");
  t.same({ code, stderr, left }, { code: 0, stderr: "", left: [] });
  const [first] = stdout.split("\n");
  t.match(first, /^ {2}0\.\d{3} s {2}gateway {4}is ready: MQTT on \d+, HTTP on \d+$/);
  t.match(stdout, /\n {2}missing {4}0 of what was accepted\n {2}on disk /);
});

await test("the demo says how it is used", async (t) => {
  const cuts = [["--cut-seconds=-1"], ["--cut-seconds", "long"]];
  for (const args of [
    ["--second", "3"],
    ["--seconds", "0"],
    ["--seconds", "soon"],
    ["3"],
    ...cuts,
  ]) {
    const { code, stdout, stderr } = await runDemo(t, args);
    t.match({ code, stdout, stderr }, { code: 64, stdout: "", stderr: /^Usage: npm run demo/ });
  }
});
