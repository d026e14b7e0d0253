import { t as file, test, type Test } from "tap";
import { Client } from "./client.ts";
import { RawClient } from "./raw-client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file, { SLUICE_LIMITS__SESSION_QUEUE_MESSAGES: "4" });
await site.makeThing("boiler", BOILER);
const login = await site.makeDevice("boiler");
const ROOT = "status/A/things/boiler";

async function away(t: Test, clientId: string, filters: readonly string[]): Promise<void> {
  const client = await Client.connect(t, site, login, { clientId, clean: false });
  await client.subscribe(filters);
  await client.take();
  await client.end();
}

async function back(t: Test, clientId: string): Promise<Client> {
  return Client.connect(t, site, login, { clientId, clean: false });
}

async function emit(data: string): Promise<void> {
  await site.did("POST", "/A/things/boiler/events/alarm", { alarm: { data } });
}

async function set(values: object): Promise<void> {
  await site.did("PUT", "/A/things/boiler/properties", values);
}

async function dropped(): Promise<Readonly<Record<string, number>>> {
  const reply = await site.did("GET", "/gateway");
  return (reply.json as { broker: { dropped: Record<string, number> } }).broker.dropped;
}

await test("past its bound a session keeps the latest value of each property", async (t) => {
  await away(t, "values", [`${ROOT}/properties/#`]);
  for (let target = 1; target <= 20; target += 1) await set({ target, mode: "on" });
  const client = await back(t, "values");
  const latest = new Map((await client.take()).map(({ topic, text }) => [topic, text]));
  t.same(Object.fromEntries(latest), {
    [`${ROOT}/properties/target`]: '{"target":20}',
    [`${ROOT}/properties/mode`]: '{"mode":"on"}',
  });
  t.ok(((await dropped())["superseded"] ?? 0) > 0, "and what went is counted");
  await client.end();
});

await test("past its bound other messages are refused newest first, and counted", async (t) => {
  await away(t, "events", [`${ROOT}/events/#`]);
  const before = (await dropped())["queue-full"] ?? 0;
  for (const data of ["1", "2", "3", "4", "5", "6"]) await emit(data);
  t.equal(((await dropped())["queue-full"] ?? 0) - before, 2);
  await site.restart();
  const client = await back(t, "events");
  t.match(
    (await client.takeJson()).map(([, value]) => value),
    ["1", "2", "3", "4"].map((data) => ({ alarm: { data } })),
  );
  await emit("7");
  t.match(await client.takeJson(), [[`${ROOT}/events/alarm`, { alarm: { data: "7" } }]]);
  await client.end();
});

await test("a queued action request that is lost so fails with queue-full, though others watch", async (t) => {
  await away(t, "actuator", [`${ROOT}/actions/#`, `${ROOT}/events/#`]);
  const consumer = await Client.connect(
    t,
    site,
    await site.makeCredential([{ entity: "things", id: ["boiler"], role: "consumer" }]),
  );
  await consumer.subscribe(`${ROOT}/actions/#`);
  for (const data of ["1", "2", "3"]) await emit(data);
  const request = async (status: string): Promise<string> => {
    const reply = await site.did("POST", "/A/things/boiler/actions/reset", { reset: {} });
    t.match(reply.json, { reset: { status } }, "whoever requested it sees at once");
    return reply.headers.get("location") ?? "";
  };
  const held = await request("pending");
  const lost = await request("failed");
  t.match((await site.did("GET", held)).json, { reset: { status: "pending" } });
  t.match((await site.did("GET", lost)).json, {
    reset: { status: "failed", error: { type: "/problems/queue-full" }, timeCompleted: String },
  });
  t.match(
    (await consumer.takeJson()).map(([, value]) => (value as { reset: object }).reset),
    [
      { href: held, status: "pending" },
      { href: lost, status: "failed" },
    ],
  );
  const device = await back(t, "actuator");
  const hrefs = (await device.takeJson()).flatMap(([, value]) => {
    return "reset" in (value as object) ? [(value as { reset: { href: string } }).reset.href] : [];
  });
  t.same(hrefs, [held]);
  await device.end();
  await Client.connect(t, site, login, { clientId: "actuator", clean: true });
});

await test("a request waits for a device that is away, and one that expires is never delivered", async (t) => {
  await away(t, "late", [`${ROOT}/actions/#`]);
  const post = async (timeout: number): Promise<string> => {
    const body = { reset: { timeout } };
    const reply = await site.did("POST", "/A/things/boiler/actions/reset", body);
    return reply.headers.get("location") ?? "";
  };
  const short = await post(10);
  const long = await post(1_000);
  site.clock.advance(11_000);
  const device = await back(t, "late");
  const seen = (await device.takeJson()).map(([, value]) => {
    return (value as { reset: { href: string; status: string } }).reset;
  });
  t.match(seen, [
    { href: long, status: "pending" },
    { href: short, status: "expired" },
  ]);
  t.equal(seen.length, 2);
  await device.end();
});

await test("a request that expires while it is in flight is not sent again", async (t) => {
  const options = { clientId: "flight", clean: false };
  const device = await RawClient.connect(t, site, login, options);
  const topic = `${ROOT}/actions/#`;
  device.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic, qos: 1 }] });
  t.match(await device.next(), { cmd: "suback" });
  await site.did("POST", "/A/things/boiler/actions/reset", { reset: { timeout: 10 } });
  t.match(await device.next(), { cmd: "publish", payload: /pending/ });
  await device.cut();
  site.clock.advance(9_000);
  const early = await RawClient.connect(t, site, login, options);
  t.match(await early.next(), { cmd: "publish", dup: true, payload: /pending/ });
  await early.cut();
  site.clock.advance(2_000);
  const late = await RawClient.connect(t, site, login, options);
  t.match(await late.next(), { cmd: "publish", dup: false, payload: /expired/ });
  await late.cut();
});

await test("a request that was queued before a reboot waits until the clock is known", async (t) => {
  await away(t, "reboot", [`${ROOT}/actions/#`]);
  const body = { reset: { timeout: 3_600 } };
  const kept = (await site.did("POST", "/A/things/boiler/actions/reset", body)).headers;
  await site.did("POST", "/A/things/boiler/actions/reset", { reset: { timeout: 60 } });
  const wall = site.clock.wall;
  await site.stop();
  site.clock.reboot({ wall: wall - 1_000_000, synced: false });
  await site.begin();
  const device = await back(t, "reboot");
  t.same(await device.take(), [], "neither is delivered while nobody knows how old they are");
  site.clock.wall = wall + 600_000;
  site.clock.synced = true;
  site.clock.advance(1_000);
  t.match(
    (await device.takeJson()).map(([, value]) => (value as { reset: object }).reset),
    [{ status: "pending", href: kept.get("location") }, { status: "expired" }],
  );
});
