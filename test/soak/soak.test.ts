import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { test, type Test } from "tap";
import type { Remains, Sample, Verdict } from "./verdict.ts";

const SOAK = fileURLToPath(new URL("./main.js", import.meta.url));
const SEED = 4711;

type Started = { readonly event: "started"; readonly seed: number; readonly pid: number };
type Sampled = Sample & { readonly event: "sample" };
type Judged = Verdict & { readonly event: "verdict"; readonly remains: Remains };
type Line = Started | Sampled | Judged;

type Pids = { readonly soak: number; readonly gateway: number };

/** Runs it to its end. */
async function runSoak(
  t: Test,
  args: readonly string[],
  onFirstSample: (pids: Pids) => void = () => undefined,
) {
  const folder = mkdtempSync(join(tmpdir(), "sluice-soak-test-"));
  const child = spawn(process.execPath, [SOAK, ...args], {
    env: { PATH: process.env["PATH"], TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  t.teardown(() => {
    child.kill("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  });
  let stderr = "";
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const said: string[] = [];
  const samples = (): number => said.filter((line) => line.includes('"event":"sample"')).length;
  createInterface({ input: child.stdout }).on("line", (line) => {
    const before = samples();
    said.push(line);
    if (before > 0 || samples() === 0) return;
    const { pid: gateway } = JSON.parse(said[0] ?? "") as Started;
    onFirstSample({ soak: child.pid ?? -1, gateway });
  });
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stderr, said, left: readdirSync(folder) };
}

const isRunning = (pid: number): boolean => existsSync(`/proc/${pid}`);

await test("a short run tells what it sees, and leaves nothing behind", async (t) => {
  const args = ["--minutes", "0.08", "--every", "1", "--seed", String(SEED), "--json"];
  const { code, stderr, said, left } = await runSoak(t, args);
  const [started, ...others] = said.map((line) => JSON.parse(line) as Line);
  const verdict = others.pop();
  if (started?.event !== "started" || verdict?.event !== "verdict") {
    throw new Error(`it said:\n${said.join("\n")}${stderr}`);
  }
  t.same(verdict.remains, {
    ...{ socketsLeft: 0, connectionsLeft: 0, sessionsLeft: 0, thingsLeft: 0 },
    ...{ complaints: [], exitCode: 0 },
  });
  t.same({ code, stderr, left }, { code: 0, stderr: "", left: [] }, "its store is gone, too");
  t.equal(started.seed, SEED);
  t.notOk(isRunning(started.pid), "its gateway has ended");
  const samples = others as Sampled[];
  t.ok(samples.length >= 2, "it looks every second");
  for (const { event, ...numbers } of samples) {
    t.equal(event, "sample");
    for (const [name, value] of Object.entries(numbers)) t.ok(value > 0, `${name} is ${value}`);
  }
  const [first, last] = [samples[0], samples.at(-1)];
  for (const name of ["written", "delivered", "batches", "changes"] as const) {
    t.ok((last?.[name] ?? 0) > (first?.[name] ?? 0), `${name} goes on`);
  }
});

await test("it stops in order on SIGINT, and says what it saw", async (t) => {
  const args = ["--minutes", "60", "--every", "1", "--seed", String(SEED), "--json"];
  const { code, stderr, said, left } = await runSoak(t, args, ({ soak }) =>
    process.kill(soak, "SIGINT"),
  );
  t.same({ code, stderr, left }, { code: 0, stderr: "", left: [] });
  const lines = said.map((line) => JSON.parse(line) as Line);
  t.equal(lines.at(-1)?.event, "verdict");
  const [started] = lines as [Started];
  t.notOk(isRunning(started.pid), "its gateway has ended");
});

await test("a gateway that ends under load is a failure", async (t) => {
  const args = ["--minutes", "60", "--every", "1", "--seed", String(SEED), "--json"];
  const { code, stderr, left } = await runSoak(t, args, ({ gateway }) =>
    process.kill(gateway, "SIGKILL"),
  );
  t.same({ code, stderr, left }, { code: 1, stderr: "the gateway ended under load\n", left: [] });
});

await test("a gateway that leaks sockets is noticed, even in a short run", async (t) => {
  const args = ["--minutes", "0.02", "--every", "0.5", "--seed", String(SEED), "--leak", "sockets"];
  const { code, stderr, said } = await runSoak(t, args);
  t.same({ code, stderr }, { code: 1, stderr: "" });
  t.match(said.join("\n"), /^sockets left over +\d+ +bound +0 +exceeded$/m);
  t.equal(said.at(-1), "EXCEEDED");
});

await test("it says how it is used", async (t) => {
  const bad = [["--minute", "3"], ["--minutes", "0"], ["--seed", "x"], ["--leak", "time"], ["3"]];
  for (const args of bad) {
    const { code, stderr, said } = await runSoak(t, args);
    t.match({ code, said, stderr }, { code: 64, said: [], stderr: /^Usage: npm run soak/ });
  }
});
