import { t as file, test } from "tap";
import { Client } from "./client.ts";
import { Site } from "./site.ts";

const site = await Site.start(file);
await site.makeThing("lamp", {
  title: "Lamp",
  properties: { on: { type: "boolean" }, level: { type: "integer" } },
  actions: { fade: {} },
  events: { burnt: {} },
  "x:vendor": { deep: [1, 2] },
});
const login = await site.makeCredential([{ entity: "things", id: ["lamp"], definition: true }]);
const lamp = await Client.connect(file, site, login);
await lamp.subscribe("status/A/things/lamp/#");
const installerLogin = await site.makeCredential([
  { entity: "things", id: ["*"], definition: true },
]);
const installer = await Client.connect(file, site, installerLogin);
await installer.subscribe(["status/A/things/+", "status/A/things/+/errors"]);

type Description = Readonly<Record<string, object | string | undefined>>;

async function shown(id: string): Promise<Description> {
  return (await site.did("GET", `/A/things/${id}`)).json as Description;
}

/** Both clients have nothing left to read. */
async function drain(): Promise<void> {
  await lamp.take();
  await installer.take();
}

await test("a description replaces the Thing's, and its echo is what GET shows", async (t) => {
  await lamp.publish("set/A/things/lamp", { title: "Lamp at the door" });
  const echo = await shown("lamp");
  t.equal(echo["title"], "Lamp at the door");
  t.strictSame(await lamp.takeJson(), [["status/A/things/lamp", echo]]);
  t.strictSame(await installer.takeJson(), [["status/A/things/lamp", echo]]);
});

await test("what a description leaves out of its elements stays", async (t) => {
  await lamp.publish("set/A/things/lamp/properties/level", { level: 7 });
  for (const description of [
    { title: "Lamp" },
    { title: "Lamp", properties: {}, actions: {}, events: {} },
    { title: "Lamp", properties: { colour: { type: "string" } } },
  ]) {
    await lamp.publish("set/A/things/lamp", description);
    const now = await shown("lamp");
    t.ok(["on", "level"].every((name) => name in (now["properties"] as object)));
    t.ok("fade" in (now["actions"] as object) && "burnt" in (now["events"] as object));
  }
  t.ok("colour" in ((await shown("lamp"))["properties"] as object), "and what is new comes in");
  t.same((await site.did("GET", "/A/things/lamp/properties/level")).json, { level: 7 });
  await drain();
});

await test("an element that is given replaces the one there was", async (t) => {
  await lamp.publish("set/A/things/lamp", {
    properties: { level: { type: "number", maximum: 5 } },
  });
  const { properties } = await shown("lamp");
  t.match(properties, { level: { type: "number", maximum: 5 }, on: { type: "boolean" } });
  await lamp.publish("set/A/things/lamp/properties/level", { level: 6 });
  t.match((await lamp.takeJson()).at(-1), [
    "status/A/things/lamp/errors",
    { code: "schema-violation" },
  ]);
  await drain();
});

await test("no payload that arrives by MQTT deletes a Thing or an element", async (t) => {
  const before = await shown("lamp");
  for (const retain of [false, true]) {
    for (const payload of ["", "null", "[]", '{"properties":null}', '{"properties":[]}', '""']) {
      await lamp.publish("set/A/things/lamp", payload, { retain });
    }
    for (const topic of ["properties/on", "actions/fade", "events/burnt", "properties"]) {
      await lamp.publish(`set/A/things/lamp/${topic}`, "", { retain });
      await lamp.publish(`set/A/things/lamp/${topic}`, "null", { retain });
    }
    await lamp.publish("status/A/things/lamp", "", { retain });
  }
  t.strictSame(await shown("lamp"), before);
  await drain();
});

await test("definition with * creates Things, known at once by id", async (t) => {
  await installer.publish("set/A/things/door", { properties: { open: { type: "boolean" } } });
  t.match(await installer.takeJson(), [
    ["status/A/things/door", { id: "door", uid: /^[0-9A-HJKMNP-TV-Z]{26}$/ }],
  ]);
  await installer.publish("set/A/things/door/properties/open", { open: true });
  t.same((await site.did("GET", "/A/things/door/properties/open")).json, { open: true });
});

await test("what GET gave can be published again", async (t) => {
  const before = await shown("door");
  await installer.publish("set/A/things/door", before);
  const after = await shown("door");
  t.strictSame({ ...after, modified: "" }, { ...before, modified: "" });
  await drain();
});

await test("a description is not retained", async (t) => {
  const later = await Client.connect(t, site, installerLogin);
  t.same(await later.subscribe("status/A/things/+"), [1]);
  t.same(await later.take(), []);
});

const REFUSED: readonly (readonly [what: string, payload: string, code: string])[] = [
  ["no JSON", "{", "not-json"],
  ["no object", "5", "description-invalid"],
  ["an id that is another", '{"id":"window"}', "description-invalid"],
  ["a property of no known type", '{"properties":{"x":{"type":"colour"}}}', "description-invalid"],
  ["a property name with a slash", '{"properties":{"a/b":{}}}', "description-invalid"],
  ["a property name that is a wildcard", '{"properties":{"#":{}}}', "description-invalid"],
  ["a property name with NUL", '{"properties":{"a\\u0000b":{}}}', "description-invalid"],
  ["33 levels of nesting", `{"x":${"[".repeat(33)}${"]".repeat(33)}}`, "malformed"],
];

for (const [what, payload, code] of REFUSED) {
  await test(`a description with ${what} is refused, and the next good one is taken`, async (t) => {
    await installer.publish("set/A/things/door", payload);
    await installer.publish("set/A/things/door", { title: what });
    t.match(await installer.takeJson(), [
      ["status/A/things/door/errors", { code, topic: "set/A/things/door" }],
      ["status/A/things/door", { title: what }],
    ]);
  });
}

await test("__proto__ in a description is a name like any other", async (t) => {
  await installer.publish("set/A/things/door", '{"__proto__":{"polluted":1},"x":{"__proto__":2}}');
  const reply = await fetch(`${site.url}/A/things/door`, {
    headers: { authorization: "Bearer slu_0123456789abcdefghij" },
  });
  t.match(await reply.text(), /"__proto__":\{"polluted":1\}/);
  t.equal(Object.hasOwn(Object.prototype, "polluted"), false);
  await drain();
});

await test("without the definition right nothing is defined and no description is read", async (t) => {
  const plain = await Client.connect(t, site, await site.makeDevice("door"));
  t.same(await plain.subscribe(["status/A/things/door", "status/A/things/+"]), [128, 128]);
  t.same(await plain.subscribe("status/A/things/door/#"), [1], "granted, and filtered");
  await plain.take();
  const before = await shown("door");
  await plain.publish("set/A/things/door", { title: "mine" });
  await plain.publish("set/A/things/gate", { title: "mine" });
  t.strictSame(await shown("door"), before);
  t.equal((await site.call("GET", "/A/things/gate")).status, 404);
  await installer.publish("set/A/things/door", { title: "Door" });
  t.match(await plain.takeJson(), [["status/A/things/door/errors", { code: "forbidden" }]]);
  await drain();
});

await test("definition of one Thing creates no other", async (t) => {
  await lamp.publish("set/A/things/porch", { title: "mine" });
  t.equal((await site.call("GET", "/A/things/porch")).status, 404);
  await installer.publish("set/A/things/lamp", { title: "Lamp" });
  t.equal((await shown("lamp"))["title"], "Lamp");
  await drain();
});

await test("a description in another account is refused", async (t) => {
  await site.did("PUT", "/gateway/accounts/B", {});
  await installer.publish("set/B/things/door", { title: "mine" });
  t.equal((await site.call("GET", "/B/things/door")).status, 404);
});
