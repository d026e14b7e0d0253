import { t as file, test, type Test } from "tap";
import { Client } from "./client.ts";
import { publishPacket, RawClient } from "./raw-client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
const login = await site.makeCredential([
  { entity: "things", id: ["boiler"] },
  { entity: "topics", patterns: [{ pub: "line1/#", sub: "line1/#" }] },
]);
const ALARM = "set/A/things/boiler/events/alarm";

/** How often an event was recorded. */
async function recorded(data: string): Promise<number> {
  const reply = await site.did("GET", "/A/things/boiler/events/alarm?limit=1000");
  const list = (reply.json as { data: readonly { alarm: { data: string } }[] }).data;
  return list.filter(({ alarm }) => alarm.data === data).length;
}

const alarm = (data: string, id: number, dup = false) =>
  publishPacket(ALARM, { alarm: { data } }, { qos: 2, id, dup });

async function reconnect(t: Test, clean: boolean): Promise<RawClient> {
  return RawClient.connect(t, site, login, { clientId: "emitter", clean });
}

await test("a QoS 2 publish sent again before its PUBREL is applied once, and answered each time", async (t) => {
  const client = await reconnect(t, false);
  client.send(alarm("same connection", 1), alarm("same connection", 1, true));
  client.send(alarm("same connection", 1, true));
  t.match(await client.take(3), Array(3).fill({ cmd: "pubrec", messageId: 1 }) as object[]);
  client.send({ cmd: "pubrel", messageId: 1 }, { cmd: "pubrel", messageId: 1 });
  t.match(await client.take(2), Array(2).fill({ cmd: "pubcomp", messageId: 1 }) as object[]);
  t.equal(await recorded("same connection"), 1);
});

await test("after its PUBREL the packet id is free for another publish", async (t) => {
  const client = await reconnect(t, false);
  for (const data of ["first", "second"]) {
    client.send(alarm(data, 2));
    t.match(await client.next(), { cmd: "pubrec", messageId: 2 });
    client.send({ cmd: "pubrel", messageId: 2 });
    t.match(await client.next(), { cmd: "pubcomp", messageId: 2 });
  }
  t.same([await recorded("first"), await recorded("second")], [1, 1]);
});

await test("a persistent session applies it once across a reconnect, a restart and a crash", async (t) => {
  const data = "across";
  const client = await reconnect(t, false);
  client.send(alarm(data, 3));
  t.match(await client.next(), { cmd: "pubrec", messageId: 3 });
  await client.cut();
  const endings: readonly (readonly [string, () => Promise<void>])[] = [
    ["reconnect", async () => Promise.resolve()],
    ["restart", async () => site.restart()],
    ["crash", async () => site.crash()],
  ];
  for (const [what, happen] of endings) {
    await happen();
    const again = await reconnect(t, false);
    again.send(alarm(data, 3, true));
    t.match(await again.next(), { cmd: "pubrec", messageId: 3 }, what);
    t.equal(await recorded(data), 1, what);
    await again.cut();
  }
  const last = await reconnect(t, false);
  last.send({ cmd: "pubrel", messageId: 3 });
  t.match(await last.next(), { cmd: "pubcomp", messageId: 3 });
  await site.restart();
  const after = await reconnect(t, false);
  after.send(alarm("after", 3));
  t.match(await after.next(), { cmd: "pubrec", messageId: 3 });
  t.equal(await recorded("after"), 1, "a released id is free after a restart, too");
  after.send({ cmd: "pubrel", messageId: 3 });
  t.match(await after.next(), { cmd: "pubcomp", messageId: 3 });
});

await test("a clean session forgets its packet ids with its connection [MQTT-3.1.2-6]", async (t) => {
  const client = await reconnect(t, true);
  client.send(alarm("clean", 4));
  t.match(await client.next(), { cmd: "pubrec", messageId: 4 });
  await client.cut();
  const again = await reconnect(t, true);
  again.send(alarm("clean", 4, true));
  t.match(await again.next(), { cmd: "pubrec", messageId: 4 });
  t.equal(await recorded("clean"), 2);
});

await test("a clean CONNECT forgets the packet ids of the persistent session before it", async (t) => {
  const client = await reconnect(t, false);
  client.send(alarm("forgotten", 5));
  t.match(await client.next(), { cmd: "pubrec", messageId: 5 });
  await client.cut();
  await (await reconnect(t, true)).cut();
  const again = await reconnect(t, false);
  again.send(alarm("forgotten", 5, true));
  t.match(await again.next(), { cmd: "pubrec", messageId: 5 });
  t.equal(await recorded("forgotten"), 2);
});

await test("a refused QoS 2 publish is refused once, and its id is free after PUBREL", async (t) => {
  const client = await reconnect(t, true);
  const bad = publishPacket(ALARM, { alarm: { data: 5 } }, { qos: 2, id: 6 });
  client.send(bad, { ...bad, dup: true }, { cmd: "pubrel", messageId: 6 }, alarm("good", 6));
  t.match(await client.take(4), [
    { cmd: "pubrec", messageId: 6 },
    { cmd: "pubrec", messageId: 6 },
    { cmd: "pubcomp", messageId: 6 },
    { cmd: "pubrec", messageId: 6 },
  ]);
  t.equal(await recorded("good"), 1);
});

await test("two clients may use one packet id at the same time", async (t) => {
  const one = await RawClient.connect(t, site, login, { clientId: "one", clean: false });
  const two = await RawClient.connect(t, site, login, { clientId: "two", clean: false });
  for (const client of [one, two]) client.send(alarm("both", 7));
  for (const client of [one, two]) t.match(await client.next(), { cmd: "pubrec", messageId: 7 });
  t.equal(await recorded("both"), 2);
});

await test("QoS 2 from a client to a client is delivered once, through cuts on both sides", async (t) => {
  const options = { clientId: "reader", clean: false };
  const reader = await RawClient.connect(t, site, login, options);
  reader.send({ cmd: "subscribe", messageId: 1, subscriptions: [{ topic: "line1/x", qos: 2 }] });
  t.match(await reader.next(), { cmd: "suback", granted: [2] });
  const writer = await Client.connect(t, site, login);
  await writer.publish("line1/x", "once", { qos: 2 });
  const first = await reader.next();
  t.match(first, { cmd: "publish", qos: 2, dup: false, payload: Buffer.from("once") });
  const { messageId } = first as { messageId: number };
  await reader.cut();

  const second = await RawClient.connect(t, site, login, options);
  t.match(await second.next(), { cmd: "publish", dup: true, messageId });
  second.send({ cmd: "pubrec", messageId });
  t.match(await second.next(), { cmd: "pubrel", messageId });
  await second.cut();

  await site.restart();
  const third = await RawClient.connect(t, site, login, options);
  t.match(await third.next(), { cmd: "pubrel", messageId }, "the message itself is not sent again");
  third.send({ cmd: "pubcomp", messageId }, { cmd: "pingreq" });
  t.match(await third.next(), { cmd: "pingresp" });
  await third.cut();

  const fourth = await RawClient.connect(t, site, login, options);
  fourth.send({ cmd: "pingreq" });
  t.match(await fourth.next(), { cmd: "pingresp" }, "and nothing is owed any more");
});
