import { t as file, test } from "tap";
import { Client } from "./client.ts";
import { Site, type Login } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
const boiler = (await site.makeThing("boiler", BOILER)).json as { uid: string };
const pump = (await site.makeThing("pump", BOILER)).json as { uid: string };
await site.did("PUT", "/gateway/accounts/B", {});
await site.makeThing("boiler", BOILER, "B");

const things = (more: object) => ({ entity: "things", ...more });
const LOGINS = {
  device: await site.makeDevice("boiler"),
  consumer: await site.makeCredential([things({ id: ["boiler"], role: "consumer" })]),
  two: await site.makeDevice("boiler", "pump"),
  byUid: await site.makeDevice(boiler.uid),
  all: await site.makeCredential([things({ id: ["*"] })]),
  definer: await site.makeCredential([things({ id: ["boiler"], definition: true })]),
  installer: await site.makeCredential([things({ id: ["*"], definition: true })]),
  recorder: await site.makeCredential([{ entity: "data", id: ["boiler"] }]),
  archive: await site.makeCredential([{ entity: "data", id: ["*"] }]),
  line: await site.makeCredential([
    { entity: "topics", patterns: [{ pub: "line1/#", sub: "line1/+/speed" }] },
  ]),
  wide: await site.makeCredential([{ entity: "topics", patterns: [{ pub: "#", sub: "#" }] }]),
} satisfies Record<string, Login>;
type Who = keyof typeof LOGINS;

const S = "status/A/things/boiler";
/** What each is granted, and what not. */
const FILTERS: Readonly<Record<Who, { granted: readonly string[]; refused: readonly string[] }>> = {
  device: {
    granted: [
      `${S}/properties/target`,
      `${S}/properties/+`,
      `${S}/properties/#`,
      `${S}/properties`,
      `${S}/actions/#`,
      `${S}/events/alarm`,
      `${S}/errors`,
      `${S}/#`,
      `${S}/+/target`,
      `${S}/+`,
      `${S}/+/#`,
      `status/A/things/${boiler.uid}/properties/#`,
      `status/A/things/${boiler.uid}/errors`,
    ],
    refused: [
      "#",
      "+/#",
      "status/#",
      "status/A/#",
      "status/A/things/#",
      "status/A/things/+/properties/#",
      "status/A/+/boiler/properties/#",
      "status/+/things/boiler/properties/#",
      "+/A/things/boiler/properties/target",
      S,
      `${S}/nothing`,
      "status/A/things/pump/properties/#",
      `status/A/things/${pump.uid}/properties/#`,
      "status/B/things/boiler/properties/#",
      "set/A/things/boiler/properties/target",
      "set/A/things/boiler/#",
      "set/#",
      "A/data/boiler",
      "A/data/#",
      "$SYS/#",
      "$SYS/broker/uptime",
      `$share/group/${S}/properties/#`,
      "line1/a/speed",
    ],
  },
  consumer: {
    granted: [`${S}/properties/#`, `${S}/actions/#`, `${S}/events/#`, `${S}/errors`, `${S}/#`],
    refused: [S, "status/A/things/pump/#", "set/A/things/boiler/events/#", "A/data/boiler"],
  },
  two: {
    granted: [`${S}/#`, "status/A/things/pump/#", "status/A/things/pump/properties/+"],
    refused: ["status/A/things/+/#", "status/A/things/+/properties/target"],
  },
  byUid: {
    granted: [`${S}/properties/#`, `status/A/things/${boiler.uid}/#`],
    refused: ["status/A/things/pump/#"],
  },
  all: {
    granted: [
      "status/A/things/+/#",
      "status/A/things/+/properties/target",
      "status/A/things/+/errors",
      `${S}/#`,
      "status/A/things/tomorrow/properties/#",
      "status/A/things/+",
    ],
    refused: [
      "status/A/things/#",
      "status/A/things/boiler",
      "status/B/things/+/#",
      "status/+/things/+/#",
      "set/A/things/+/#",
      "#",
    ],
  },
  definer: {
    granted: [S, `${S}/#`],
    refused: ["status/A/things/+", "status/A/things/pump"],
  },
  installer: {
    granted: ["status/A/things/+", S, "status/A/things/tomorrow"],
    refused: ["status/A/things/#", "status/B/things/+"],
  },
  recorder: {
    granted: ["A/data/boiler", `A/data/${boiler.uid}`, `${S}/errors`],
    refused: ["A/data/+", "A/data/#", "A/data/pump", "B/data/boiler", "+/data/boiler"].concat([
      `${S}/properties/#`,
      S,
    ]),
  },
  archive: {
    granted: ["A/data/+", "A/data/boiler", "status/A/things/+/errors"],
    refused: ["A/data/#", "+/data/+", "B/data/+", "status/A/things/+/properties/#"],
  },
  line: {
    granted: ["line1/a/speed", "line1/+/speed"],
    refused: ["line1/#", "line1/a/+", "line1/a/b/speed", "line2/a/speed", "#", "+/a/speed"],
  },
  wide: {
    granted: ["#", "+/#", "+", "line1/#", "/", "a//b"],
    refused: ["$SYS/#", "$share/g/#", "$anything"],
  },
};

for (const who of Object.keys(FILTERS) as Who[]) {
  const { granted, refused } = FILTERS[who];
  await test(`${who} is granted what lies within its patterns, and 0x80 for the rest`, async (t) => {
    const client = await Client.connect(t, site, LOGINS[who]);
    for (const qos of [0, 1, 2] as const) {
      const codes = await client.subscribe(granted, qos);
      t.strictSame(Object.fromEntries(granted.map((filter, at) => [filter, codes[at]])), {
        ...Object.fromEntries(granted.map((filter) => [filter, qos])),
      });
    }
    const codes = await client.subscribe(refused);
    t.strictSame(
      Object.fromEntries(refused.map((filter, at) => [filter, codes[at]])),
      Object.fromEntries(refused.map((filter) => [filter, 0x80])),
    );
  });
}

/** Topics published to and whether the credential may: each good publish is told on `status`. */
const PUBLISHES: readonly (readonly [topic: string, payload: object, may: readonly Who[]])[] = [
  [
    "set/A/things/boiler/properties/target",
    { target: 1 },
    ["device", "consumer", "two", "byUid", "all", "definer", "installer"],
  ],
  [
    "set/A/things/boiler/properties/temperature",
    { temperature: 1 },
    ["device", "two", "byUid", "all", "definer", "installer"],
  ],
  [
    "set/A/things/boiler/actions/reset",
    { reset: {} },
    ["device", "consumer", "two", "byUid", "all", "definer", "installer"],
  ],
  [
    "set/A/things/boiler/events/boot",
    { boot: {} },
    ["device", "two", "byUid", "all", "definer", "installer"],
  ],
  ["set/A/things/pump/properties/target", { target: 1 }, ["two", "all", "installer"]],
  ["set/A/things/boiler", { title: "x" }, ["definer", "installer"]],
  ["A/data/boiler", { x: 1 }, ["recorder", "archive"]],
  ["A/data/pump", { x: 1 }, ["archive"]],
  ["set/B/things/boiler/properties/target", { target: 1 }, []],
  ["line1/any/where", {}, ["line", "wide"]],
  ["line2/any", {}, ["wide"]],
];

async function accepted(): Promise<number> {
  const reply = await site.did("GET", "/gateway");
  return (reply.json as { store: { sequence: number } }).store.sequence;
}

async function refusals(): Promise<number> {
  const reply = await site.did("GET", "/gateway");
  const { refused } = (reply.json as { broker: { refused: Record<string, number> } }).broker;
  return Object.values(refused).reduce((sum, count) => sum + count, 0);
}

for (const [topic, payload, may] of PUBLISHES) {
  const names = may.length === 0 ? "nobody" : may.join(", ");
  await test(`${topic} is taken of ${names}, and of nobody else`, async (t) => {
    await site.did("PUT", `/A/things/boiler`, BOILER);
    for (const who of Object.keys(LOGINS) as Who[]) {
      const client = await Client.connect(t, site, LOGINS[who]);
      const before = { accepted: await accepted(), refused: await refusals() };
      await client.publish(topic, payload);
      const isFree = topic.startsWith("line");
      const took = (await accepted()) - before.accepted;
      const refused = (await refusals()) - before.refused;
      const expected = may.includes(who)
        ? { took: isFree ? 0 : 1, refused: 0 }
        : { took: 0, refused: 1 };
      t.same({ took, refused }, expected, who);
      await client.end();
    }
  });
}

await test("* covers a Thing made tomorrow, and status/A/things/+/# brings its status", async (t) => {
  const client = await Client.connect(t, site, LOGINS.all);
  await client.subscribe("status/A/things/+/#");
  await client.take();
  await site.makeThing("tomorrow", BOILER);
  await site.did("PUT", "/A/things/tomorrow/properties/target", { target: 5 });
  await client.publish("set/A/things/tomorrow/properties/target", { target: 6 });
  t.same(await client.takeTexts(), [
    'status/A/things/tomorrow/properties/target {"target":5}',
    'status/A/things/tomorrow/properties/target {"target":6}',
  ]);
});

await test("status/A/things/T/# is filtered when forwarding: no description without its right", async (t) => {
  const device = await Client.connect(t, site, LOGINS.device);
  const definer = await Client.connect(t, site, LOGINS.definer);
  await device.subscribe(`${S}/#`);
  await definer.subscribe(`${S}/#`);
  await device.take();
  await definer.take();
  await definer.publish("set/A/things/boiler", { title: "Boiler 3" });
  await device.publish("set/A/things/boiler/properties/target", { target: 9 });
  t.same(
    (await device.take()).map(({ topic }) => topic),
    [`${S}/properties/target`],
  );
  const topics = (await definer.take()).map(({ topic }) => topic);
  t.same(topics.slice(-2), [S, `${S}/properties/target`]);
});

await test("a Thing that is deleted takes its grants with it, and a new one of its id has none", async (t) => {
  await site.makeThing("brief", BOILER);
  const login = await site.makeDevice("brief", "pump");
  const client = await Client.connect(t, site, login, { clientId: "brief", clean: false });
  await client.subscribe("status/A/things/brief/#");
  await site.did("DELETE", "/A/things/brief");
  await site.makeThing("brief", BOILER);
  await site.did("PUT", "/A/things/brief/properties/target", { target: 5 });
  t.same(await client.take(), []);
  t.same(await client.subscribe("status/A/things/brief/#"), [128]);
  await client.publish("set/A/things/brief/properties/target", { target: 6 });
  t.same((await site.did("GET", "/A/things/brief/properties/target")).json, { target: 5 });
});

await test("a refused filter of a mixed SUBSCRIBE delivers nothing, now or after a reconnect", async (t) => {
  const options = { clientId: "mixed", clean: false };
  const filters = [`${S}/properties/target`, "status/A/things/pump/properties/target"];
  const client = await Client.connect(t, site, LOGINS.device, options);
  t.same(await client.subscribe(filters), [1, 128]);
  await client.take();
  const publishBoth = async (value: number): Promise<void> => {
    await site.did("PUT", "/A/things/pump/properties/target", { target: value });
    await site.did("PUT", "/A/things/boiler/properties/target", { target: value });
  };
  const own = (value: number) => [`${S}/properties/target {"target":${value}}`];
  await publishBoth(11);
  t.same(await client.takeTexts(), own(11));
  await client.end();
  await publishBoth(12);
  const again = await Client.connect(t, site, LOGINS.device, options);
  t.equal(again.sessionPresent, true);
  await publishBoth(13);
  t.same(await again.takeTexts(), [...own(12), ...own(13)]);
  await again.end();
  await site.restart();
  await publishBoth(14);
  const later = await Client.connect(t, site, LOGINS.device, options);
  t.same(await later.takeTexts(), own(14));
});

await test("a filter granted in the past brings nothing once the grant is gone", async (t) => {
  const login = await site.makeDevice("boiler", "pump");
  const client = await Client.connect(t, site, login, { clientId: "narrowed", clean: false });
  await client.subscribe(["status/A/things/boiler/#", "status/A/things/pump/#"]);
  await client.take();
  await site.did("PATCH", `/A/mqtt/${login.ulid}`, { resources: [things({ id: ["pump"] })] });
  for (const id of ["boiler", "pump"]) {
    await site.did("PUT", `/A/things/${id}/properties/target`, { target: 21 });
  }
  t.same(await client.takeTexts(), ['status/A/things/pump/properties/target {"target":21}']);
});
