import { t as file, test } from "tap";
import { Client } from "./client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
await site.makeThing("pump", BOILER);
const login = await site.makeCredential([
  { entity: "things", id: ["boiler"] },
  { entity: "data", id: ["boiler"] },
]);
const device = await Client.connect(file, site, login);
const consumerLogin = await site.makeCredential([
  { entity: "things", id: ["boiler"], role: "consumer" },
]);
const consumer = await Client.connect(file, site, consumerLogin);
const dataLogin = await site.makeCredential([{ entity: "data", id: ["boiler"] }]);
const recorder = await Client.connect(file, site, dataLogin);

const SET = "set/A/things/boiler/events";
const STATUS = "status/A/things/boiler/events";
const ERRORS = "status/A/things/boiler/errors";
const DATA = "A/data/boiler";
await device.subscribe([`${STATUS}/#`, ERRORS]);
await consumer.subscribe([`${STATUS}/+`, ERRORS]);
await recorder.subscribe([DATA, ERRORS]);

await test("an event is told with its data, time and href, and is what GET shows", async (t) => {
  await device.publish(`${SET}/alarm`, { alarm: { data: "hot" } });
  const [[topic, value] = []] = await consumer.takeJson();
  t.equal(topic, `${STATUS}/alarm`);
  t.match(value, {
    alarm: {
      data: "hot",
      timestamp: /^2027-03-01T12:00:00\.\d{3}Z$/,
      href: /^\/A\/things\/boiler\/events\/alarm\/[0-9A-HJKMNP-TV-Z]{26}$/,
    },
  });
  const { alarm } = value as { alarm: { href: string } };
  t.strictSame(Object.keys(alarm), ["data", "timestamp", "href"]);
  t.strictSame((await site.did("GET", alarm.href)).json, value);
  t.strictSame(await device.takeJson(), [[topic, value]], "its emitter gets it too");
});

await test("an event without data has none", async (t) => {
  await device.publish(`${SET}/boot`, { boot: {} });
  const [[, value] = []] = await consumer.takeJson();
  t.strictSame(Object.keys((value as { boot: object }).boot), ["timestamp", "href"]);
  await device.take();
});

const REFUSED: readonly (readonly [what: string, name: string, payload: unknown, code: string])[] =
  [
    ["data of another type", "alarm", { alarm: { data: 5 } }, "schema-violation"],
    ["missing data", "alarm", { alarm: {} }, "schema-violation"],
    ["an unknown member", "alarm", { alarm: { data: "x", level: 1 } }, "unknown-member"],
    ["another key", "alarm", { boot: {} }, "malformed"],
    ["a second key", "alarm", { alarm: { data: "x" }, boot: {} }, "unknown-member"],
    ["an unknown event", "fire", { fire: {} }, "unknown-affordance"],
    ["no JSON", "alarm", "hot!", "not-json"],
    ["an empty payload", "alarm", "", "not-json"],
  ];

for (const [what, name, payload, code] of REFUSED) {
  await test(`an event with ${what} is refused with ${code}, and the next is recorded`, async (t) => {
    await device.publish(`${SET}/${name}`, payload);
    await device.publish(`${SET}/alarm`, { alarm: { data: what } });
    t.match(await device.takeJson(), [
      [ERRORS, { code, topic: `${SET}/${name}` }],
      [`${STATUS}/alarm`, { alarm: { data: what } }],
    ]);
    await consumer.take();
  });
}

await test("a consumer hears events and emits none", async (t) => {
  await consumer.publish(`${SET}/alarm`, { alarm: { data: "false alarm" } });
  t.match(await consumer.takeJson(), [[ERRORS, { code: "forbidden" }]]);
  await device.take();
});

await test("events are never retained", async (t) => {
  const later = await Client.connect(t, site, login);
  t.same(await later.subscribe(`${STATUS}/#`), [1]);
  t.same(await later.take(), []);
});

await test("raw data is echoed byte for byte and stored", async (t) => {
  const texts = [
    '{"t":21.50,  "unit" : "°C"}',
    "{}",
    '{"a":1,"a":2}',
    '\n\t{"nested":{"deep":[1,2,{"x":null}]},"big":12345678901234567890,"e":1E2}\n',
    '{"\\u00e9":"\\ud83d\\udd25"}',
  ];
  await recorder.take();
  for (const text of texts) await recorder.publish(DATA, text);
  const echoes = await recorder.take();
  t.same(
    echoes.map(({ text }) => text),
    texts,
  );
  t.ok(echoes.every(({ topic, qos, retain }) => topic === DATA && qos === 1 && !retain));
  const list = (await site.did("GET", "/A/data/boiler")).json as { data: readonly object[] };
  t.equal(list.data.length, texts.length);
  t.match(list.data, Array(texts.length).fill({ source: "boiler" }));
});

for (const payload of ["[1]", "5", '"x"', "null", "", "{", "{'a':1}"]) {
  await test(`raw data that is ${JSON.stringify(payload)} is refused, and the next is stored`, async (t) => {
    await recorder.publish(DATA, payload);
    await recorder.publish(DATA, { good: 1 });
    t.match(await recorder.takeJson(), [
      [ERRORS, { code: /^(malformed|not-json)$/, topic: DATA }],
      [DATA, { good: 1 }],
    ]);
    await device.take();
    await consumer.take();
  });
}

await test("a grant of data covers data only", async (t) => {
  await recorder.publish("set/A/things/boiler/properties/target", { target: 1 });
  await recorder.publish("A/data/pump", { x: 1 });
  t.match(
    await recorder.takeJson(),
    [[ERRORS, { code: "forbidden" }]],
    "of the pump it hears nothing",
  );
  const others = ["status/A/things/boiler/properties/#", "A/data/pump", "A/data/+"];
  t.same(await recorder.subscribe(others), [128, 128, 128]);
  await device.take();
  await consumer.take();
});

await test("a grant of a Thing does not cover its data", async (t) => {
  await consumer.publish(DATA, { x: 1 });
  t.match(await consumer.takeJson(), [[ERRORS, { code: "forbidden", topic: DATA }]]);
  t.same(await consumer.subscribe(DATA), [128]);
});
