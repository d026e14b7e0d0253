import { connectAsync, type MqttClient } from "mqtt";
import { test, type Test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { within } from "../wire/within.ts";

const TOKEN = "slu_aaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BOILER = {
  properties: { target: { type: "number" }, pin: { type: "string", writeOnly: true } },
  actions: { heat: {} },
  events: { alarm: {} },
};
const RESOURCES = [
  { entity: "things", id: ["*"], definition: true },
  { entity: "data", id: ["*"] },
];

type Credential = { readonly username: string; readonly password: string };
type Site = {
  readonly mqttPort: number;
  readonly credential: Credential;
  readonly call: (method: string, path: string, json?: unknown) => Promise<Record<string, unknown>>;
  readonly client: MqttClient;
  /** The next message on a topic, also one that came before it was asked for. */
  readonly next: (topic: string) => Promise<Record<string, unknown>>;
};

/** A daemon, a credential for all its Things, and a client that hears all they say. */
async function startSite(t: Test, what: string): Promise<Site> {
  const env = { ...daemonEnvironment(t), SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN };
  const { httpPort, mqttPort } = await new Daemon(t, [], env).ready;
  const call: Site["call"] = async (method, path, json) => {
    const response = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${TOKEN}`, "content-type": "application/json" },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
    const text = await response.text();
    t.ok(response.ok, `${what}: ${method} ${path}: ${text}`);
    return (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
  };
  const made = await call("POST", "/site/mqtt", { resources: RESOURCES });
  const credential = made as unknown as Credential;
  const { username, password } = credential;
  const client = await connectAsync(`mqtt://127.0.0.1:${mqttPort}`, { username, password });
  t.teardown(async () => client.endAsync(true));
  const heard: { readonly topic: string; readonly payload: string }[] = [];
  let wake = (): void => undefined;
  client.on("message", (topic, payload) => {
    heard.push({ topic, payload: payload.toString() });
    wake();
  });
  const filters = ["properties", "actions", "events"].map((of) => `status/site/things/+/${of}/#`);
  await client.subscribeAsync([...filters, "status/site/things/+", "site/data/+"], { qos: 1 });
  const next = async (topic: string): Promise<Record<string, unknown>> => {
    for (;;) {
      const index = heard.findIndex((message) => message.topic === topic);
      const [found] = index === -1 ? [] : heard.splice(index, 1);
      if (found !== undefined) return JSON.parse(found.payload) as Record<string, unknown>;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  };
  return {
    mqttPort,
    credential,
    call,
    client,
    next: async (topic) => within(`${what}: ${topic}`, next(topic)),
  };
}

await test("two gateways, one above the other, are one for those who use them", async (t) => {
  const below = await startSite(t, "below");
  const above = await startSite(t, "above");
  const thing = "/site/things/boiler";
  const status = "status/site/things/boiler";
  await below.call("PUT", thing, BOILER);
  await below.call("PUT", `${thing}/properties/target`, { target: 1 });
  await below.call("PUT", "/gateway/uplinks/above", {
    url: `mqtt://127.0.0.1:${above.mqttPort}`,
    shape: "peer",
    protocol: 4,
    ...{ username: above.credential.username, password: above.credential.password },
  });
  t.match(await above.next(status), { id: "boiler", properties: BOILER.properties });
  t.same(await above.next(`${status}/properties/target`), { target: 1 }, "the snapshot");
  t.same(await below.next(`${status}/properties/target`), { target: 1 });

  await below.call("PUT", `${thing}/properties`, { target: 2, pin: "1234" });
  t.same(await above.next(`${status}/properties/target`), { target: 2 });
  t.same(await below.next(`${status}/properties/target`), { target: 2 });
  await below.call("POST", `${thing}/events/alarm`, { alarm: {} });
  t.match(await above.next(`${status}/events/alarm`), { alarm: {} });
  await below.call("POST", "/site/data/boiler", { raw: 1 });
  t.same(await above.next("site/data/boiler"), { raw: 1 });

  await above.call("PUT", `${thing}/properties/target`, { target: 3 });
  t.same(await below.next(`${status}/properties/target`), { target: 3 }, "what is set above");
  await below.call("POST", `${thing}/events/alarm`, { alarm: {} });
  t.match(await above.next(`${status}/events/alarm`), { alarm: {} });
  const history = await above.call("GET", `${thing}/properties-history/target`);
  t.match(history["data"], [{ properties: { target: 3 } }, { properties: { target: 2 } }]);
  t.equal((history["data"] as unknown[]).length, 3, "and is not sent back to where it came from");
  const { heat } = await above.call("POST", `${thing}/actions/heat`, { heat: {} });
  const asked = await below.next(`${status}/actions/heat`);
  t.match(asked, { heat: { status: "pending" } }, "and what is asked for there");
  t.notMatch(asked, { heat }, "as a request of its own");
  t.match(await above.next(`${status}/actions/heat`), { heat: { status: "pending" } });
  const { href } = asked["heat"] as { readonly href: string };
  const report = JSON.stringify({ heat: { href, status: "completed", output: "warm" } });
  await below.client.publishAsync(`set/site/things/boiler/actions/heat`, report, { qos: 1 });
  t.match(await above.next(`${status}/actions/heat`), {
    heat: { href: (heat as { href: string }).href, status: "completed", output: "warm" },
  });

  await below.call("POST", `${thing}/actions/heat`, { heat: {} });
  await below.call("DELETE", thing);
  await below.call("PUT", "/site/things/last", {});
  t.match(await above.next("status/site/things/last"), { id: "last" });
  t.match(await above.call("GET", thing), { id: "boiler" }, "nothing deletes by MQTT");
  const requests = await above.call("GET", `${thing}/actions/heat`);
  t.equal((requests["data"] as unknown[]).length, 1, "what was asked for below is not asked above");
  t.match(await below.call("GET", "/gateway/uplinks/above"), {
    state: "connected",
    drops: [{ cause: "undeliverable", class: "thing", count: 1 }],
  });
});
