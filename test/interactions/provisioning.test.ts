import { test } from "tap";
import { createCredential } from "../../src/interactions/credentials.ts";
import { emitEvent } from "../../src/interactions/event-emission.ts";
import { requestAction } from "../../src/interactions/action-invocation.ts";
import { updateProperties } from "../../src/interactions/property-update.ts";
import * as provisioning from "../../src/interactions/provisioning.ts";
import { openChange } from "../../src/store/changes.ts";
import { changeKey } from "../../src/store/keys.ts";
import type { Grant, Principal } from "../../src/thing/access.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import { isUlid } from "../../src/thing/thing.ts";
import { formatTime } from "../../src/thing/time.ts";
import { renderThingDescription } from "../../src/thing/thing-description.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN, BOILER } = setup;
const at = { principal: ADMIN, account: ACCOUNT };
const onBoiler = { ...at, thing: "boiler" };

function create(harness: setup.Harness, description: unknown, principal = ADMIN) {
  return provisioning.createThing(harness.deps, { principal, account: ACCOUNT, description });
}

function put(harness: setup.Harness, description: unknown, thing = "boiler", keepElements = false) {
  return provisioning.putThing(harness.deps, { ...at, thing, description, keepElements });
}

await test("a Thing is made with the id it names, or with its uid", async (t) => {
  const harness = await setup.startHarness(t);
  const named = create(harness, { ...BOILER, "@type": "Boiler", "x:note": { a: [1] } });
  t.equal(named.id, "boiler");
  t.ok(isUlid(named.uid));
  t.not(named.uid, named.id);
  t.equal(create(harness, { id: "https://example.org/things/pump-1" }).id, "pump-1");
  const unnamed = create(harness, {});
  t.equal(unnamed.id, unnamed.uid);
  t.equal(new Set([...harness.deps.store.things.ofAccount(ACCOUNT)]).size, 3);
  const [topic, shown] = setup.takePublished(harness)[0] ?? [];
  t.equal(topic, "status/site/things/boiler");
  t.same(shown, renderThingDescription(named));
  t.match(shown, { id: "boiler", uid: named.uid, "x:note": { a: [1] } });
  t.match(shown, { created: formatTime(harness.clock.wall) });
  await harness.restart();
  t.same(harness.deps.store.things.find(ACCOUNT, "boiler"), named);
});

await test("an id that is taken, or is the uid of another Thing, is refused", async (t) => {
  const harness = await setup.startHarness(t);
  const first = create(harness, BOILER);
  harness.deps.store.accounts.put({ name: "other", created: 1, revision: 1 });
  const { sequence } = harness.deps.store.changes;
  const codeOf = (account: string, id: string): string =>
    setup.refusalOf(() =>
      provisioning.createThing(harness.deps, { ...at, account, description: { id } }),
    ).code;
  t.equal(codeOf(ACCOUNT, "boiler"), "conflict");
  t.equal(codeOf(ACCOUNT, first.uid), "conflict");
  t.equal(codeOf("other", first.uid), "conflict", "a uid is unique in the world");
  t.equal(codeOf("none", "pump"), "unknown-account");
  t.equal(harness.deps.store.changes.sequence, sequence);
  const same = provisioning.createThing(harness.deps, {
    ...at,
    account: "other",
    description: BOILER,
  });
  t.equal(same.id, "boiler", "an id is of one account");
});

const BAD: readonly (readonly [why: string, description: unknown, pointer: string])[] = [
  ["no object", [], ""],
  ["an id that is none", { id: "a b" }, "/id"],
  ["a property that is none", { properties: { p: 5 } }, "/properties/p"],
  ["a name with a slash", { properties: { "a/b": {} } }, "/properties/a~1b"],
  ["a type that is none", { properties: { p: { type: "float" } } }, "/properties/p/type"],
];
for (const [why, description, pointer] of BAD) {
  await test(`a description with ${why} is refused with a pointer, and makes nothing`, async (t) => {
    const harness = await setup.startHarness(t);
    const refusals = [
      setup.refusalOf(() => create(harness, description)),
      setup.refusalOf(() => put(harness, description)),
    ];
    for (const { code, pointers } of refusals) {
      t.equal(code, "description-invalid");
      t.same(pointers, [pointer]);
    }
    t.equal(harness.deps.store.things.count, 0);
    t.same(harness.published, []);
  });
}

await test("PUT makes a Thing under the id of the path, then replaces its description", async (t) => {
  const harness = await setup.startHarness(t);
  const made = put(harness, BOILER);
  t.equal(made.created, true);
  harness.clock.advance(5_000);
  const shown = renderThingDescription(made.thing);
  const again = put(harness, { ...shown, title: "Warm" });
  t.equal(again.created, false);
  t.match(again.thing, {
    uid: made.thing.uid,
    number: made.thing.number,
    created: made.thing.created,
  });
  t.equal(again.thing.modified, made.thing.created + 5_000);
  t.ok(again.thing.revision > made.thing.revision);
  t.equal(again.thing.description["title"], "Warm");
  t.equal(again.thing.description["uid"], undefined, "what GET adds is not kept");
  t.equal(put(harness, shown, made.thing.uid).created, false, "a uid in the path will do");
  const mismatch = setup.refusalOf(() => put(harness, { id: "pump" }));
  t.same([mismatch.code, mismatch.pointers], ["description-invalid", ["/id"]]);
  t.equal(setup.refusalOf(() => put(harness, {}, "not an id")).code, "description-invalid");
});

/** A boiler with a value, an event and a pending request of each of its affordances. */
function fill(harness: setup.Harness): void {
  setup.makeBoiler(harness);
  const { deps } = harness;
  updateProperties(deps, { ...onBoiler, body: { target: 5, mode: "eco" } });
  emitEvent(deps, { ...onBoiler, name: "ping", body: {} });
  requestAction(deps, { ...onBoiler, name: "stop", body: {} });
  requestAction(deps, { ...onBoiler, name: "heat", body: { input: { until: 5 } } });
  harness.published.length = 0;
}

async function countHistory(harness: setup.Harness, of: "property" | "event", name: string) {
  const { store } = harness.deps;
  await store.commit.flushed();
  return (await store.history.changes([{ thing: 1, of, name }], { limit: 9 })).items.length;
}

const LESS: JsonObject = {
  id: "boiler",
  properties: { mode: BOILER.properties.mode },
  actions: { heat: BOILER.actions.heat },
};

await test("what a PUT leaves out is deleted with its state, history and requests", async (t) => {
  const harness = await setup.startHarness(t);
  fill(harness);
  put(harness, LESS);
  const { store } = harness.deps;
  t.same([...store.properties.ofThing(1).keys()], ["mode"]);
  t.same(
    [...store.requests.unfinishedOf(1)].map(({ name }) => name),
    ["heat"],
  );
  put(harness, BOILER);
  t.equal(await countHistory(harness, "property", "target"), 0, "it comes back without a past");
  t.equal(await countHistory(harness, "property", "mode"), 1);
  t.equal(await countHistory(harness, "event", "ping"), 0);
  updateProperties(harness.deps, { ...onBoiler, body: { target: 7 } });
  emitEvent(harness.deps, { ...onBoiler, name: "ping", body: {} });
  await store.retention.sweep();
  t.equal(await countHistory(harness, "property", "target"), 1);
  t.equal(await countHistory(harness, "event", "ping"), 1);
});

await test("what a description by MQTT leaves out stays", async (t) => {
  const harness = await setup.startHarness(t);
  fill(harness);
  const { thing } = put(harness, { ...LESS, properties: { added: {} } }, "boiler", true);
  const names = [...Object.keys(BOILER.properties), "added"];
  t.same([...thing.properties.keys()], names);
  t.same([...thing.actions.keys()], ["heat", "stop"]);
  t.same([...thing.events.keys()], ["alarm", "ping"]);
  t.same([...harness.deps.store.properties.ofThing(1).keys()], ["target", "mode"]);
  t.equal(harness.deps.store.requests.countUnfinishedOf(1), 2);
  t.equal(await countHistory(harness, "property", "target"), 1);
  const empty = put(harness, {}, "boiler", true);
  t.same([...empty.thing.properties.keys()], names);
});

await test("elements that stay count against the limits", async (t) => {
  const harness = await setup.startHarness(t, { limits: { affordances_per_thing: 3 } });
  put(harness, { properties: { a: {}, b: {} } });
  const refusal = setup.refusalOf(() =>
    put(harness, { properties: { c: {}, d: {} } }, "boiler", true),
  );
  t.equal(refusal.code, "description-invalid");
  t.equal(put(harness, { properties: { c: {} } }, "boiler", true).thing.properties.size, 3);
});

await test("a property that becomes writeOnly is forgotten, one that was is left alone", async (t) => {
  const harness = await setup.startHarness(t);
  fill(harness);
  const hidden = { ...BOILER, properties: { ...BOILER.properties, target: { writeOnly: true } } };
  put(harness, hidden);
  t.equal(harness.deps.store.properties.get(1, "target"), undefined);
  const { length } = harness.deps.store.deletions.pending();
  put(harness, hidden);
  t.equal(harness.deps.store.deletions.pending().length, length);
  put(harness, BOILER);
  t.equal(await countHistory(harness, "property", "target"), 0);
});

await test("a change gets what GET shows, and may not change the id", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const change = (to: (shown: JsonObject) => unknown) =>
    provisioning.changeThing(harness.deps, { ...onBoiler, change: to });
  let seen: JsonObject = {};
  const changed = change((shown) => {
    seen = shown;
    return { ...shown, title: "Warm", properties: { only: {} } };
  });
  t.same(seen, renderThingDescription(thing));
  t.same([...changed.properties.keys()], ["only"]);
  t.equal(setup.refusalOf(() => change(() => ({ id: "pump" }))).code, "description-invalid");
  t.equal(setup.refusalOf(() => change(() => null)).code, "description-invalid");
  t.equal(harness.deps.store.things.find(ACCOUNT, "boiler"), changed);
});

await test("one element is deleted, another that is not there is unknown", async (t) => {
  const harness = await setup.startHarness(t);
  fill(harness);
  const remove = (kind: "properties" | "actions" | "events", name: string) =>
    provisioning.deleteElement(harness.deps, { ...onBoiler, kind, name });
  t.notOk(remove("properties", "target").properties.has("target"));
  t.notOk(remove("actions", "stop").actions.has("stop"));
  t.notOk(remove("events", "ping").events.has("ping"));
  for (const name of ["target", "__proto__", "toString"]) {
    t.equal(setup.refusalOf(() => remove("properties", name)).code, "unknown-affordance");
  }
  t.equal(harness.deps.store.requests.countUnfinishedOf(1), 1);
  await harness.deps.store.retention.sweep();
  t.equal((await harness.rows("x:")).size, 0);
});

await test("a precondition is asked before anything is changed, with what is there", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const seen: unknown[] = [];
  const precondition = (present: unknown): void => {
    seen.push(present);
    throw new Error("no");
  };
  const { deps } = harness;
  const element = { kind: "actions", name: "stop" } as const;
  t.throws(() => provisioning.putThing(deps, { ...onBoiler, description: {}, precondition }));
  t.throws(() => provisioning.changeThing(deps, { ...onBoiler, change: (td) => td, precondition }));
  t.throws(() => provisioning.deleteElement(deps, { ...onBoiler, ...element, precondition }));
  t.throws(() => provisioning.deleteThing(deps, { ...onBoiler, precondition }));
  const absent = { ...at, thing: "none", description: {}, precondition };
  t.throws(() => provisioning.putThing(deps, absent));
  t.same(seen, [thing, thing, thing, thing, undefined]);
  t.equal(deps.store.things.find(ACCOUNT, "boiler"), thing);
  t.equal(deps.store.things.count, 1);
});

await test("a Thing that is deleted takes its state, requests and grants with it", async (t) => {
  const harness = await setup.startHarness(t);
  fill(harness);
  const pump = create(harness, { id: "pump" });
  const credential = async (...ids: readonly string[]) => {
    const resources = [
      { entity: "things", id: ids } as const,
      { entity: "data", id: ids } as const,
    ];
    return (await createCredential(harness.deps, { ...at, request: { resources } })).credential;
  };
  const only = await credential("boiler");
  const both = await credential("boiler", "pump");
  const every = await credential("*");
  provisioning.deleteThing(harness.deps, onBoiler);
  const { store } = harness.deps;
  t.equal(store.things.find(ACCOUNT, "boiler"), undefined);
  t.equal(store.properties.ofThing(1).size, 0);
  t.equal(store.requests.countUnfinishedOf(1), 0);
  t.same(harness.credentialChanges, [
    [only.ulid, "revoked"],
    [both.ulid, "grants"],
  ]);
  t.same(store.credentials.get(only.ulid)?.grants, []);
  const things = { all: false, uids: new Set([pump.uid]) };
  t.match(store.credentials.get(both.ulid)?.grants, [{ things }, { things }]);
  t.equal(store.credentials.get(every.ulid), every, "a grant on all names no Thing");
  const again = create(harness, BOILER);
  t.not(again.number, 1);
  t.not(again.uid, pump.uid);
  await store.retention.sweep();
  const rows = [...(await harness.rows()).keys()].filter((key) => /^[hrso]:000001/.test(key));
  t.same(rows, []);
  await harness.restart();
  t.equal(harness.deps.store.things.find(ACCOUNT, "boiler")?.number, again.number);
});

await test("there is a bound on Things", async (t) => {
  const harness = await setup.startHarness(t, { limits: { things: 1 } });
  create(harness, BOILER);
  t.equal(setup.refusalOf(() => create(harness, { id: "pump" })).code, "limit-reached");
  t.equal(setup.refusalOf(() => put(harness, {}, "pump")).code, "limit-reached");
  t.equal(put(harness, BOILER).created, false);
});

await test("who may define and who may delete is as the contract says", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const uids = new Set([thing.uid]);
  const definer = (all: boolean): Principal => {
    const things = all ? ({ all } as const) : { all: false as const, uids };
    const grant: Grant = { entity: "things", things, role: "consumer", definition: true };
    return setup.credentialOf(ACCOUNT, grant);
  };
  const codeOf = (call: () => unknown): string => {
    try {
      call();
      return "done";
    } catch {
      return setup.refusalOf(call).code;
    }
  };
  const { deps } = harness;
  type Row = readonly [string, Principal, replace: string, make: string, remove: string];
  const rows: readonly Row[] = [
    ["a device", setup.deviceOf(thing), "forbidden", "forbidden", "forbidden"],
    ["definition of one", definer(false), "done", "forbidden", "forbidden"],
    ["definition of all", definer(true), "done", "done", "forbidden"],
    ["thing.write", setup.tokenOf(ACCOUNT, "thing.write"), "forbidden", "forbidden", "forbidden"],
    ["another account", setup.tokenOf("b", "thing.manage"), "forbidden", "forbidden", "forbidden"],
    ["thing.manage", setup.tokenOf(ACCOUNT, "thing.manage"), "done", "done", "done"],
  ];
  for (const [who, principal, replace, make, remove] of rows) {
    const as = { principal, account: ACCOUNT, description: BOILER };
    const [named, fresh] = [
      { ...as, thing: "boiler" },
      { ...as, thing: `new-${rows.length}` },
    ];
    t.equal(
      codeOf(() => provisioning.putThing(deps, named)),
      replace,
      `${who}: PUT`,
    );
    const patch = { ...named, change: (shown: JsonObject) => shown };
    t.equal(
      codeOf(() => provisioning.changeThing(deps, patch)),
      replace,
      `${who}: PATCH`,
    );
    const bare = { ...fresh, description: {} };
    t.equal(
      codeOf(() => provisioning.putThing(deps, bare)),
      make,
      `${who}: a new one`,
    );
    const element = { ...named, kind: "actions", name: "stop" } as const;
    t.equal(
      codeOf(() => provisioning.deleteElement(deps, element)),
      remove,
      `${who}: element`,
    );
    t.equal(
      codeOf(() => provisioning.deleteThing(deps, named)),
      remove,
      `${who}: DELETE`,
    );
  }
});

await test("a change of a Thing names the values that go with it", async (t) => {
  const harness = await setup.startHarness(t);
  const { changes, commit } = harness.deps.store;
  const newest = (): readonly string[] | undefined => {
    const { sequence } = changes;
    const change = openChange("thing", sequence, commit.read(changeKey("thing", sequence)) ?? "");
    return change.class === "thing" ? change.removed : undefined;
  };
  create(harness, BOILER);
  t.equal(newest(), undefined, "a new one");
  const body = { target: 1, mode: "eco", temperature: 2, pin: "1234" };
  updateProperties(harness.deps, { ...onBoiler, body });
  const { target, temperature, pin, lenient } = BOILER.properties;
  put(harness, { ...BOILER, title: "again" });
  t.equal(newest(), undefined, "all of it stayed");
  // `mode` is gone, `target` hidden; of `lenient` there never was a value.
  const fewer = { target: { ...target, writeOnly: true }, temperature, pin };
  put(harness, { ...BOILER, properties: fewer });
  t.same(newest(), ["target", "mode"]);
  put(harness, { ...BOILER, properties: { ...fewer, lenient } });
  t.equal(newest(), undefined);
  provisioning.deleteThing(harness.deps, onBoiler);
  t.same(newest(), ["temperature"], "with the Thing what there was");
});
