import { t as file, test } from "tap";
import { matchesFilter } from "../../src/thing/topics.ts";
import { Client, connackCode } from "./client.ts";
import { Site, type Login } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
await site.makeThing("pump", BOILER);

type Made = Login & {
  readonly topics: readonly { readonly pattern_pub: string; readonly pattern_sub: string }[];
};

async function make(json: object): Promise<Made> {
  return (await site.did("POST", "/A/mqtt", json)).json as Made;
}

async function count(): Promise<number> {
  const reply = await site.did("GET", "/A/mqtt?limit=1000");
  return (reply.json as { data: readonly unknown[] }).data.length;
}

async function refused(): Promise<number> {
  const reply = await site.did("GET", "/gateway");
  const { broker } = reply.json as { broker: { refused: Record<string, number> } };
  return Object.values(broker.refused).reduce((sum, each) => sum + each, 0);
}

/** A good publish to every kind of topic there is. */
const SAMPLES: readonly (readonly [topic: string, payload: object | string])[] = [
  "boiler",
  "pump",
].flatMap((id) => [
  [`set/A/things/${id}/properties/target`, { target: 1 }],
  [`set/A/things/${id}/properties`, { target: 2, mode: "on" }],
  [`set/A/things/${id}/actions/reset`, { reset: {} }],
  [`set/A/things/${id}/events/boot`, { boot: {} }],
  [`set/A/things/${id}`, { title: id }],
  [`A/data/${id}`, { x: 1 }],
  [`line1/${id}/speed`, "12"],
]);

const KINDS: readonly (readonly [what: string, resources: readonly object[]])[] = [
  ["a device of one Thing", [{ entity: "things", id: ["boiler"] }]],
  ["a device of two Things", [{ entity: "things", id: ["boiler", "pump"] }]],
  ["a consumer", [{ entity: "things", id: ["boiler"], role: "consumer" }]],
  ["every Thing", [{ entity: "things", id: ["*"] }]],
  ["a definition", [{ entity: "things", id: ["boiler"], definition: true }]],
  ["every definition", [{ entity: "things", id: ["*"], definition: true }]],
  ["data", [{ entity: "data", id: ["boiler"] }]],
  ["all data", [{ entity: "data", id: ["*"] }]],
  ["free topics", [{ entity: "topics", patterns: [{ pub: "line1/#", sub: "line1/+/speed" }] }]],
  [
    "several resources",
    [
      { entity: "things", id: ["boiler"], role: "consumer" },
      { entity: "things", id: ["pump"] },
      { entity: "data", id: ["pump"] },
    ],
  ],
];

for (const [what, resources] of KINDS) {
  await test(`a credential of ${what} may publish and subscribe what its answer shows, and no more`, async (t) => {
    const made = await make({ resources });
    const client = await Client.connect(t, site, made);
    const filters = made.topics.map(({ pattern_sub: filter }) => filter);
    t.same(await client.subscribe(filters), Array(filters.length).fill(1));
    for (const [topic, payload] of SAMPLES) {
      const isShown = made.topics.some(
        ({ pattern_pub: filter }) => filter !== "" && matchesFilter(filter, topic),
      );
      const before = await refused();
      await client.publish(topic, payload);
      t.equal((await refused()) - before, isShown ? 0 : 1, topic);
    }
  });
}

await test("a chosen user and password are taken as they are", async (t) => {
  const resources = [{ entity: "things", id: ["boiler"] }];
  const made = await make({ resources, user: "line-1@hall.3", password: "geheim" });
  t.match(made, { username: "line-1@hall.3", password: "geheim" });
  t.equal(await connackCode(t, site, made), 0);
  const before = await count();
  const again = await site.call("POST", "/A/mqtt", { json: { resources, user: "line-1@hall.3" } });
  t.match(again, { status: 409, json: { code: "conflict" } });
  t.equal(await count(), before);
});

await test("a request that cannot be granted as a whole makes nothing", async (t) => {
  const before = await count();
  for (const [status, resources] of [
    [404, [{ entity: "things", id: ["boiler", "nothing"] }]],
    [
      404,
      [
        { entity: "things", id: ["boiler"] },
        { entity: "data", id: ["nothing"] },
      ],
    ],
    [400, []],
    [400, [{ entity: "things", id: [] }]],
    [400, [{ entity: "things", id: ["*", "boiler"] }]],
    [400, [{ entity: "everything", id: ["*"] }]],
    [400, [{ entity: "topics", patterns: [{ pub: "set/#", sub: "" }] }]],
    [400, [{ entity: "topics", patterns: [{ pub: "a/#/b", sub: "" }] }]],
  ] as const) {
    const reply = await site.call("POST", "/A/mqtt", { json: { resources } });
    t.equal(reply.status, status, JSON.stringify(resources));
  }
  t.equal(await count(), before);
});

await test("many credentials are all different and all work", async (t) => {
  const all = await Promise.all(
    Array.from({ length: 60 }, async () => make({ resources: [{ entity: "data", id: ["*"] }] })),
  );
  t.equal(new Set(all.map(({ username }) => username)).size, all.length);
  t.equal(new Set(all.map(({ password }) => password)).size, all.length);
  for (const { username, password } of all) {
    t.match(username, /^[a-z0-9]{11}$/);
    t.match(password, /^[A-Za-z0-9!#$%*+\-=@^_~.:]{20,}$/);
  }
  for (const login of all.slice(0, 5)) t.equal(await connackCode(t, site, login), 0);
});

await test("a device whose password is rotated with an overlap never loses a message", async (t) => {
  const made = await make({ resources: [{ entity: "things", id: ["boiler"] }] });
  const options = { clientId: "rotating", clean: false };
  const old = await Client.connect(t, site, made, options);
  await old.subscribe("status/A/things/boiler/events/#");
  const reply = await site.did("PATCH", `/A/mqtt/${made.ulid}`, { password: "", overlap: 3_600 });
  const { password } = reply.json as Made;
  const emit = async (data: string): Promise<unknown> =>
    site.did("POST", "/A/things/boiler/events/alarm", { alarm: { data } });
  await emit("before");
  t.match(await old.takeJson(), [[/alarm/, { alarm: { data: "before" } }]]);
  await old.end();
  await emit("between");
  const renewed = await Client.connect(t, site, { ...made, password }, options);
  t.equal(renewed.sessionPresent, true);
  t.match(await renewed.takeJson(), [[/alarm/, { alarm: { data: "between" } }]]);
});
