import { test } from "tap";
import { recordData } from "../../src/interactions/data-recording.ts";
import { emitEvent, eventHref } from "../../src/interactions/event-emission.ts";
import { deleteOccurrence, findOccurrence } from "../../src/interactions/recorded-changes.ts";
import { deleteElement, putThing } from "../../src/interactions/provisioning.ts";
import type { Principal } from "../../src/thing/access.ts";
import type { Json } from "../../src/thing/json.ts";
import { formatTime } from "../../src/thing/time.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN } = setup;
const on = { principal: ADMIN, account: ACCOUNT, thing: "boiler" };

function codeOf(call: () => unknown): string {
  try {
    call();
    return "done";
  } catch {
    return setup.refusalOf(call).code;
  }
}

await test("an event is recorded, told once and found by its id", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const { deps, clock } = harness;
  const { event } = emitEvent(deps, { ...on, name: "alarm", body: { data: "hot" } });
  const href = eventHref(deps.store, thing, "alarm", event.moment);
  const shown = { data: "hot", timestamp: formatTime(clock.wall), href };
  t.strictSame(setup.takePublished(harness), [
    ["status/site/things/boiler/events/alarm", { alarm: shown }],
  ]);
  const id = deps.store.ids.ofMoment(event.moment);
  t.equal(href, `/site/things/boiler/events/alarm/${id}`);
  await harness.restart();
  t.same(findOccurrence(harness.deps, { ...on, name: "alarm", id }).event, event);
  const elsewhere = { ...on, name: "ping", id };
  t.equal(
    codeOf(() => findOccurrence(harness.deps, elsewhere)),
    "not-found",
  );
});

await test("an event without data has none, and one of no schema may have any", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  emitEvent(harness.deps, { ...on, name: "ping", body: {} });
  emitEvent(harness.deps, { ...on, name: "ping", body: { data: { a: [null] } } });
  const [first, second] = setup.takePublished(harness).map(([, payload]) => payload);
  t.notOk("data" in (first as { ping: object }).ping);
  t.match(second, { ping: { data: { a: [null] } } });
});

const REFUSED: readonly (readonly [
  why: string,
  name: string,
  body: Json,
  code: string,
  pointers: readonly string[],
])[] = [
  ["no object", "alarm", "hot", "malformed", []],
  ["an unknown member", "alarm", { data: "hot", at: 1 }, "unknown-member", ["/alarm/at"]],
  ["no data where some is asked for", "alarm", {}, "schema-violation", ["/alarm/data"]],
  ["wrong data", "alarm", { data: 5 }, "schema-violation", ["/alarm/data"]],
  ["too much data", "ping", { data: "x".repeat(100) }, "too-large", []],
  ["an unknown name", "toString", {}, "unknown-affordance", []],
];
for (const [why, name, body, code, pointers] of REFUSED) {
  await test(`an event with ${why} is refused as ${code} and not recorded`, async (t) => {
    const harness = await setup.startHarness(t, { limits: { value_bytes: 64 } });
    setup.makeBoiler(harness);
    const { sequence } = harness.deps.store.changes;
    const refusal = setup.refusalOf(() => emitEvent(harness.deps, { ...on, name, body }));
    t.equal(refusal.code, code);
    t.same(refusal.pointers, pointers);
    t.equal(harness.deps.store.changes.sequence, sequence);
    t.same(harness.published, []);
  });
}

await test("an event that is deleted is gone, counted out once", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const { deps } = harness;
  const { event } = emitEvent(deps, { ...on, name: "ping", body: {} });
  const id = deps.store.ids.ofMoment(event.moment);
  t.equal(
    codeOf(() => deleteOccurrence(deps, { ...on, principal: setup.deviceOf(), name: "ping", id })),
    "forbidden",
  );
  deleteOccurrence(deps, { ...on, name: "ping", id });
  t.equal(
    codeOf(() => deleteOccurrence(deps, { ...on, name: "ping", id })),
    "not-found",
  );
  t.equal(deps.store.changes.rowsOf("event"), 0);
  t.equal((await harness.rows("h:")).size, 0);
});

await test("an event of an element that was deleted is not found under a new one", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const { deps } = harness;
  const { event } = emitEvent(deps, { ...on, name: "ping", body: {} });
  const id = deps.store.ids.ofMoment(event.moment);
  deleteElement(deps, { ...on, kind: "events", name: "ping" });
  const before = deps.store.things.find(ACCOUNT, "boiler");
  t.notOk(before?.events.has("ping"));
  putThing(deps, { ...on, description: setup.BOILER });
  t.equal(
    codeOf(() => findOccurrence(deps, { ...on, name: "ping", id })),
    "not-found",
  );
});

await test("raw data is recorded as an object and echoed as it came", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const { deps, clock } = harness;
  const text = '{ "b": 1.0, "a": {"__proto__": 1} }';
  const body = JSON.parse(text) as Json;
  const outcome = recordData(deps, { ...on, body, text });
  t.equal(outcome.thing, thing);
  t.equal(outcome.moment.at, clock.wall);
  t.equal(harness.published[0]?.topic, "site/data/boiler");
  t.equal(harness.published[0]?.payload, text);
  recordData(deps, { ...on, body: {} });
  t.equal(harness.published[1]?.payload, "{}");
  await deps.store.commit.flushed();
  const source = { thing: thing.number, of: "data", name: "" } as const;
  const { items } = await deps.store.history.changes([source], { limit: 9, oldestFirst: true });
  t.same(
    items.map((change) => change.class === "data" && JSON.stringify(change.content)),
    [JSON.stringify(body), "{}"],
  );
});

await test("raw data that is no object, or too large, is refused", async (t) => {
  const harness = await setup.startHarness(t, { limits: { value_bytes: 64 } });
  setup.makeBoiler(harness);
  const { deps } = harness;
  for (const body of [null, 5, "x", [], [{}]]) {
    t.equal(
      codeOf(() => recordData(deps, { ...on, body })),
      "malformed",
    );
  }
  t.equal(
    codeOf(() => recordData(deps, { ...on, body: { a: "x".repeat(64) } })),
    "too-large",
  );
  t.equal(deps.store.changes.rowsOf("data"), 0);
  t.same(harness.published, []);
});

await test("who may emit and who may record is as the contract says", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const { deps } = harness;
  const things = { all: false, uids: new Set([thing.uid]) } as const;
  const data = setup.credentialOf(ACCOUNT, { entity: "data", things });
  type Row = readonly [string, Principal, event: string, data: string];
  const rows: readonly Row[] = [
    ["a device", setup.deviceOf(thing), "done", "forbidden"],
    ["a consumer", setup.consumerOf(thing), "forbidden", "forbidden"],
    ["a grant on data", data, "forbidden", "done"],
    ["thing.report", setup.tokenOf(ACCOUNT, "thing.report"), "done", "forbidden"],
    ["data.write", setup.tokenOf(ACCOUNT, "data.write"), "forbidden", "done"],
    ["data.read", setup.tokenOf(ACCOUNT, "data.read"), "forbidden", "forbidden"],
    ["another account", setup.tokenOf("b", "thing.report", "data.write"), "forbidden", "forbidden"],
  ];
  for (const [who, principal, event, datum] of rows) {
    const as = { ...on, principal, body: {} };
    t.equal(
      codeOf(() => emitEvent(deps, { ...as, name: "ping" })),
      event,
      `${who}: event`,
    );
    t.equal(
      codeOf(() => recordData(deps, as)),
      datum,
      `${who}: data`,
    );
  }
  t.equal(
    codeOf(() => recordData(deps, { ...on, thing: "none", body: {} })),
    "unknown-thing",
  );
});
