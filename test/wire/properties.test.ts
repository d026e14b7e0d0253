import { t as file, test } from "tap";
import { Client } from "./client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
const made = await site.makeThing("boiler", BOILER);
const { uid } = made.json as { uid: string };
const login = await site.makeDevice("boiler");
const device = await Client.connect(file, site, login);
const consumerLogin = await site.makeCredential([
  { entity: "things", id: ["boiler"], role: "consumer" },
]);
const consumer = await Client.connect(file, site, consumerLogin);

const SET = "set/A/things/boiler/properties";
const STATUS = "status/A/things/boiler/properties";
const ERRORS = "status/A/things/boiler/errors";
await device.subscribe([`${STATUS}/#`, ERRORS]);
await consumer.subscribe([`${STATUS}/#`, ERRORS]);

async function valueOf(name: string): Promise<unknown> {
  const path = `/A/things/boiler/properties/${encodeURIComponent(name)}`;
  return ((await site.did("GET", path)).json as Record<string, unknown>)[name];
}

async function errorCodes(client: Client): Promise<readonly string[]> {
  return (await client.takeJson()).map(([topic, value]) => {
    return topic === ERRORS ? (value as { code: string }).code : topic;
  });
}

await test("an accepted value is on the status topic at QoS 1, for its writer and for others", async (t) => {
  await device.publish(`${SET}/temperature`, { temperature: 61.5 });
  const expected = {
    topic: `${STATUS}/temperature`,
    text: '{"temperature":61.5}',
    qos: 1,
    retain: false,
    dup: false,
  };
  t.same(await device.take(), [expected]);
  t.same(await consumer.take(), [expected]);
  t.equal(await valueOf("temperature"), 61.5);
});

await test("a value that is the same again is told again", async (t) => {
  await device.publish(`${SET}/temperature`, { temperature: 61.5 });
  t.equal((await device.take()).length, 1);
  await consumer.take();
});

await test("QoS 0 and QoS 2 publishes are applied as QoS 1 ones are", async (t) => {
  await device.publish(`${SET}/target`, { target: 10 }, { qos: 0 });
  await device.publish(`${SET}/target`, { target: 20 }, { qos: 2 });
  t.same(await consumer.takeTexts(), [
    `${STATUS}/target {"target":10}`,
    `${STATUS}/target {"target":20}`,
  ]);
  await device.take();
});

await test("a map sets several properties, each told on its own topic", async (t) => {
  await device.publish(SET, { temperature: 70, target: 55, mode: "auto" });
  t.same(await device.takeTexts(), [
    `${STATUS}/temperature {"temperature":70}`,
    `${STATUS}/target {"target":55}`,
    `${STATUS}/mode {"mode":"auto"}`,
  ]);
  await consumer.take();
});

await test("a map with one bad value sets none", async (t) => {
  await device.publish(SET, { target: 60, mode: "sideways" });
  await device.publish(SET, { target: 60, unheardof: 1 });
  t.same(await errorCodes(device), ["schema-violation", "unknown-affordance"]);
  t.equal(await valueOf("target"), 55);
  await consumer.take();
});

await test("of two keys on a one-property topic the named one is taken and the other reported", async (t) => {
  await device.publish(`${SET}/target`, { target: 42, mode: "on" });
  const messages = await device.takeJson();
  t.match(messages, [
    [`${STATUS}/target`, { target: 42 }],
    [ERRORS, { topic: `${SET}/target`, code: "unknown-member", detail: /mode/ }],
  ]);
  t.match(messages[1]?.[1], { timestamp: /^2027-03-01T12:00:00\.\d{3}Z$/ });
  t.equal(await valueOf("mode"), "auto");
  await consumer.take();
});

await test("names with dashes, dots, spaces and emoji work in topics", async (t) => {
  const values = { "Fan-status": true, "content.humidity": 40.5, "a name with spaces": 3, "🔥": 4 };
  for (const [name, value] of Object.entries(values)) {
    await device.publish(`${SET}/${name}`, { [name]: value });
    t.same(await device.takeJson(), [[`${STATUS}/${name}`, { [name]: value }]]);
    t.equal(await valueOf(name), value);
  }
  await consumer.take();
});

await test("a topic may name a Thing by its uid, and status names it by its id", async (t) => {
  const byUid = await Client.connect(t, site, login);
  t.same(await byUid.subscribe(`status/A/things/${uid}/properties/target`), [1]);
  t.match(await byUid.take(), [{ topic: `${STATUS}/target`, retain: true }]);
  await byUid.publish(`set/A/things/${uid}/properties/target`, { target: 33 });
  t.same(await byUid.takeTexts(), [`${STATUS}/target {"target":33}`]);
  await byUid.unsubscribe(`status/A/things/${uid}/properties/target`);
  await byUid.publish(`${SET}/target`, { target: 34 });
  t.same(await byUid.take(), []);
  await device.take();
  await consumer.take();
});

await test("a consumer sets writable properties, and a read-only one is refused to it", async (t) => {
  await consumer.publish(`${SET}/target`, { target: 21 });
  await consumer.publish(`${SET}/temperature`, { temperature: 1 });
  await consumer.publish(SET, { target: 22, temperature: 1 });
  t.same(await errorCodes(consumer), [`${STATUS}/target`, "read-only", "read-only"]);
  t.equal(await valueOf("temperature"), 70);
  t.equal(await valueOf("target"), 21);
  await device.take();
});

await test("a number sent as a string is refused, unless the property says sluice:coerce", async (t) => {
  await device.publish(`${SET}/target`, { target: "30" });
  await device.publish(`${SET}/loose`, { loose: "30.5" });
  await device.publish(`${SET}/loose`, { loose: "30.5 degrees" });
  const messages = await device.takeJson();
  t.match(messages, [
    [ERRORS, { code: "schema-violation" }],
    [`${STATUS}/loose`, { loose: 30.5 }],
    [ERRORS, { code: "schema-violation" }],
  ]);
  await consumer.take();
});

await test("of members with one name the last wins", async (t) => {
  await device.publish(`${SET}/target`, '{"target": 1, "target": 2}');
  t.same(await device.takeTexts(), [`${STATUS}/target {"target":2}`]);
  await consumer.take();
});

await test("an empty payload, retained or not, changes and deletes nothing", async (t) => {
  for (const retain of [false, true]) {
    await device.publish(`${SET}/target`, "", { retain });
    await device.publish(SET, "", { retain });
    await device.publish("set/A/things/boiler", "", { retain });
  }
  t.equal(await valueOf("target"), 2);
  const later = await Client.connect(t, site, login);
  await later.subscribe(`${STATUS}/target`);
  t.same(await later.takeTexts(), [`${STATUS}/target {"target":2}`]);
  t.equal((await errorCodes(device)).filter((code) => code === "not-json").length, 4);
  await consumer.take();
});

await test("the retain flag of a set leaves nothing retained on the set topic", async (t) => {
  await device.publish(`${SET}/target`, { target: 3 }, { retain: true });
  t.match(await device.take(), [{ topic: `${STATUS}/target`, retain: false }]);
  await consumer.take();
});

await test("a writeOnly value is told to devices, never to a consumer, and never retained", async (t) => {
  await consumer.publish(`${SET}/pin`, { pin: "1234" });
  t.same(await device.takeTexts(), [`${STATUS}/pin {"pin":"1234"}`]);
  t.same(await consumer.take(), []);
  const later = await Client.connect(t, site, login);
  await later.subscribe(`${STATUS}/pin`);
  t.same(await later.take(), []);
  t.equal(await valueOf("pin"), null);
});

const PRESENT = { target: 3, temperature: 70, mode: "auto" };

await test("a new subscriber gets the current value at once, retained, whatever filter matches it", async (t) => {
  const filters: readonly (readonly [string, readonly (keyof typeof PRESENT)[]])[] = [
    [`${STATUS}/target`, ["target"]],
    [`${STATUS}/+`, ["target", "temperature", "mode"]],
    [`${STATUS}/#`, ["target", "temperature", "mode"]],
    ["status/A/things/boiler/#", ["target", "temperature", "mode"]],
    ["status/A/things/boiler/+/mode", ["mode"]],
    [`${STATUS}/target/#`, ["target"]],
  ];
  for (const [filter, names] of filters) {
    const client = await Client.connect(t, site, login);
    await client.subscribe(filter);
    const messages = await client.take();
    t.ok(
      messages.every(({ retain }) => retain),
      filter,
    );
    const found = new Map(messages.map(({ topic, text }) => [topic, text]));
    t.equal(found.size, messages.length, `${filter}: each once`);
    for (const name of names) {
      t.equal(found.get(`${STATUS}/${name}`), JSON.stringify({ [name]: PRESENT[name] }), filter);
    }
    if (filter === `${STATUS}/target` || filter.endsWith("mode")) t.equal(found.size, 1);
    await client.end();
  }
});

await test("a subscriber gets at most the QoS it asked for, and status at 1 at most", async (t) => {
  for (const [asked, gets] of [
    [0, 0],
    [1, 1],
    [2, 1],
  ] as const) {
    const client = await Client.connect(t, site, login);
    t.same(await client.subscribe(`${STATUS}/target`, asked), [asked]);
    await client.publish(`${SET}/target`, { target: 4 });
    t.match(await client.take(), [
      { qos: gets, retain: true },
      { qos: gets, retain: false },
    ]);
    await client.end();
  }
  await device.take();
  await consumer.take();
});

await test("subscribing again gives the current value again", async (t) => {
  const client = await Client.connect(t, site, login);
  for (const time of [1, 2]) {
    await client.subscribe(`${STATUS}/target`);
    t.match(await client.take(), [{ retain: true }], `time ${time}`);
  }
});

await test("a property that was never written has nothing to send", async (t) => {
  const client = await Client.connect(t, site, login);
  t.same(await client.subscribe([`${STATUS}/schedule`, `${STATUS}/anything`]), [1, 1]);
  t.same(await client.take(), []);
  await client.publish(`${SET}/anything`, { anything: null });
  t.same(await client.takeTexts(), [`${STATUS}/anything {"anything":null}`], "null is a value");
});

await test("the current value is there after a restart, with what was written last", async (t) => {
  await site.restart();
  const client = await Client.connect(t, site, login);
  await client.subscribe(`${STATUS}/target`);
  t.match(await client.take(), [{ text: '{"target":4}', retain: true }]);
});
