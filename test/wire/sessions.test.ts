import { t as file, test, type Test } from "tap";
import { Client } from "./client.ts";
import { RawClient } from "./raw-client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file, { SLUICE_LIMITS__SESSION_EXPIRY_S: "3600" });
await site.makeThing("boiler", BOILER);
const login = await site.makeCredential([
  { entity: "things", id: ["boiler"] },
  { entity: "topics", patterns: [{ pub: "line1/#", sub: "line1/#" }] },
]);
const EVENTS = "status/A/things/boiler/events/#";
const TARGET = "status/A/things/boiler/properties/target";

async function persistent(t: Test, clientId: string, on = site): Promise<Client> {
  return Client.connect(t, on, login, { clientId, clean: false });
}

/** Events over HTTP: nobody has to be connected. */
async function emit(...data: readonly string[]): Promise<void> {
  for (const each of data) {
    await site.did("POST", "/A/things/boiler/events/alarm", { alarm: { data: each } });
  }
}

async function alarms(client: Client): Promise<readonly unknown[]> {
  return (await client.takeJson())
    .filter(([topic]) => topic.endsWith("/events/alarm"))
    .map(([, value]) => (value as { alarm: { data: string } }).alarm.data);
}

await test("a persistent session is present at its next CONNECT, also without a subscription", async (t) => {
  const first = await persistent(t, "present");
  t.equal(first.sessionPresent, false);
  await first.end();
  const second = await persistent(t, "present");
  t.equal(second.sessionPresent, true);
  await second.cut();
  await site.restart();
  const third = await persistent(t, "present");
  t.equal(third.sessionPresent, true);
  await third.end();
  await site.crash();
  const fourth = await persistent(t, "present");
  t.equal(fourth.sessionPresent, true);
});

await test("a clean session leaves nothing, and a clean CONNECT ends the session before", async (t) => {
  const client = await persistent(t, "cleaned");
  await client.subscribe(EVENTS);
  await client.end();
  const clean = await Client.connect(t, site, login, { clientId: "cleaned", clean: true });
  t.equal(clean.sessionPresent, false);
  await emit("unheard");
  t.same(await clean.take(), []);
  await clean.subscribe(EVENTS);
  await clean.end();
  const after = await persistent(t, "cleaned");
  t.equal(after.sessionPresent, false);
  await emit("unheard too");
  t.same(await after.take(), []);
});

for (const [what, happen] of [
  ["DISCONNECT", async () => Promise.resolve()],
  ["restart", async () => site.restart()],
  ["crash", async () => site.crash()],
] as const) {
  await test(`what a session is owed is delivered in order after a ${what}`, async (t) => {
    const clientId = `owed ${what}`;
    const client = await persistent(t, clientId);
    await client.subscribe([EVENTS, "line1/#"]);
    await client.end();
    await emit("1", "2");
    const free = await Client.connect(t, site, login);
    await free.publish("line1/x", "3");
    await happen();
    await emit("4", "5");
    const again = await persistent(t, clientId);
    const owed = await again.take();
    t.same(
      owed.map(({ topic, text }) => {
        if (topic === "line1/x") return text;
        return (JSON.parse(text) as { alarm: { data: string } }).alarm.data;
      }),
      ["1", "2", "3", "4", "5"],
    );
    await again.end();
    const empty = await persistent(t, clientId);
    t.same(await empty.take(), [], "and once");
  });
}

await test("QoS 0 subscriptions and QoS 0 messages are not queued", async (t) => {
  const client = await persistent(t, "zero");
  await client.subscribe(EVENTS, 0);
  await client.subscribe("line1/#", 1);
  await client.end();
  await emit("unheard");
  const free = await Client.connect(t, site, login);
  await free.publish("line1/x", "unheard", { qos: 0 });
  await free.publish("line1/x", "heard");
  const again = await persistent(t, "zero");
  t.same(await again.takeTexts(), ["line1/x heard"]);
});

await test("an UNSUBSCRIBE outlives a restart, and what was owed before it is delivered", async (t) => {
  const client = await RawClient.connect(t, site, login, { clientId: "unsub", clean: false });
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: EVENTS, qos: 1 }] });
  t.match(await client.next(), { cmd: "suback", granted: [1] });
  await emit("before");
  t.match(await client.next(), { cmd: "publish" });
  client.send({ cmd: "unsubscribe", messageId: 2, unsubscriptions: [EVENTS] });
  t.match(await client.next(), { cmd: "unsuback", messageId: 2 });
  await client.cut();
  await site.restart();
  await emit("after");
  const again = await persistent(t, "unsub");
  t.same(await alarms(again), ["before"]);
});

await test("what was in flight is sent again with DUP and its packet id", async (t) => {
  const options = { clientId: "flight", clean: false };
  const client = await RawClient.connect(t, site, login, options);
  client.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: EVENTS, qos: 1 }] });
  t.match(await client.next(), { cmd: "suback" });
  await emit("1", "2", "3");
  const first = (await client.take(3)) as readonly { messageId: number; dup: boolean }[];
  t.ok(first.every(({ dup }) => !dup));
  client.send({ cmd: "puback", messageId: first[1]!.messageId }, { cmd: "pingreq" });
  t.match(await client.next(), { cmd: "pingresp" });
  await client.cut();
  await emit("4");
  const again = await RawClient.connect(t, site, login, options);
  t.match(await again.take(3), [
    { cmd: "publish", messageId: first[0]!.messageId, dup: true, payload: /"1"/ },
    { cmd: "publish", messageId: first[2]!.messageId, dup: true, payload: /"3"/ },
    { cmd: "publish", dup: false, payload: /"4"/ },
  ]);
  await again.cut();
  const last = await RawClient.connect(t, site, login, { ...options, clean: true });
  last.send({ cmd: "pingreq" });
  t.match(await last.next(), { cmd: "pingresp" }, "a clean CONNECT ends what was owed");
});

await test("a takeover hands the queue to the new connection, and loses nothing", async (t) => {
  const first = await RawClient.connect(t, site, login, { clientId: "taken", clean: false });
  first.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: EVENTS, qos: 1 }] });
  t.match(await first.next(), { cmd: "suback" });
  await emit("1");
  t.match(await first.next(), { cmd: "publish" });
  const second = await persistent(t, "taken");
  t.equal(second.sessionPresent, true);
  t.same(await first.untilClosed(), []);
  await emit("2");
  t.same(await alarms(second), ["1", "2"]);
});

await test("a session that nobody came back to ends after limits.session_expiry_s", async (t) => {
  const stays = await persistent(t, "stays");
  await (await persistent(t, "expires")).end();
  site.clock.advance(3_500_000);
  const held = await persistent(t, "expires");
  t.equal(held.sessionPresent, true);
  await held.end();
  site.clock.advance(3_700_000);
  t.equal((await persistent(t, "expires")).sessionPresent, false);
  await stays.fence();
  await stays.end();
  t.equal((await persistent(t, "stays")).sessionPresent, true, "one that is connected does not");
});

await test("time away is added up over restarts", async (t) => {
  await (await persistent(t, "slow")).end();
  for (let time = 0; time < 3; time += 1) {
    site.clock.advance(1_300_000);
    await emit("the gateway was in use");
    await site.restart();
  }
  site.clock.advance(61_000);
  t.equal((await persistent(t, "slow")).sessionPresent, false);
});

await test("a subscriber that was away gets each value of a property, in order, within its bound", async (t) => {
  const client = await persistent(t, "values");
  await client.subscribe(TARGET);
  await client.take();
  await client.end();
  for (const target of [1, 2, 3]) {
    await site.did("PUT", "/A/things/boiler/properties/target", { target });
  }
  const again = await persistent(t, "values");
  const got = await again.take();
  t.same(
    got.map(({ text }) => text),
    [1, 2, 3].map((target) => `{"target":${target}}`),
  );
  t.ok(
    got.every(({ retain }) => !retain),
    "they were published while it was subscribed",
  );
});
