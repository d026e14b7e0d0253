import { test } from "tap";
import { updateProperties, updateProperty } from "../../src/interactions/property-update.ts";
import type { RecordedChange } from "../../src/store/changes.ts";
import type { Principal } from "../../src/thing/access.ts";
import type { Json, JsonObject } from "../../src/thing/json.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN } = setup;

async function historyOf(harness: setup.Harness, name: string): Promise<readonly RecordedChange[]> {
  const { store } = harness.deps;
  await store.commit.flushed();
  const source = { thing: 1, of: "property", name } as const;
  return (await store.history.changes([source], { limit: 100 })).items;
}

/** One property as HTTP sets it. */
function set(
  harness: setup.Harness,
  name: string,
  body: Json,
  given: { readonly principal?: Principal; readonly others?: "refuse" | "ignore" } = {},
) {
  const { principal = ADMIN, others = "refuse" } = given;
  const on = { principal, account: ACCOUNT, thing: "boiler" };
  return updateProperty(harness.deps, { ...on, name, body, others });
}

function setAll(harness: setup.Harness, body: Json, principal: Principal = ADMIN) {
  return updateProperties(harness.deps, { principal, account: ACCOUNT, thing: "boiler", body });
}

await test("a value that is accepted is state, history and status at once", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const { clock } = harness;
  const before = harness.deps.store.commit.written.batches;
  const outcome = set(harness, "target", { target: 55 });
  t.same(outcome.values(), { target: 55 });
  t.same(outcome.ignored, []);
  const state = { value: 55, at: clock.wall, sequence: outcome.sequence };
  t.same(harness.deps.store.properties.get(thing.number, "target"), state);
  t.same(setup.takePublished(harness), [
    ["status/site/things/boiler/properties/target", { target: 55 }],
  ]);
  const [change] = await historyOf(harness, "target");
  t.match(change, { class: "property", at: clock.wall, values: { target: 55 } });
  t.equal(harness.deps.store.commit.written.batches, before + 1, "one batch");
  await harness.restart();
  t.same(harness.deps.store.properties.get(thing.number, "target"), state);
});

await test("two writes in one millisecond are two items of history, the later one is the state", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  set(harness, "target", { target: 1 });
  set(harness, "target", { target: 2 });
  const values = (await historyOf(harness, "target")).map((change) =>
    change.class === "property" ? change.values["target"] : undefined,
  );
  t.same(values, [2, 1]);
  t.equal(harness.deps.store.properties.get(1, "target")?.value, 2);
});

const REFUSED: readonly (readonly [
  why: string,
  name: string,
  body: Json,
  code: string,
  pointers: readonly string[],
])[] = [
  ["no object", "target", 55, "malformed", []],
  ["an array", "target", [55], "malformed", []],
  ["null", "target", null, "malformed", []],
  ["an empty object", "target", {}, "malformed", []],
  ["another key", "target", { mode: "eco" }, "malformed", []],
  ["two keys", "target", { target: 5, "a/b~": 1 }, "unknown-member", ["/a~1b~0"]],
  ["out of range", "target", { target: 91 }, "schema-violation", ["/target"]],
  ["a number as a string", "target", { target: "55" }, "schema-violation", ["/target"]],
  ["not of the enum", "mode", { mode: "off" }, "schema-violation", ["/mode"]],
  ["null for a number", "target", { target: null }, "schema-violation", ["/target"]],
  ["no such property", "colour", { colour: 1 }, "unknown-affordance", []],
  ["a name of Object.prototype", "constructor", { constructor: 1 }, "unknown-affordance", []],
  ["not a number to convert", "lenient", { lenient: "12a" }, "schema-violation", ["/lenient"]],
];
for (const [why, name, body, code, pointers] of REFUSED) {
  await test(`${why} is refused as ${code} and changes nothing`, async (t) => {
    const harness = await setup.startHarness(t);
    setup.makeBoiler(harness);
    const { sequence } = harness.deps.store.changes;
    const refusal = setup.refusalOf(() => set(harness, name, body));
    t.equal(refusal.code, code);
    t.same(refusal.pointers, pointers);
    t.equal(harness.deps.store.changes.sequence, sequence);
    t.equal(harness.deps.store.properties.ofThing(1).size, 0);
    t.same(harness.published, []);
    t.same(set(harness, "target", { target: 5 }).values(), { target: 5 }, "the next one is taken");
  });
}

await test("of two keys MQTT takes the named one and says what it left aside", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const body = { mode: "nonsense", target: 5 };
  const outcome = set(harness, "target", body, { others: "ignore" });
  t.same(outcome.ignored, ["mode"]);
  t.same(outcome.values(), { target: 5 });
  t.equal(harness.deps.store.properties.get(1, "mode"), undefined);
});

await test("a number in a string is taken where the property asks for conversion", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  t.same(set(harness, "lenient", { lenient: "12" }).values(), { lenient: 12 });
  t.equal(harness.deps.store.properties.get(1, "lenient")?.value, 12);
  t.same(setup.takePublished(harness), [
    ["status/site/things/boiler/properties/lenient", { lenient: 12 }],
  ]);
});

await test("a writeOnly value reaches the device and is kept nowhere", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  t.same(set(harness, "pin", { pin: "s3cret" }).values(), { pin: null });
  t.same(setAll(harness, { pin: "s3cret", target: 5 }).values(), { pin: null, target: 5 });
  t.equal(harness.deps.store.properties.get(1, "pin"), undefined);
  t.same(await historyOf(harness, "pin"), []);
  t.same(
    (await historyOf(harness, "target")).map(
      (change) => change.class === "property" && change.values,
    ),
    [{ target: 5 }],
  );
  const rows = [...(await harness.rows())].map(([key, value]) => key + value);
  t.same(
    rows.filter((row) => row.includes("s3cret")),
    [],
  );
  t.same(setup.takePublished(harness)[0], [
    "status/site/things/boiler/properties/pin",
    { pin: "s3cret" },
  ]);
});

await test("a property may be called __proto__, and so may a member of its value", async (t) => {
  const harness = await setup.startHarness(t);
  const description = '{"id":"boiler","properties":{"__proto__":{},"hasOwnProperty":{}}}';
  setup.makeBoiler(harness, JSON.parse(description) as JsonObject);
  const body = JSON.parse('{"__proto__":{"__proto__":1}}') as JsonObject;
  const outcome = set(harness, "__proto__", body);
  t.equal(JSON.stringify(outcome.values()), JSON.stringify(body));
  t.equal(harness.published.at(-1)?.payload, JSON.stringify(body));
  setAll(harness, JSON.parse('{"__proto__":2,"hasOwnProperty":3}') as JsonObject);
  await harness.restart();
  const states = harness.deps.store.properties.ofThing(1);
  t.same(
    [...states].map(([name, { value }]) => [name, value]),
    [
      ["__proto__", 2],
      ["hasOwnProperty", 3],
    ],
  );
  const [last, first] = await historyOf(harness, "__proto__");
  t.equal(JSON.stringify(first?.class === "property" && first.values), JSON.stringify(body));
  t.equal(JSON.stringify(last?.class === "property" && last.values), '{"__proto__":2}');
  t.equal(({} as { readonly polluted?: unknown }).polluted, undefined);
});

await test("a member of Object.prototype is no member of a payload", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness, { id: "boiler", properties: { constructor: {}, toString: {} } });
  t.equal(setup.refusalOf(() => set(harness, "constructor", {})).code, "malformed");
  t.equal(setup.refusalOf(() => set(harness, "toString", { constructor: 1 })).code, "malformed");
  t.same(set(harness, "constructor", { constructor: 1 }).values(), { constructor: 1 });
});

await test("several values are one change and one status each", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const { sequence } = setAll(harness, { target: 5, mode: "eco" });
  t.equal(harness.deps.store.properties.get(1, "target")?.sequence, sequence);
  t.equal(harness.deps.store.properties.get(1, "mode")?.sequence, sequence);
  t.same(setup.takePublished(harness), [
    ["status/site/things/boiler/properties/target", { target: 5 }],
    ["status/site/things/boiler/properties/mode", { mode: "eco" }],
  ]);
  t.equal(setup.refusalOf(() => setAll(harness, {})).code, "malformed");
  t.equal(setup.refusalOf(() => setAll(harness, [])).code, "malformed");
});

await test("one bad member refuses all, and every fault is told at once", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const body = { mode: "eco", target: 91, "no/such": 1, temperature: 20, lenient: "x" };
  const refusal = setup.refusalOf(() => setAll(harness, body, setup.consumerOf(thing)));
  t.equal(refusal.code, "schema-violation", "the code of the first");
  t.same(refusal.pointers, ["/target", "/no~1such", "/temperature", "/lenient"]);
  t.equal(harness.deps.store.properties.ofThing(1).size, 0);
  t.same(harness.published, []);
  const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, n) => [`p${n}`, n]));
  const manyRefused = setup.refusalOf(() => setAll(harness, many));
  t.equal(manyRefused.code, "unknown-affordance");
  t.equal(manyRefused.faults.length, 100, "an answer has an end");
});

await test("who may set what is as the contract says", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const other = setup.makeBoiler(harness, { id: "other" });
  const { tokenOf } = setup;
  const outcomeOf = (principal: Principal, name: string, value: Json): string => {
    try {
      set(harness, name, { [name]: value }, { principal });
      return "taken";
    } catch {
      return setup.refusalOf(() => set(harness, name, { [name]: value }, { principal })).code;
    }
  };
  const all = {
    entity: "things",
    things: { all: true },
    role: "consumer",
    definition: false,
  } as const;
  const rows: readonly (readonly [
    who: string,
    principal: Principal,
    write: string,
    report: string,
  ])[] = [
    ["a device", setup.deviceOf(thing), "taken", "taken"],
    ["a consumer", setup.consumerOf(thing), "taken", "read-only"],
    ["a consumer of all", setup.credentialOf(ACCOUNT, all), "taken", "read-only"],
    ["a device elsewhere", setup.deviceOf(other), "forbidden", "forbidden"],
    ["a credential of another account", setup.credentialOf("b", all), "forbidden", "forbidden"],
    [
      "a grant on data",
      setup.credentialOf(ACCOUNT, { entity: "data", things: { all: true } }),
      "forbidden",
      "forbidden",
    ],
    ["thing.write", tokenOf(ACCOUNT, "thing.write"), "taken", "read-only"],
    ["thing.report", tokenOf(ACCOUNT, "thing.report"), "forbidden", "taken"],
    ["both", tokenOf(ACCOUNT, "thing.write", "thing.report"), "taken", "taken"],
    ["of the box", tokenOf(undefined, "thing.write"), "taken", "read-only"],
    ["of another account", tokenOf("b", "thing.write", "thing.report"), "forbidden", "forbidden"],
    ["thing.read only", tokenOf(ACCOUNT, "thing.read", "thing.manage"), "forbidden", "forbidden"],
  ];
  for (const [who, principal, write, report] of rows) {
    t.equal(outcomeOf(principal, "target", 5), write, `${who}: target`);
    t.equal(outcomeOf(principal, "temperature", 5), report, `${who}: temperature`);
  }
});

await test("what exists is told only to who may ask", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const codeOf = (principal: Principal, account: string, name: string): string => {
    const on = { principal, account, thing: name, name: "target", body: { target: 1 } };
    return setup.refusalOf(() => updateProperty(harness.deps, { ...on, others: "refuse" })).code;
  };
  t.equal(codeOf(ADMIN, ACCOUNT, "none"), "unknown-thing");
  t.equal(codeOf(ADMIN, "none", "boiler"), "unknown-account");
  t.equal(codeOf(setup.deviceOf(thing), ACCOUNT, "none"), "forbidden");
  t.equal(codeOf(setup.tokenOf("b", "thing.write"), ACCOUNT, "none"), "forbidden");
  const byUid = { principal: ADMIN, account: ACCOUNT, thing: thing.uid, name: "target" };
  const outcome = updateProperty(harness.deps, { ...byUid, body: { target: 1 }, others: "refuse" });
  t.equal(outcome.thing, thing, "a uid will do");
  t.equal(harness.published.at(-1)?.topic, "status/site/things/boiler/properties/target");
});

await test("a value over the limit is refused, one at it is taken", async (t) => {
  const harness = await setup.startHarness(t, { limits: { value_bytes: 64 } });
  setup.makeBoiler(harness, { id: "boiler", properties: { text: {} } });
  const body = (bytes: number): JsonObject => ({ text: "x".repeat(bytes - 2) });
  t.equal(setup.refusalOf(() => set(harness, "text", body(65))).code, "too-large");
  t.equal(setup.refusalOf(() => set(harness, "text", { text: "é".repeat(32) })).code, "too-large");
  t.same(set(harness, "text", body(64)).values(), body(64));
});
