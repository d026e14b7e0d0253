import { t as file, test, type Test } from "tap";
import type { IClientOptions } from "mqtt";
import { raw as bytes } from "../mqtt/packets.ts";
import { Client } from "./client.ts";
import { RawClient } from "./raw-client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
const login = await site.makeCredential([
  { entity: "things", id: ["boiler"] },
  { entity: "topics", patterns: [{ pub: "line1/#", sub: "line1/#" }] },
]);
const MODE = "status/A/things/boiler/properties/mode";
const GRACE_MS = 60_000;

type Will = NonNullable<IClientOptions["will"]>;

function will(topic: string, payload: object | string, more: Partial<Will> = {}): IClientOptions {
  const text = typeof payload === "string" ? payload : JSON.stringify(payload);
  return { will: { topic, payload: Buffer.from(text), qos: 1, retain: false, ...more } };
}

const offline = will("set/A/things/boiler/properties/mode", { mode: "off" });

async function modeNow(): Promise<unknown> {
  return (await site.did("GET", "/A/things/boiler/properties/mode")).json;
}

async function setOn(): Promise<void> {
  await site.did("PUT", "/A/things/boiler/properties/mode", { mode: "on" });
}

/** Someone who hears the mode and line 1, with nothing left to read. */
async function watcher(t: Test): Promise<Client> {
  const client = await Client.connect(t, site, login);
  await client.subscribe([MODE, "line1/#", "status/A/things/boiler/errors"]);
  await client.take();
  return client;
}

/** The broker has seen that the connection is gone: it closed before this request was made. */
async function settle(): Promise<void> {
  await site.did("GET", "/gateway");
}

await test("a connection that is cut leaves its will: a set is applied as any other", async (t) => {
  await setOn();
  const watching = await watcher(t);
  const device = await Client.connect(t, site, login, offline);
  await device.cut();
  t.match(await watching.next(1), [{ topic: MODE, text: '{"mode":"off"}' }]);
  t.same(await modeNow(), { mode: "off" });
  const history = await site.did("GET", "/A/things/boiler/properties-history/mode?limit=1");
  t.match(history.json, { data: [{ properties: { mode: "off" } }] });
});

await test("DISCONNECT takes the will back", async (t) => {
  await setOn();
  const watching = await watcher(t);
  const device = await Client.connect(t, site, login, offline);
  await device.end();
  await settle();
  t.same(await watching.take(), []);
  t.same(await modeNow(), { mode: "on" });
});

for (const [what, end] of [
  ["a protocol error", (client: RawClient) => client.send(bytes("c1 00"))],
  ["a second CONNECT", (client: RawClient) => client.send(bytes("10 00"))],
] as const) {
  await test(`${what} publishes the will`, async (t) => {
    await setOn();
    const watching = await watcher(t);
    const client = await RawClient.open(t, site);
    client.send({
      ...{ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0 },
      ...{ clientId: "bad", username: login.username, password: Buffer.from(login.password) },
      ...(offline as { will: { topic: string; payload: Buffer; qos: 1; retain: boolean } }),
    });
    t.match(await client.next(), { cmd: "connack", returnCode: 0 });
    end(client);
    t.same(await client.untilClosed(), []);
    t.match(await watching.next(1), [{ text: '{"mode":"off"}' }]);
  });
}

await test("keep alive that ran out publishes the will", async (t) => {
  await setOn();
  const watching = await watcher(t);
  const device = await Client.connect(t, site, login, { ...offline, keepalive: 600 });
  await device.fence(); // The gateway listens: CONNECT is done with.
  site.clock.advance(901_000);
  await device.untilClosed();
  t.match(await watching.next(1), [{ text: '{"mode":"off"}' }]);
});

await test("a takeover publishes the will of the connection before, and not that of the new one", async (t) => {
  const watching = await watcher(t);
  const as = (text: string) => ({ clientId: "taken", ...will("line1/will", text) });
  const first = await Client.connect(t, site, login, as("first"));
  const second = await Client.connect(t, site, login, as("second"));
  await first.untilClosed();
  t.same(await watching.takeTexts(), ["line1/will first"]);
  await second.end();
  t.same(await watching.takeTexts(), []);
});

await test("a CONNECT without a will takes the place of one with a will", async (t) => {
  const watching = await watcher(t);
  const options = { clientId: "changed", clean: false };
  const first = await Client.connect(t, site, login, { ...options, ...will("line1/will", "old") });
  await first.end();
  const second = await Client.connect(t, site, login, options);
  await second.cut();
  await settle();
  t.same(await watching.takeTexts(), []);
});

await test("a will on a free topic goes with its QoS and retain flag", async (t) => {
  for (const qos of [0, 1, 2] as const) {
    const watching = await Client.connect(t, site, login);
    await watching.subscribe(`line1/gone/${qos}`, 2);
    const options = will(`line1/gone/${qos}`, "gone", { qos, retain: true });
    await (await Client.connect(t, site, login, options)).cut();
    t.match(await watching.next(1), [{ text: "gone", qos, retain: false }]);
    const later = await Client.connect(t, site, login);
    await later.subscribe(`line1/gone/${qos}`);
    t.match(await later.take(), [{ text: "gone", retain: true }]);
  }
});

await test("a will whose payload is refused is told on errors, and the gateway goes on", async (t) => {
  const watching = await watcher(t);
  const bad = will("set/A/things/boiler/properties/mode", { mode: "sideways" });
  await (await Client.connect(t, site, login, bad)).cut();
  t.match(JSON.parse((await watching.next(1))[0]?.text ?? ""), { code: "schema-violation" });
});

await test("a clean stop publishes no will, and neither does the start after it", async (t) => {
  await setOn();
  const device = await Client.connect(t, site, login, { ...offline, clientId: "stopped" });
  await site.restart();
  await device.untilClosed();
  const watching = await watcher(t);
  site.clock.advance(GRACE_MS + 1_000);
  t.same(await watching.take(), []);
  t.same(await modeNow(), { mode: "on" });
});

await test("after a crash the will of a client that is not back in time is published, once", async (t) => {
  await setOn();
  const here = { clientId: "here", ...will("line1/here", "gone") };
  await Client.connect(t, site, login, { ...offline, clientId: "away" });
  await Client.connect(t, site, login, here);
  await site.crash();
  const watching = await watcher(t);
  const back = await Client.connect(t, site, login, here);
  site.clock.advance(GRACE_MS - 1_000);
  t.same(await watching.take(), [], "not before its time");
  site.clock.advance(2_000);
  t.match(await watching.take(), [{ topic: MODE, text: '{"mode":"off"}' }]);
  t.same(await modeNow(), { mode: "off" });
  await setOn();
  await watching.take();
  site.clock.advance(GRACE_MS);
  await site.crash();
  const later = await watcher(t);
  site.clock.advance(2 * GRACE_MS);
  t.same(await later.takeTexts(), ["line1/here gone"], "only of who was there at this crash");
  t.same(await modeNow(), { mode: "on" });
  await back.untilClosed();
});

await test("a crash within the time does not lose a will", async (t) => {
  await setOn();
  await Client.connect(t, site, login, { ...offline, clientId: "twice" });
  await site.crash();
  site.clock.advance(GRACE_MS / 2);
  await site.crash();
  const watching = await watcher(t);
  site.clock.advance(GRACE_MS + 1_000);
  t.match(await watching.take(), [{ topic: MODE, text: '{"mode":"off"}' }]);
});

await test("after a crash the will of a credential that was deleted meanwhile is not published", async (t) => {
  await setOn();
  const brief = await site.makeDevice("boiler");
  await Client.connect(t, site, brief, { ...offline, clientId: "deleted" });
  await site.crash();
  await site.did("DELETE", `/A/mqtt/${brief.ulid}`);
  const watching = await watcher(t);
  site.clock.advance(GRACE_MS + 1_000);
  t.same(await watching.take(), []);
});

await test("a step of the wall clock publishes no will of a live client", async (t) => {
  const watching = await watcher(t);
  const device = await Client.connect(t, site, login, offline);
  site.clock.wall += 10 * 365 * 86_400_000;
  site.clock.advance(1_000);
  t.same(await watching.take(), []);
  await device.end();
  site.clock.wall -= 10 * 365 * 86_400_000;
});
