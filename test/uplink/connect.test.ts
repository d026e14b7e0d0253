import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectAsync, type MqttClient } from "mqtt";
import { test, type Test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { fencedBlocks } from "../documents.ts";
import { needs } from "../systemd/programs.ts";
import { within } from "../wire/within.ts";
import { startMosquitto, temporaryFolder } from "./brokers.ts";

const TOKEN = "slu_aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BOILER = {
  properties: { target: { type: "number" } },
  actions: { heat: {} },
  events: { alarm: {} },
};
const TARGET = "status/site/things/boiler/properties/target";

type Call = (method: string, path: string, json?: unknown) => Promise<unknown>;

/** The daemon with these uplinks in its file. */
async function startGateway(
  t: Test,
  toml = "",
): Promise<{ readonly daemon: Daemon; readonly call: Call }> {
  const file = join(temporaryFolder(t), "sluice.toml");
  writeFileSync(file, toml);
  const env = { ...daemonEnvironment(t), SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN };
  const daemon = new Daemon(t, ["--config", file], env);
  const { httpPort } = await daemon.ready;
  const call: Call = async (method, path, json) => {
    const response = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${TOKEN}`,
        "content-type": "application/json",
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    const text = await response.text();
    t.ok(response.ok, `${method} ${path}: ${text}`);
    return text === "" ? undefined : (JSON.parse(text) as unknown);
  };
  await call("PUT", "/site/things/boiler", BOILER);
  await call("PUT", "/site/things/boiler/properties/target", { target: 1 });
  return { daemon, call };
}

/** A subscriber upstream; `next` resolves with the next message on a topic, also one that came before. */
async function listen(t: Test, port: number) {
  const client: MqttClient = await connectAsync(`mqtt://127.0.0.1:${port}`, {
    protocolVersion: 5,
  });
  t.teardown(async () => client.endAsync(true));
  const heard: { topic: string; payload: string }[] = [];
  let wake = (): void => undefined;
  client.on("message", (topic, payload) => {
    heard.push({ topic, payload: payload.toString() });
    wake();
  });
  await client.subscribeAsync(["status/#", "site/data/#"], { qos: 1 });
  const next = async (topic: string): Promise<unknown> => {
    for (;;) {
      const index = heard.findIndex((message) => message.topic === topic);
      const [found] = index === -1 ? [] : heard.splice(index, 1);
      if (found !== undefined) return JSON.parse(found.payload === "" ? '""' : found.payload);
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  return {
    client,
    next: async (topic: string) => within(`a message on ${topic}`, next(topic)),
  };
}

/** The documents' own texts, with the port of the broker here. */
function documented(language: string, port: number): string {
  const blocks = fencedBlocks(readFileSync("docs/uplink.md", "utf8"));
  const [block] = blocks.filter((found) => found.language === language);
  return (block?.text ?? "").replace("mqtt://broker.example", `mqtt://127.0.0.1:${port}`);
}

await test("connecting to a stock mosquitto takes one call", needs("mosquitto"), async (t) => {
  const { port } = await startMosquitto(t);
  const { call } = await startGateway(t);
  const upstream = await listen(t, port);
  const shown = documented("sh", port);
  const body = /-d '(\{.*\})'/.exec(shown)?.[1] ?? "";
  const path = /(\/gateway\/uplinks\/\w+)"/.exec(shown)?.[1] ?? "";
  await call("PUT", path, JSON.parse(body));
  t.match(await upstream.next("status/site/things/boiler"), { id: "boiler" }, "the snapshot");
  t.same(await upstream.next(TARGET), { target: 1 });
  await call("PUT", "/site/things/boiler/properties/target", { target: 2 });
  t.same(await upstream.next(TARGET), { target: 2 }, "what happens here");
  const command = JSON.stringify({ target: 3 });
  await upstream.client.publishAsync("set/site/things/boiler/properties/target", command, {
    qos: 1,
  });
  t.same(await upstream.next(TARGET), { target: 3 }, "what is asked for there");
  t.match(await call("GET", path), {
    state: "connected",
    last_error: null,
    depth: { rows: Number },
  });
  t.match(await call("POST", `${path}/test`), {
    ok: true,
    detail: /^connected with MQTT 5/,
  });
  t.match(await call("GET", "/gateway"), {
    uplinks: [{ name: "plant", state: "connected" }],
  });
});

await test("or five lines of the configuration file", needs("mosquitto"), async (t) => {
  const { port } = await startMosquitto(t);
  const lines = documented("toml", port);
  t.ok(lines.trim().split("\n").length <= 5, "they are no more than five");
  const upstream = await listen(t, port);
  const { daemon, call } = await startGateway(t, lines);
  t.same(await upstream.next(TARGET), { target: 1 });
  t.match(await call("GET", "/gateway/uplinks/plant"), {
    origin: "file",
    has_password: true,
  });
  daemon.signal("SIGTERM");
  const { code, stdout } = await daemon.ended;
  t.equal(code, 0);
  t.notMatch(stdout, /"…"/, "no log shows the password");
});

await test(
  "what happens while an uplink is paused is sent when it is resumed",
  needs("mosquitto"),
  async (t) => {
    const { port } = await startMosquitto(t);
    const { call } = await startGateway(t);
    const upstream = await listen(t, port);
    const path = "/gateway/uplinks/plant";
    await call("PUT", path, { url: `mqtt://127.0.0.1:${port}` });
    t.same(await upstream.next(TARGET), { target: 1 });
    t.match(await call("POST", `${path}/pause`), { state: "paused" });
    for (const target of [2, 3, 4]) {
      await call("PUT", "/site/things/boiler/properties/target", { target });
    }
    await call("POST", "/site/things/boiler/events/alarm", { alarm: {} });
    await call("POST", `${path}/resume`);
    for (const target of [2, 3, 4]) t.same(await upstream.next(TARGET), { target });
    t.match(await upstream.next("status/site/things/boiler/events/alarm"), {
      alarm: {},
    });
  },
);

await test("a deletion takes back what upstream retained", needs("mosquitto"), async (t) => {
  const { port } = await startMosquitto(t);
  const { call } = await startGateway(t);
  const upstream = await listen(t, port);
  await call("PUT", "/gateway/uplinks/plant", {
    url: `mqtt://127.0.0.1:${port}`,
  });
  t.same(await upstream.next(TARGET), { target: 1 });
  t.match(await upstream.next("status/site/things/boiler"), { id: "boiler" });
  await call("DELETE", "/site/things/boiler");
  t.equal(await upstream.next("status/site/things/boiler"), "", "the description");
  t.equal(await upstream.next(TARGET), "", "and the value");
  await call("PUT", "/site/things/last", BOILER);
  t.match(await upstream.next("status/site/things/last"), { id: "last" });
  const late = await listen(t, port);
  t.match(await late.next("status/site/things/last"), { id: "last" }, "a late subscriber");
  await upstream.client.publishAsync(TARGET, '"the next"', { qos: 1 });
  t.equal(await late.next(TARGET), "the next", "heard nothing of the other before");
});
