import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type Test } from "tap";
import { fencedBlocks, outputPattern, sectionOf } from "./documents.ts";
import { needs } from "./systemd/programs.ts";

/** Stands before the output of each block: ASCII's record separator. */
const MARK = "\u001e";

type Step = { readonly commands: string; readonly shown: string };

/** The blocks of commands, each with the output shown after it. */
function stepsOf(section: string): readonly Step[] {
  const blocks = fencedBlocks(section);
  return blocks.flatMap(({ language, text }, index) => {
    if (language !== "sh") return [];
    const next = blocks[index + 1];
    return [{ commands: text, shown: next?.language === "text" ? next.text : "" }];
  });
}

/** Two at once, so that they differ. */
async function freePorts(): Promise<readonly [string, string]> {
  const servers = [createServer(), createServer()];
  const ports = await Promise.all(
    servers.map(async (server) => {
      await once(server.listen(0, "127.0.0.1"), "listening");
      return String((server.address() as AddressInfo).port);
    }),
  );
  await Promise.all(servers.map(async (server) => once(server.close(), "close")));
  const [first = "", second = ""] = ports;
  return [first, second];
}

/** All steps in one shell, which ends at the first command that fails. Its stdout, step by step. */
async function runSteps(t: Test, steps: readonly Step[]) {
  const directory = mkdtempSync(join(tmpdir(), "sluice-readme-"));
  const [mqttPort, httpPort] = await freePorts();
  const script = steps.map(({ commands }) => `printf '\\036'\n${commands}`).join("");
  const child = spawn("bash", ["-c", `set -eu\n${script}`], {
    detached: true, // A process group of its own: what it leaves behind is ended with it.
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      TMPDIR: directory,
      HTTP: `http://127.0.0.1:${httpPort}`,
      MQTT_PORT: mqttPort,
      SLUICE_HTTP__PORT: httpPort,
      SLUICE_MQTT__PORT: mqttPort,
    },
  });
  // A walk cut short leaves its gateway behind.
  const endGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing was left.
    }
  };
  child.once("exit", endGroup);
  t.teardown(() => {
    endGroup();
    rmSync(directory, { recursive: true, force: true });
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, outputs: stdout.split(MARK).slice(1), stderr };
}

await test(
  "the walk in the README does what it says, as it is written",
  needs("bash", "curl", "mosquitto_pub", "mosquitto_sub"),
  async (t) => {
    const steps = stepsOf(sectionOf("README.md", "A walk of five minutes"));
    t.ok(steps.length >= 8, "the walk was found");
    const { code, outputs, stderr } = await runSteps(t, steps);
    t.equal(code, 0, `the last command succeeds\n${stderr}`);
    for (const [index, { commands, shown }] of steps.entries()) {
      const [first = ""] = commands.split("\n");
      t.match(outputs[index] ?? "", outputPattern(shown), `step ${index + 1}: ${first}`);
    }
  },
);

await test("the README names the commands that package.json has", (t) => {
  const readme = readFileSync("README.md", "utf8");
  const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: object };
  const named = Array.from(readme.matchAll(/npm (?:run )?([a-z-]+)/g), ([, name = ""]) => name);
  for (const name of ["start", "test", "demo", "check"]) {
    t.ok(named.includes(name) && name in scripts, `npm ${name}`);
  }
  t.same(
    named.filter((name) => name !== "ci" && !(name in scripts)),
    [],
  );
  const setUps = fencedBlocks(sectionOf("README.md", "Run it, test it")).map(({ text }) => text);
  t.same(setUps, [
    "npm ci --ignore-scripts && npm start\n",
    "npm ci --ignore-scripts && npm test\n",
  ]);
  t.end();
});
