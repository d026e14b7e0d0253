import { t as file, test } from "tap";
import { Client } from "./client.ts";
import { Site, type Login, type Reply } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
const login = await site.makeCredential([
  { entity: "things", id: ["boiler"], definition: true },
  { entity: "data", id: ["boiler"] },
]);
const device = await Client.connect(file, site, login);
await device.subscribe(["status/A/things/boiler/#", "status/A/things/boiler", "A/data/boiler"]);
const SET = "set/A/things/boiler";
const STATUS = "status/A/things/boiler";
const THING = "/A/things/boiler";

function basic({ username, password }: Login): Readonly<Record<string, string>> {
  return { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}` };
}

async function etag(path: string): Promise<string> {
  return (await site.did("GET", path)).headers.get("etag") ?? "none";
}

async function newest(path: string): Promise<unknown> {
  const { json } = (await site.did("GET", `${path}?limit=1`)) as { json: { data: unknown[] } };
  return json.data[0];
}

await test("a PUT appears on status, and a PUBLISH in GET", async (t) => {
  await site.did("PUT", `${THING}/properties/target`, { target: 11 });
  t.same(await device.takeJson(), [[`${STATUS}/properties/target`, { target: 11 }]]);
  await site.did("PUT", `${THING}/properties`, { target: 12, mode: "auto" });
  t.same(await device.takeJson(), [
    [`${STATUS}/properties/target`, { target: 12 }],
    [`${STATUS}/properties/mode`, { mode: "auto" }],
  ]);
  await device.publish(`${SET}/properties/temperature`, { temperature: 50 });
  t.same((await site.did("GET", `${THING}/properties/temperature`)).json, { temperature: 50 });
  t.same((await site.did("GET", `${THING}/properties`)).json, {
    target: 12,
    mode: "auto",
    temperature: 50,
  });
  await device.take();
});

await test("history and ETags move with both protocols", async (t) => {
  const path = `${THING}/properties/target`;
  const seen = new Set<string>();
  let target = 20;
  for (const write of [
    async () => site.did("PUT", path, { target: (target += 1) }),
    async () => device.publish(`${SET}/properties/target`, { target: (target += 1) }),
    async () => device.publish(`${SET}/properties`, { target: (target += 1) }),
  ]) {
    site.clock.advance(1_000);
    const before = await etag(path);
    await write();
    const after = await etag(path);
    t.not(after, before);
    seen.add(after);
    t.match(await newest(`${THING}/properties-history/target`), { properties: { target } });
    const stale = await site.call("PUT", path, {
      json: { target: 1 },
      headers: { "if-match": before },
    });
    t.equal(stale.status, 412, "a change by either protocol is a change");
  }
  t.equal(seen.size, 3);
  await device.take();
});

await test("an action requested over HTTP reaches the device, and its report completes the resource", async (t) => {
  const posted = await site.did("POST", `${THING}/actions/purge`, {
    purge: { input: { seconds: 2 } },
  });
  const href = posted.headers.get("location") ?? "";
  t.equal(posted.status, 201);
  t.strictSame(await device.takeJson(), [[`${STATUS}/actions/purge`, posted.json]]);
  const first = await etag(href);
  await device.publish(`${SET}/actions/purge`, { purge: { href, status: "running" } });
  t.match((await site.did("GET", href)).json, { purge: { status: "running" } });
  const second = await etag(href);
  await device.publish(`${SET}/actions/purge`, { purge: { href, status: "completed", output: 3 } });
  const done = await site.did("GET", href);
  t.match(done.json, { purge: { status: "completed", output: 3, timeCompleted: String } });
  t.equal(new Set([first, second, done.headers.get("etag")]).size, 3);
  const told = await device.takeJson();
  t.equal(told.length, 2);
  t.strictSame(told[1], [`${STATUS}/actions/purge`, done.json], "both protocols say the same");
});

await test("an action requested by MQTT is completed over HTTP", async (t) => {
  await device.publish(`${SET}/actions/reset`, { reset: {} });
  const [[, pending] = []] = await device.takeJson();
  const { href } = (pending as { reset: { href: string } }).reset;
  const report = await site.did("PUT", href, {
    reset: { status: "failed", error: { title: "no" } },
  });
  t.strictSame(await device.takeJson(), [[`${STATUS}/actions/reset`, report.json]]);
});

await test("an event and an object of raw data are the same over both protocols", async (t) => {
  const event = await site.did("POST", `${THING}/events/alarm`, { alarm: { data: "hot" } });
  t.strictSame(await device.takeJson(), [[`${STATUS}/events/alarm`, event.json]]);
  await device.publish(`${SET}/events/alarm`, { alarm: { data: "hotter" } });
  t.match(await newest(`${THING}/events/alarm`), { alarm: { data: "hotter" } });
  await device.take();
  await site.did("POST", "/A/data/boiler", { x: 1 });
  t.strictSame(await device.takeJson(), [["A/data/boiler", { x: 1 }]]);
  await device.publish("A/data/boiler", { x: 2 });
  t.match(JSON.stringify(await newest("/A/data/boiler")), '"x":2');
  await device.take();
});

await test("a Thing Description is the same over both protocols, and its ETag moves with both", async (t) => {
  const first = await etag(THING);
  const patched = await site.call("PATCH", THING, {
    json: { title: "By HTTP" },
    headers: { "content-type": "application/merge-patch+json" },
  });
  t.equal(patched.status, 200);
  t.strictSame(await device.takeJson(), [[STATUS, patched.json]]);
  const second = await etag(THING);
  await device.publish(SET, { title: "By MQTT" });
  const shown = await site.did("GET", THING);
  t.strictSame(await device.takeJson(), [[STATUS, shown.json]]);
  t.equal(new Set([first, second, shown.headers.get("etag")]).size, 3);
});

await test("a property deleted over HTTP is refused by MQTT from then on, and retained no more", async (t) => {
  await device.publish(`${SET}/properties/loose`, { loose: 1 });
  t.equal((await site.did("DELETE", `${THING}/properties/loose`)).status, 204);
  await device.take();
  await device.publish(`${SET}/properties/loose`, { loose: 2 });
  t.match(await device.takeJson(), [[`${STATUS}/errors`, { code: "unknown-affordance" }]]);
  const later = await Client.connect(t, site, login);
  await later.subscribe(`${STATUS}/properties/loose`);
  t.same(await later.take(), []);
});

await test("one credential serves a device over both protocols, with the same rights", async (t) => {
  const put = async (path: string, json: unknown, as: Login): Promise<Reply> =>
    site.call("PUT", path, { json, headers: basic(as) });
  t.equal((await put(`${THING}/properties/temperature`, { temperature: 70 }, login)).status, 200);
  t.same(await device.takeJson(), [[`${STATUS}/properties/temperature`, { temperature: 70 }]]);
  const consumer = await site.makeCredential([
    { entity: "things", id: ["boiler"], role: "consumer" },
  ]);
  t.match(await put(`${THING}/properties/temperature`, { temperature: 1 }, consumer), {
    status: 403,
    json: { code: "read-only" },
  });
  t.equal((await put(`${THING}/properties/target`, { target: 1 }, consumer)).status, 200);
  await device.take();
});

await test("a Thing deleted over HTTP is gone for MQTT at once", async (t) => {
  const installer = await Client.connect(
    t,
    site,
    await site.makeCredential([{ entity: "things", id: ["*"] }]),
  );
  await site.makeThing("brief", BOILER);
  await installer.publish("set/A/things/brief/properties/target", { target: 1 });
  await site.did("DELETE", "/A/things/brief");
  await installer.publish("set/A/things/brief/properties/target", { target: 2 });
  await installer.subscribe("status/A/things/brief/properties/#");
  t.same(await installer.take(), []);
  await site.makeThing("brief", BOILER);
  await installer.subscribe("status/A/things/brief/properties/#");
  t.same(await installer.take(), [], "a new Thing of that id has no values of the old one");
});

await test("what both protocols write at once comes to one order, the same for all", async (t) => {
  const other = await Client.connect(t, site, login);
  await other.subscribe(`${STATUS}/properties/anything`);
  await other.take();
  await device.take();
  await Promise.all(
    Array.from({ length: 40 }, async (_, index) =>
      index % 2 === 0
        ? site.did("PUT", `${THING}/properties/anything`, { anything: index })
        : device.publish(`${SET}/properties/anything`, { anything: index }),
    ),
  );
  const seen = (await device.takeTexts()).filter((text) => text.includes("anything"));
  t.equal(seen.length, 40);
  t.strictSame(await other.takeTexts(), seen);
  const state = (await site.did("GET", `${THING}/properties/anything`)).json as object;
  t.equal(`${STATUS}/properties/anything ${JSON.stringify(state)}`, seen.at(-1));
  const history = await site.did("GET", `${THING}/properties-history/anything?limit=40`);
  t.strictSame(
    (history.json as { data: { properties: object }[] }).data
      .map(({ properties }) => `${STATUS}/properties/anything ${JSON.stringify(properties)}`)
      .reverse(),
    seen,
  );
});
