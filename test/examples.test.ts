import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { createInterface } from "node:readline";
import { connectAsync } from "mqtt";
import { test, type Test } from "tap";
import { openSite, type Site } from "./site.ts";
import { needs } from "./systemd/programs.ts";

const EXAMPLES = "docs/examples";
const STATION = readFileSync(`${EXAMPLES}/station.json`, "utf8");

type Program = {
  /** The next line of output that has this in it; what came before is passed over. */
  readonly until: (part: string) => Promise<string>;
  readonly end: (signal: NodeJS.Signals) => Promise<void>;
};

/** Runs an example in a process group of its own; all of it is ended with the test. */
function run(t: Test, command: readonly string[], env: NodeJS.ProcessEnv): Program {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env["PATH"], ...env },
  });
  const endGroup = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing was left.
    }
  };
  t.teardown(endGroup);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    until: async (part) => {
      for (;;) {
        const { value, done } = (await lines.next()) as { value: string; done?: boolean };
        if (done === true) throw new Error(`${command.join(" ")} ended before it said ${part}`);
        if (value.includes(part)) return value;
      }
    },
    end: async (signal) => {
      const ended = once(child, "exit");
      child.kill(signal);
      await ended;
    },
  };
}

type Stage = {
  readonly site: Site;
  readonly device: NodeJS.ProcessEnv;
  readonly dashboard: Program;
};

/** A gateway with the Thing of the examples, and the dashboard watching it. */
async function openStage(t: Test): Promise<Stage> {
  const site = await openSite(t);
  await site.call("PUT", "/site/things/station", JSON.parse(STATION));
  await site.call("PUT", "/site/things/station/properties/interval", { interval: 0.05 });
  const environment = async (user: string, resource: object): Promise<NodeJS.ProcessEnv> => {
    const made = await site.makeCredential(user, [{ entity: "things", ...resource }]);
    const MQTT_PORT = String(site.mqttPort);
    return { MQTT_PORT, MQTT_USER: made.username, MQTT_PASSWORD: made.password };
  };
  const device = await environment("station", { id: ["station"] });
  const panel = await environment("panel", { id: ["*"], role: "consumer" });
  const dashboard = run(t, [process.execPath, `${EXAMPLES}/dashboard.mjs`], panel);
  t.match(await dashboard.until("interval"), / station interval is 0\.05 \(present\)$/);
  return { site, device, dashboard };
}

async function identify({ site }: Stage): Promise<string> {
  const body = { identify: { input: { seconds: 0 } } };
  const requested = await site.call("POST", "/site/things/station/actions/identify", body);
  return (requested as { identify: { href: string } }).identify.href;
}

/** What is true of a device in whatever language. */
async function deviceWorks(t: Test, command: readonly string[]): Promise<void> {
  const stage = await openStage(t);
  const { site, device, dashboard } = stage;
  const first = run(t, command, { ...device, EVERY: "0.05" });
  await dashboard.until("event started null");
  await dashboard.until("load is ");
  await dashboard.until("load is ");

  const hrefs = [await identify(stage)];
  for (const status of ["pending", "running", "completed"]) {
    await dashboard.until(`action identify is ${status}`);
  }
  await first.until("here I am, for 0 s");

  await first.end("SIGTERM");
  hrefs.push(await identify(stage));
  await dashboard.until("action identify is pending");
  run(t, command, { ...device, EVERY: "0.05" });
  await dashboard.until("action identify is completed");
  for (const href of hrefs) {
    t.match(await site.call("GET", href), {
      identify: { status: "completed", output: hostname() },
    });
  }
}

await test("the device in JavaScript reports, answers, and misses no request", async (t) => {
  await deviceWorks(t, [process.execPath, `${EXAMPLES}/device.mjs`]);
});

await test(
  "the device in shell reports, answers, and misses no request",
  needs("sh", "mosquitto_pub", "mosquitto_sub"),
  async (t) => deviceWorks(t, ["sh", `${EXAMPLES}/device.sh`]),
);

await test("the dashboard shows refusals", async (t) => {
  const { site, device, dashboard } = await openStage(t);
  const { MQTT_USER: username = "", MQTT_PASSWORD: password = "" } = device;
  const client = await connectAsync({ port: site.mqttPort, username, password });
  t.teardown(async () => client.endAsync(true));
  await client.publishAsync("set/site/things/station/properties/load", '{"load":-1}', { qos: 1 });
  t.match(await dashboard.until("refused"), "station refused: schema-violation: ");
});

/** Runs to its end. */
async function complete(command: readonly string[], env: NodeJS.ProcessEnv) {
  const [program = "", ...args] = command;
  const child = spawn(program, args, { env: { PATH: process.env["PATH"], ...env } });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

await test("fifty devices get a Thing and a credential each", needs("sh", "curl"), async (t) => {
  const site = await openSite(t);
  const command = ["sh", ...["bulk-credentials.sh", "station.json", "devices.csv"].map(inExamples)];
  const env = { HTTP: site.url, TOKEN: site.admin };
  const { code, stdout, stderr } = await complete(command, env);
  t.same({ code, stderr }, { code: 0, stderr: "" });
  const [heading, ...rows] = stdout.trimEnd().split("\n");
  t.equal(heading, "thing,user,password");
  t.equal(rows.length, 50);
  for (const row of [rows[0], rows[49]]) {
    const [thing = "", username = "", password = ""] = (row ?? "").split(",");
    const client = await connectAsync({ port: site.mqttPort, username, password });
    await client.subscribeAsync(`status/site/things/${thing}/#`, { qos: 1 });
    const other = "status/site/things/station-25/#";
    await t.rejects(client.subscribeAsync(other, { qos: 1 }), `${thing} is not station-25`);
    await client.endAsync();
  }
  const again = await complete(command, env);
  t.equal(again.code, 1);
  t.equal(again.stdout, "thing,user,password\n");
  t.equal(again.stderr.match(/"code":"conflict"/g)?.length, 50);
});

function inExamples(name: string): string {
  return `${EXAMPLES}/${name}`;
}
