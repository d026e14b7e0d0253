import { t as file, test, type Test } from "tap";
import { Client } from "./client.ts";
import { RawClient, publishPacket, subscribePacket } from "./raw-client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const PACKET_BYTES = 262_144;
const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
const login = await site.makeDevice("boiler");
const device = await Client.connect(file, site, login);
const everything = await site.makeCredential([
  { entity: "things", id: ["*"], definition: true },
  { entity: "data", id: ["*"] },
]);

const SET = "set/A/things/boiler/properties";
const STATUS = "status/A/things/boiler/properties";
const ERRORS = "status/A/things/boiler/errors";
await device.subscribe([`${STATUS}/#`, ERRORS]);

async function refusedCounts(): Promise<Readonly<Record<string, number>>> {
  const reply = await site.did("GET", "/gateway");
  return (reply.json as { broker: { refused: Record<string, number> } }).broker.refused;
}

let nextTarget = 0;

/** The publish is acknowledged and refused so, and the next good one works. */
async function refuses(
  t: Test,
  topic: string,
  payload: unknown,
  code: string | undefined,
): Promise<void> {
  site.clock.advance(2_100); // Thirty a minute are told.
  const before = await refusedCounts();
  await device.publish(topic, payload);
  nextTarget = (nextTarget + 1) % 90;
  await device.publish(`${SET}/target`, { target: nextTarget });
  const messages = await device.takeJson();
  const good = [`${STATUS}/target`, { target: nextTarget }];
  t.match(messages, code === undefined ? [good] : [[ERRORS, { code }], good]);
  const after = await refusedCounts();
  const counted = Object.keys(after).filter((name) => after[name] !== before[name]);
  t.equal(counted.length, 1, "it is counted by its reason");
  if (code !== undefined) t.same(counted, [code]);
}

const DEEP = 100;
const BAD_UTF8 = Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d]);
const REFUSED: readonly (readonly [what: string, tail: string, payload: unknown, code: string])[] =
  [
    ["half an object", "/target", '{"target":', "not-json"],
    ["plain text", "/target", "21.5", "malformed"],
    ["a word", "/target", "warm", "not-json"],
    ["two texts", "/target", '{"target":1}{"target":2}', "not-json"],
    ["a byte order mark", "/target", '\uFEFF{"target":1}', "not-json"],
    ["single quotes", "/target", "{'target':1}", "not-json"],
    ["bad UTF-8", "/target", BAD_UTF8, "not-json"],
    ["nothing", "/target", "", "not-json"],
    ["an array", "/target", [1], "malformed"],
    ["null", "/target", "null", "malformed"],
    ["an object without the key", "/target", {}, "malformed"],
    ["an object with another key", "/target", { mode: "on" }, "malformed"],
    ["a value of another type", "/target", { target: "warm" }, "schema-violation"],
    ["a number as a string", "/target", { target: "21" }, "schema-violation"],
    ["a value out of range", "/target", { target: 90.01 }, "schema-violation"],
    ["a value outside of an enum", "/mode", { mode: "sideways" }, "schema-violation"],
    ["an object without a required member", "/schedule", { schedule: {} }, "schema-violation"],
    ["a number too large for a double", "/anything", '{"anything":1e999}', "malformed"],
    ["a lone surrogate", "/anything", '{"anything":"\\ud800"}', "malformed"],
    [
      "deep nesting",
      "/anything",
      `{"anything":${"[".repeat(DEEP)}${"]".repeat(DEEP)}}`,
      "malformed",
    ],
    ["__proto__ as a key", "/target", '{"__proto__":{"target":1}}', "malformed"],
    ["__proto__ in a map", "", '{"__proto__":1}', "unknown-affordance"],
    ["constructor in a map", "", '{"constructor":1}', "unknown-affordance"],
    ["an empty map", "", {}, "malformed"],
    ["a map that is an array", "", [], "malformed"],
    ["an unknown property", "/pressure", { pressure: 1 }, "unknown-affordance"],
    ["the property __proto__", "/__proto__", '{"__proto__":1}', "unknown-affordance"],
    [
      "a value above limits.value_bytes",
      "/anything",
      { anything: "x".repeat(65_536) },
      "too-large",
    ],
    ["a topic that goes on too far", "/target/celsius", { target: 1 }, "unknown-topic"],
    ["a trailing slash", "/target/", { target: 1 }, "unknown-topic"],
    ["no property name", "/", { "": 1 }, "unknown-topic"],
    ["the name ..", "/..", { "..": 1 }, "unknown-topic"],
    ["a packet above limits.packet_bytes", "/anything", "x".repeat(PACKET_BYTES), "too-large"],
    ["a topic of 100 levels", "/x".repeat(95), { x: 1 }, "too-many-levels"],
  ];

for (const [what, tail, payload, code] of REFUSED) {
  await test(`${what} is refused with ${code}, and the next good value is taken`, async (t) => {
    await refuses(t, SET + tail, payload, code);
  });
}

await test("a refusal names the topic, the time and what was wrong, never the payload", async (t) => {
  await device.publish(`${SET}/target`, { target: "a secret value" });
  const [[topic, report] = []] = await device.takeJson();
  t.equal(topic, ERRORS);
  t.strictSame(Object.keys(report as object), ["topic", "code", "detail", "timestamp"]);
  t.match(report, {
    topic: `${SET}/target`,
    detail: /target/,
    timestamp: /^2027-03-01T.*\.\d{3}Z$/,
  });
  t.notMatch((report as { detail: string }).detail, /secret/);
});

await test("a refusal on a long topic is told in a message that a small device can hold", async (t) => {
  site.clock.advance(60_000);
  await device.publish(`${SET}/${"x".repeat(2_000)}`, {});
  const [message] = await device.take();
  t.ok((message?.text.length ?? Infinity) < 700);
});

for (const [what, topic] of [
  ["no Thing of this name", "set/A/things/nothing/properties/x"],
  ["another account", "set/B/things/boiler/properties/target"],
  ["no such tree", "set/A/stuff/boiler"],
  ["status, which the broker writes alone", `${STATUS}/target`],
  ["$SYS", "$SYS/broker/uptime"],
  ["a free topic without a grant", "line1/speed"],
] as const) {
  await test(`a publish to ${what} is acknowledged, counted and told to nobody`, async (t) => {
    await refuses(t, topic, { target: 1 }, undefined);
  });
}

await test("with a grant on every Thing an unknown one is counted as such", async (t) => {
  const installer = await Client.connect(t, site, everything);
  const before = await refusedCounts();
  await installer.publish("set/A/things/nothing/properties/x", { x: 1 });
  await installer.publish("set/A/things/nothing/actions/x", { x: {} });
  await installer.publish("set/A/things/nothing/events/x", { x: {} });
  await installer.publish("A/data/nothing", { x: 1 });
  const after = await refusedCounts();
  t.equal((after["unknown-thing"] ?? 0) - (before["unknown-thing"] ?? 0), 4);
});

await test("what has no grant on a Thing is not told of there", async (t) => {
  await site.makeThing("pump", BOILER);
  const outsider = await Client.connect(t, site, await site.makeDevice("pump"));
  await outsider.publish(`${SET}/target`, { target: 1 });
  await outsider.publish(`${SET}/target`, "{");
  t.same(await device.take(), []);
});

await test("refusals are told thirty times a minute and publisher, and all are counted", async (t) => {
  site.clock.advance(60_000);
  const other = await Client.connect(t, site, await site.makeDevice("boiler"));
  const before = await refusedCounts();
  for (let time = 0; time < 40; time += 1) await device.publish(`${SET}/target`, "{");
  t.equal((await device.take()).length, 30);
  const after = await refusedCounts();
  t.equal((after["not-json"] ?? 0) - (before["not-json"] ?? 0), 40);
  await other.publish(`${SET}/target`, "{");
  t.equal((await device.take()).length, 1, "another publisher's are told still");
  site.clock.advance(60_000);
  await device.publish(`${SET}/target`, "{");
  t.equal((await device.take()).length, 1, "and the next minute's");
});

await test("an oversized publish of each QoS is answered and the connection goes on", async (t) => {
  site.clock.advance(60_000);
  const raw = await RawClient.connect(t, site, login, { clientId: "large" });
  const large = "x".repeat(PACKET_BYTES + 100_000);
  raw.send(publishPacket(`${SET}/anything`, large, { qos: 0 }));
  raw.send(publishPacket(`${SET}/anything`, large, { qos: 1, id: 1 }));
  raw.send(publishPacket(`${SET}/anything`, large, { qos: 2, id: 2 }));
  raw.send({ cmd: "pubrel", messageId: 2 });
  raw.send(publishPacket(`${SET}/target`, { target: 7 }, { qos: 1, id: 3 }));
  t.match(await raw.take(4), [
    { cmd: "puback", messageId: 1 },
    { cmd: "pubrec", messageId: 2 },
    { cmd: "pubcomp", messageId: 2 },
    { cmd: "puback", messageId: 3 },
  ]);
  const codes = (await device.takeJson()).map(([, value]) => value);
  const tooLarge = { code: "too-large" };
  t.match(codes, [tooLarge, tooLarge, tooLarge, { target: 7 }]);
});

const CLOSING: readonly (readonly [what: string, topic: Buffer])[] = [
  ["NUL", Buffer.from(`${SET}/tar\0get`)],
  ["+", Buffer.from(`${SET}/+`)],
  ["#", Buffer.from(`${SET}/#`)],
  ["bad UTF-8", Buffer.concat([Buffer.from(`${SET}/`), Buffer.of(0xc3, 0x28)])],
  ["nothing", Buffer.alloc(0)],
];

for (const [what, topic] of CLOSING) {
  await test(`${what} in a topic name closes the connection, and changes nothing`, async (t) => {
    const raw = await RawClient.connect(t, site, login, { clientId: "closing" });
    const body = Buffer.concat([
      Buffer.of(topic.length >> 8, topic.length & 0xff),
      topic,
      Buffer.from('{"target":66}'),
    ]);
    raw.send(Buffer.concat([Buffer.of(0x30, body.length), body]));
    t.same(await raw.untilClosed(), []);
    const again = await RawClient.connect(t, site, login, { clientId: "closing" });
    again.send(publishPacket(`${SET}/target`, { target: 8 }, { qos: 1, id: 1 }));
    t.match(await again.take(1), [{ cmd: "puback", messageId: 1 }]);
    t.match(await device.takeJson(), [[`${STATUS}/target`, { target: 8 }]]);
  });
}

await test("an oversized packet that is no publish closes the connection", async (t) => {
  const raw = await RawClient.connect(t, site, login, { clientId: "closing" });
  const filters = Object.fromEntries(
    Array.from({ length: 30 }, (_, index) => [`${"x".repeat(10_000)}${index}`, 0 as const]),
  );
  raw.send(subscribePacket(1, filters));
  t.same(await raw.untilClosed(), []);
});
