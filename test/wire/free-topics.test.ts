import { t as file, test } from "tap";
import { Client } from "./client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file, {
  SLUICE_MQTT__REFUSED_FILTERS: '["line1/secret", "forbidden/#"]',
  SLUICE_LIMITS__RETAINED_MESSAGES: "5",
});
await site.makeThing("boiler", BOILER);
const topics = (pub: string, sub: string) => ({ entity: "topics", patterns: [{ pub, sub }] });
const lineLogin = await site.makeCredential([topics("line1/#", "line1/#")]);
const wideLogin = await site.makeCredential([
  topics("#", "#"),
  { entity: "things", id: ["boiler"] },
]);
const line = await Client.connect(file, site, lineLogin);

await test("any payload of any QoS goes through as it is, at the lower of the two QoS", async (t) => {
  const payloads = [
    Buffer.of(0, 0xff, 0xfe),
    Buffer.from("plain"),
    Buffer.alloc(0),
    Buffer.from("ü"),
  ];
  for (const asked of [0, 1, 2] as const) {
    for (const published of [0, 1, 2] as const) {
      const reader = await Client.connect(t, site, lineLogin);
      t.same(await reader.subscribe("line1/a", asked), [asked]);
      const raw: Buffer[] = [];
      reader.mqtt.on("message", (_topic, payload) => raw.push(payload));
      for (const payload of payloads) await line.publish("line1/a", payload, { qos: published });
      const got = await reader.next(payloads.length);
      t.ok(
        got.every(({ qos }) => qos === Math.min(asked, published)),
        `${published} to ${asked}`,
      );
      t.same(raw, payloads);
      await reader.end();
    }
  }
});

await test("a retained message is there for later subscribers, is replaced, and an empty one clears it", async (t) => {
  await line.publish("line1/r", "one", { retain: true });
  await line.publish("line1/r", "two", { retain: true, qos: 0 });
  await line.publish("line1/r", "not kept");
  const texts = async (filter: string): Promise<readonly string[]> => {
    const later = await Client.connect(t, site, lineLogin);
    await later.subscribe(filter);
    const got = await later.take();
    t.ok(got.every(({ retain }) => retain));
    return got.map(({ topic, text }) => `${topic} ${text}`);
  };
  for (const filter of ["line1/r", "line1/+", "line1/#", "line1/r/#"]) {
    t.same(await texts(filter), ["line1/r two"], filter);
  }
  await site.restart();
  t.same(await texts("line1/r"), ["line1/r two"], "after a restart, too");
  const cleaner = await Client.connect(t, site, lineLogin);
  const live = await Client.connect(t, site, lineLogin);
  await live.subscribe("line1/r");
  await live.take();
  await cleaner.publish("line1/r", "", { retain: true });
  t.match(
    await live.take(),
    [{ text: "", retain: false }],
    "who is there already gets the empty one",
  );
  t.same(await texts("line1/r"), []);
  await site.restart();
  t.same(await texts("line1/r"), []);
});

await test("overlapping filters bring one copy, at the highest QoS among them", async (t) => {
  const reader = await Client.connect(t, site, lineLogin);
  await reader.subscribe("line1/#", 0);
  await reader.subscribe("line1/o", 2);
  await reader.subscribe("line1/+", 1);
  const writer = await Client.connect(t, site, lineLogin);
  await writer.publish("line1/o", "x", { qos: 2 });
  t.match(await reader.next(1), [{ text: "x", qos: 2 }]);
  t.same(await reader.take(), []);
  await reader.unsubscribe("line1/o");
  await writer.publish("line1/o", "y", { qos: 2 });
  t.match(await reader.take(), [{ text: "y", qos: 1 }]);
  await reader.subscribe("line1/+", 0);
  await writer.publish("line1/o", "z", { qos: 2 });
  t.match(await reader.take(), [{ text: "z", qos: 0 }], "the later QoS of a filter counts");
});

await test("# is every free topic and nothing of the reserved trees", async (t) => {
  const reader = await Client.connect(t, site, wideLogin);
  t.same(await reader.subscribe(["#", "+/#", "+/+/things/+/#"]), [1, 1, 1]);
  t.same(await reader.take(), []);
  const device = await Client.connect(t, site, wideLogin);
  await device.publish("set/A/things/boiler/properties/target", { target: 1 });
  await device.publish("set/A/things/boiler/events/boot", { boot: {} });
  await device.publish("any/where", "free");
  t.same(await reader.takeTexts(), ["any/where free"]);
  await reader.subscribe("status/A/things/boiler/#");
  await reader.take();
  await device.publish("set/A/things/boiler/properties/target", { target: 2 });
  t.same(await reader.takeTexts(), ['status/A/things/boiler/properties/target {"target":2}']);
});

for (const topic of [
  "set/x",
  "status/x",
  "status",
  "set",
  "$SYS/x",
  "$x",
  "A/data/boiler",
  "x/data",
  "x/data/y",
]) {
  await test(`${topic} is no free topic: not taken, not kept, not forwarded`, async (t) => {
    const reader = await Client.connect(t, site, wideLogin);
    await reader.subscribe("#");
    await reader.take();
    const writer = await Client.connect(t, site, wideLogin);
    await writer.publish(topic, '{"x":1}', { retain: true });
    t.same(await reader.take(), []);
    await reader.subscribe(["#", "+/#", "+/+/#"]);
    t.same(await reader.take(), []);
  });
}

await test("a filter in mqtt.refused_filters is answered 0x80, exactly that one", async (t) => {
  const reader = await Client.connect(t, site, wideLogin);
  const codes = await reader.subscribe(["line1/secret", "forbidden/#", "line1/+", "forbidden/x"]);
  t.same(codes, [128, 128, 1, 1]);
  const writer = await Client.connect(t, site, wideLogin);
  await writer.publish("forbidden/y", "not for it");
  t.same(await reader.take(), []);
});

await test("beyond limits.retained_messages a new retained message is refused, not one in place", async (t) => {
  const writer = await Client.connect(t, site, lineLogin);
  for (let index = 0; index < 7; index += 1) {
    await writer.publish(`line1/keep/${index}`, "x", { retain: true });
  }
  await writer.publish("line1/keep/0", "y", { retain: true });
  const reader = await Client.connect(t, site, lineLogin);
  await reader.subscribe("line1/keep/#");
  const got = await reader.takeTexts();
  t.same([...got].sort(), [
    "line1/keep/0 y",
    ...[1, 2, 3, 4].map((index) => `line1/keep/${index} x`),
  ]);
  for (let index = 0; index < 5; index += 1) {
    await writer.publish(`line1/keep/${index}`, "", { retain: true });
  }
});

await test("empty levels are levels", async (t) => {
  const reader = await Client.connect(t, site, wideLogin);
  await reader.subscribe(["/", "a//b", "/+"]);
  const writer = await Client.connect(t, site, wideLogin);
  for (const topic of ["/", "a//b", "a/b", "/x", "//"]) await writer.publish(topic, "x");
  t.same(
    (await reader.take()).map(({ topic }) => topic),
    ["/", "a//b", "/x"],
  );
});

await test("without mqtt.free_topics no credential is granted any", async (t) => {
  const closed = await Site.start(t, { SLUICE_MQTT__FREE_TOPICS: "false" });
  const reply = await closed.call("POST", "/A/mqtt", {
    json: { resources: [topics("x/#", "x/#")] },
  });
  t.match(reply, { status: 400, json: { code: "malformed" } });
});
