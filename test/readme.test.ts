import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { test } from "tap";
import { fencedBlocks, outputPattern, sectionOf } from "./documents.ts";
import { needs } from "./systemd/programs.ts";
import { runSteps, stepsOf } from "./walk.ts";

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

await test(
  "the walk in the README does what it says, as it is written",
  needs("bash", "curl", "mosquitto_pub", "mosquitto_sub"),
  async (t) => {
    const steps = stepsOf(sectionOf("README.md", "A walk of five minutes"));
    t.ok(steps.length >= 8, "the walk was found");
    const [mqttPort, httpPort] = await freePorts();
    const { code, outputs, stderr } = await runSteps(t, steps, {
      HTTP: `http://127.0.0.1:${httpPort}`,
      MQTT_PORT: mqttPort,
      SLUICE_HTTP__PORT: httpPort,
      SLUICE_MQTT__PORT: mqttPort,
    });
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
