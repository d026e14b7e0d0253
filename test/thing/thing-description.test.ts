import fc from "fast-check";
import { test } from "tap";
import { defaultLimits } from "../../src/limits.ts";
import { parseJson } from "../../src/thing/data-schema.ts";
import type { Json, JsonObject } from "../../src/thing/json.ts";
import {
  affordancesOf,
  mergeElements,
  readThingDescription,
  removeAffordance,
  renderThingDescription,
  renderWotThingDescription,
  type DescriptionOutcome,
} from "../../src/thing/thing-description.ts";
import type { Thing } from "../../src/thing/thing.ts";

const limits = defaultLimits();

/** As it would arrive: with `__proto__` an own member. */
function arrived(text: string): JsonObject {
  const outcome = parseJson(text);
  if (!outcome.ok) throw new Error(outcome.code);
  return outcome.value as JsonObject;
}

function readGood(input: unknown): DescriptionOutcome & { ok: true } {
  const read = readThingDescription(input, limits);
  if (!read.ok) throw new Error(JSON.stringify(read.faults));
  return read;
}

function pointersOf(input: unknown, given = limits): readonly string[] {
  const read = readThingDescription(input, given);
  return read.ok ? [] : read.faults.map(({ pointer }) => pointer);
}

function thingOf(description: JsonObject): Thing {
  return {
    number: 1,
    uid: "01J00000000000000000000000",
    account: "site",
    id: "boiler",
    created: Date.parse("2026-01-02T03:04:05.006Z"),
    modified: Date.parse("2026-01-02T03:04:05.007Z"),
    revision: 7,
    description,
    ...affordancesOf(description),
  };
}

const boiler = arrived(`{
  "@context": ["https://www.w3.org/2019/wot/td/v1", {"x": "https://example.org/#"}],
  "title": "Boiler",
  "x:colour": {"deep": [1, null]},
  "properties": {
    "temp": {"type": "number", "unit": "°C", "readOnly": true, "forms": [{"href": "coap://x/t"}]},
    "set point": {"type": "number", "minimum": 5},
    "secret": {"type": "string", "writeOnly": true}
  },
  "actions": {"flush": {"input": {"type": "integer"}, "output": {"type": "string"}}, "beep": {}},
  "events": {"alarm": {"data": {"type": "string"}}, "bare": {}}
}`);

await test("what is given comes back as it was, and in its order", (t) => {
  const input = { uid: 1, title: "a", id: "T", "x:y": [1], created: 3, modified: {}, base: "b" };
  const read = readGood(input);
  t.equal(JSON.stringify(read.description), '{"title":"a","x:y":[1],"base":"b"}');
  t.equal(read.id, "T");
  t.same(readThingDescription({}, limits), {
    ok: true,
    id: undefined,
    description: {},
    affordances: { properties: new Map(), actions: new Map(), events: new Map() },
  });
  t.end();
});

await test("the affordances are what the gateway acts on", (t) => {
  const read = readGood(boiler);
  const { properties, actions, events } = read.affordances;
  t.same([...properties.keys()], ["temp", "set point", "secret"]);
  t.match(properties.get("temp"), { name: "temp", readOnly: true, writeOnly: false });
  t.match(properties.get("secret"), { readOnly: false, writeOnly: true });
  t.same(properties.get("set point")?.schema, { type: "number", minimum: 5 });
  t.same(actions.get("flush"), {
    name: "flush",
    input: { type: "integer" },
    output: { type: "string" },
  });
  t.same(actions.get("beep"), { name: "beep", input: undefined, output: undefined });
  t.same(events.get("alarm"), { name: "alarm", data: { type: "string" } });
  t.same(events.get("bare"), { name: "bare", data: undefined });
  t.end();
});

await test("an id is a Thing id, or a URI that ends in one", (t) => {
  const table: readonly (readonly [given: unknown, id: string | undefined])[] = [
    ["AwesomeDevice", "AwesomeDevice"],
    ["/things/AwesomeDevice", "AwesomeDevice"],
    ["https://example.org/site/things/a.b-c_d", "a.b-c_d"],
    ["urn:dev:ops:32473-lamp", "urn:dev:ops:32473-lamp"],
    ["urn:x/lamp", "lamp"],
    ["01J00000000000000000000000", "01J00000000000000000000000"],
  ];
  for (const [given, id] of table) {
    t.match(readThingDescription({ id: given }, limits), { ok: true, id }, String(given));
  }
  const refused = [
    "",
    "a b",
    "/things/",
    "-a",
    "a%20b",
    "a?b",
    "a+b",
    "é",
    "a".repeat(129),
    1,
    null,
  ];
  for (const id of refused) t.same(pointersOf({ id }), ["/id"], JSON.stringify(id));
  t.end();
});

const EXPECTED_POINTERS = [
  "/id",
  "/@context",
  "/@type",
  "/title",
  "/titles",
  "/description",
  "/descriptions",
  "/version",
  "/version/model",
  "/support",
  "/base",
  "/profile",
  "/links/0",
  "/links/0/rel",
  "/links/1",
  "/forms/0",
  "/forms/1/href",
  "/forms/1/op",
  "/security",
  "/securityDefinitions/a",
  "/securityDefinitions/c",
  "/schemaDefinitions/s/type",
  "/properties/a~1b",
  "/properties/",
  "/properties/..",
  "/properties/p",
  "/properties/q",
  "/properties/q/type",
  "/properties/q/observable",
  "/properties/q/forms",
  "/properties/r/forms/0/op",
  "/properties/r/uriVariables/v/type",
  "/properties/s/links",
  "/properties/s/sluice:coerce",
  "/properties/s/title",
  "/actions/a/input",
  "/actions/a/output/type",
  "/actions/a/safe",
  "/actions/a/idempotent",
  "/actions/a/synchronous",
  "/actions/b/forms/0",
  "/actions/b/forms/0/op",
  "/actions/b/title",
  "/actions/b/description",
  "/actions/b/@type",
  "/events/a/data",
  "/events/a/subscription",
  "/events/a/cancellation",
  "/events/a/dataResponse",
  "/events/b/forms/0/response",
  "/events/b/title",
  "/events/c",
];

await test("every broken rule is named with its pointer", (t) => {
  const input = arrived(`{
    "id": "a b",
    "@context": 1, "@type": [1], "title": 1, "titles": {"en": 1}, "description": null,
    "descriptions": [], "version": {"model": 1}, "support": 1, "base": 1, "profile": 1,
    "links": [{"rel": 1}, 1], "forms": [{"href": "/x"}, {"href": 1, "op": "readproperty"}],
    "security": ["a", "b"], "securityDefinitions": {"a": {}, "c": 1},
    "schemaDefinitions": {"s": {"type": "x"}},
    "properties": {
      "a/b": {}, "": {}, "..": {}, "p": 1,
      "q": {"type": "x", "observable": 1, "readOnly": true, "writeOnly": true, "forms": {}},
      "r": {"forms": [{"href": "/x", "op": "invokeaction"}], "uriVariables": {"v": {"type": 1}}},
      "s": {"links": 1, "sluice:coerce": 1, "title": 1}
    },
    "actions": {
      "a": {"input": 1, "output": {"type": 1}, "safe": 1, "idempotent": "x", "synchronous": null},
      "b": {"forms": [{"op": ["invokeaction", "x"]}], "title": 1, "description": 1, "@type": 1}
    },
    "events": {
      "a": {"data": [], "subscription": 1, "cancellation": 1, "dataResponse": 1},
      "b": {"forms": [{"href": "/x", "op": "subscribeevent", "response": {}}], "title": 1},
      "c": []
    }
  }`);
  t.same([...pointersOf(input)].sort(), EXPECTED_POINTERS.toSorted());
  t.end();
});

await test("members that are no maps are refused, and so is what is no object", (t) => {
  for (const input of [null, 1, "a", [], true]) t.same(pointersOf(input), [""]);
  t.same(pointersOf({ properties: [], actions: 1, events: null }), [
    "/properties",
    "/actions",
    "/events",
  ]);
  t.end();
});

await test("a description over a limit is refused before anything else is looked at", (t) => {
  const properties = { a: {}, b: {}, c: { type: "wrong" } };
  t.same(pointersOf({ properties }, defaultLimits({ affordances_per_thing: 2 })), [""]);
  t.same(
    pointersOf({ properties, actions: { d: {} } }, defaultLimits({ affordances_per_thing: 3 })),
    [""],
  );
  const bytes = Buffer.byteLength('{"title":"é"}');
  t.same(pointersOf({ title: "é" }, { ...limits, description_bytes: bytes }), []);
  t.same(pointersOf({ title: "é" }, { ...limits, description_bytes: bytes - 1 }), [""]);
  t.same(pointersOf(JSON.parse('{"x":'.repeat(33) + "1" + "}".repeat(33))), [""]);
  t.same(pointersOf({ x: "\ud800" }), [""]);
  t.end();
});

await test("names of Object.prototype are names as any other and pollute nothing", (t) => {
  const element = '{"title":"x","readOnly":true}';
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty"];
  const map = `{${names.map((name) => `"${name}":${element}`).join(",")}}`;
  const input = arrived(
    `{"properties":${map},"actions":${map},"events":${map},"__proto__":{"a":1}}`,
  );
  const read = readGood(input);
  t.same([...read.affordances.properties.keys()], names);
  t.same([...read.affordances.events.keys()], names);
  t.equal(read.affordances.properties.get("__proto__")?.readOnly, true);
  t.equal(JSON.stringify(read.description), JSON.stringify(input));
  const removed = removeAffordance(read.description, "properties", "__proto__");
  t.equal(JSON.stringify(removed), JSON.stringify(input).replace(`"__proto__":${element},`, ""));
  t.equal(removeAffordance({ properties: {} }, "properties", "constructor"), undefined);
  const merged = mergeElements({ properties: {} }, read.description);
  t.equal(JSON.stringify(merged), JSON.stringify(input));
  const shown = renderWotThingDescription(thingOf(read.description), { http: "http://h" });
  t.same(Object.keys(shown["properties"] as object), names);
  t.equal(Object.getPrototypeOf(shown["properties"]), Object.prototype);
  t.equal(({} as { title?: unknown }).title, undefined);
  t.end();
});

await test("GET shows the description with what the gateway knows, and it can be PUT", (t) => {
  const shown = renderThingDescription(thingOf(boiler));
  t.match(shown, {
    id: "boiler",
    uid: "01J00000000000000000000000",
    title: "Boiler",
    created: "2026-01-02T03:04:05.006Z",
    modified: "2026-01-02T03:04:05.007Z",
  });
  const again = readThingDescription(shown, limits);
  t.match(again, { ok: true, id: "boiler" });
  t.equal(again.ok && JSON.stringify(again.description), JSON.stringify(boiler));
  t.end();
});

await test("an element is removed alone, and one that is not there is not", (t) => {
  const without = removeAffordance(boiler, "actions", "flush");
  t.same(without, { ...boiler, actions: { beep: {} } });
  t.equal(removeAffordance(boiler, "actions", "temp"), undefined);
  t.equal(removeAffordance({}, "events", "a"), undefined);
  t.end();
});

await test("a description that came by MQTT replaces but deletes no element", (t) => {
  const existing = {
    title: "old",
    base: "/",
    properties: { a: { type: "number" }, b: {} },
    events: { e: {} },
  };
  const incoming = {
    title: "new",
    properties: { a: { type: "string" }, c: {} },
    actions: { x: {} },
  };
  t.same(mergeElements(existing, incoming), {
    title: "new",
    properties: { a: { type: "string" }, b: {}, c: {} },
    actions: { x: {} },
    events: { e: {} },
  });
  t.same(mergeElements(existing, {}), { properties: existing.properties, events: existing.events });
  t.same(mergeElements({}, incoming), incoming);
  t.end();
});

type Affordance = { readonly forms: readonly JsonObject[] };

await test("a Thing Description for WoT has all that TD 1.1 demands", (t) => {
  for (const mqtt of [undefined, "mqtt://h:1883"]) {
    const bases = { http: "http://h:8080", ...(mqtt === undefined ? {} : { mqtt }) };
    for (const description of [{}, boiler]) {
      const shown = renderWotThingDescription(thingOf(description), bases);
      t.equal((shown["@context"] as Json[])[0], "https://www.w3.org/2022/wot/td/v1.1");
      t.equal(shown["id"], "http://h:8080/site/things/boiler");
      t.equal(shown["title"], "title" in description ? "Boiler" : "boiler");
      const definitions = Object.keys(shown["securityDefinitions"] as object);
      t.ok(definitions.includes(shown["security"] as string));
      for (const kind of ["properties", "actions", "events"]) {
        for (const affordance of Object.values((shown[kind] ?? {}) as Record<string, Affordance>)) {
          t.not(affordance.forms.length, 0);
          for (const { href, security } of affordance.forms) {
            t.type(href, "string");
            t.ok(security === undefined || definitions.includes(security as string));
          }
        }
      }
      t.same(pointersOf(shown), [], "and what it brings is right itself");
    }
  }
  t.end();
});

await test("forms lead to the paths and topics of the gateway, after those that were given", (t) => {
  const bases = { http: "http://h:8080", mqtt: "mqtt://h:1883" };
  const shown = renderWotThingDescription(thingOf(boiler), bases);
  const forms = (kind: string, name: string): readonly JsonObject[] =>
    (shown[kind] as Record<string, Affordance>)[name]!.forms;
  const at = "http://h:8080/site/things/boiler";
  t.match(forms("properties", "temp"), [
    { href: "coap://x/t" },
    { href: `${at}/properties/temp`, op: ["readproperty"], "sluice:keyed": true },
    {
      href: "mqtt://h:1883",
      op: ["readproperty", "observeproperty"],
      "mqv:controlPacket": "subscribe",
      "mqv:filter": "status/site/things/boiler/properties/temp",
      "mqv:retain": true,
    },
  ]);
  t.equal(forms("properties", "temp").length, 3);
  t.match(forms("properties", "set point"), [
    { href: `${at}/properties/set%20point`, op: ["readproperty", "writeproperty"] },
    { "mqv:filter": "status/site/things/boiler/properties/set point" },
    {
      op: "writeproperty",
      "mqv:controlPacket": "publish",
      "mqv:topic": "set/site/things/boiler/properties/set point",
    },
  ]);
  t.match(forms("properties", "secret"), [{ op: ["writeproperty"] }, { op: "writeproperty" }]);
  t.equal(forms("properties", "secret").length, 2);
  t.match(forms("actions", "flush"), [
    { href: `${at}/actions/flush`, op: "invokeaction" },
    { "mqv:topic": "set/site/things/boiler/actions/flush", op: "invokeaction" },
  ]);
  t.match(forms("events", "alarm"), [
    { "mqv:filter": "status/site/things/boiler/events/alarm", op: "subscribeevent" },
  ]);
  const polled = renderWotThingDescription(thingOf(boiler), { http: "http://h:8080" });
  t.match(polled["events"], {
    alarm: { forms: [{ href: `${at}/events/alarm`, "sluice:poll": true }] },
  });
  t.match(shown["forms"], [
    { href: `${at}/properties`, op: ["readallproperties", "writemultipleproperties"] },
  ]);
  t.end();
});

await test("any JSON is read without a throw, and what is read can be read again", (t) => {
  const words = "id title properties actions events forms links security type a __proto__ input";
  const { json } = fc.letrec<{ json: unknown }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom<unknown>("string", "T", "", 1, null, true, "readproperty"),
      fc.array(tie("json"), { maxLength: 3 }),
      fc
        .array(fc.tuple(fc.constantFrom(...words.split(" ")), tie("json")), { maxLength: 5 })
        .map(Object.fromEntries),
    ),
  }));
  fc.assert(
    fc.property(json, (input) => {
      const read = readThingDescription(input, limits);
      if (!read.ok) return read.faults.length > 0;
      const thing = thingOf(read.description);
      renderWotThingDescription(thing, { http: "http://h", mqtt: "mqtt://h" });
      const again = readThingDescription(renderThingDescription(thing), limits);
      return again.ok && JSON.stringify(again.description) === JSON.stringify(read.description);
    }),
    { numRuns: 2_000 },
  );
  t.end();
});
