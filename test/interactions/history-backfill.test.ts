import { test } from "tap";
import { backfillHistory, type PastValues } from "../../src/interactions/history-backfill.ts";
import { updateProperty } from "../../src/interactions/property-update.ts";
import { deleteThing, putThing } from "../../src/interactions/provisioning.ts";
import { TIME_MS_MAX } from "../../src/store/keys.ts";
import type { Principal } from "../../src/thing/access.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN } = setup;
const on = { principal: ADMIN, account: ACCOUNT, thing: "boiler" };

async function backfill(harness: setup.Harness, items: readonly PastValues[], principal = ADMIN) {
  return backfillHistory(harness.deps, { ...on, principal, items });
}

async function itemsOf(harness: setup.Harness, name: string): Promise<readonly unknown[]> {
  const { store } = harness.deps;
  await store.commit.flushed();
  const source = { thing: 1, of: "property", name } as const;
  const { items } = await store.history.changes([source], { limit: 100 });
  return items.map((change) => change.class === "property" && [change.at, change.values]);
}

await test("past values are in the history at their times, and the current value stays", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const { store } = harness.deps;
  const body = { target: 50 };
  updateProperty(harness.deps, { ...on, name: "target", body, others: "refuse" });
  harness.published.length = 0;
  const now = store.properties.get(1, "target");
  const items = [
    { at: 3_000, properties: { target: 3, lenient: "30" } },
    { at: 1_000, properties: { target: 1 } },
    { at: 0, properties: { target: 0 } },
    { at: TIME_MS_MAX, properties: { mode: "eco" } },
  ];
  const outcome = await backfill(harness, items);
  t.equal(outcome.thing, thing);
  t.same(outcome.items[0], { at: 3_000, properties: { target: 3, lenient: 30 } });
  t.same(await itemsOf(harness, "target"), [
    [harness.clock.wall, { target: 50 }],
    [3_000, { target: 3 }],
    [1_000, { target: 1 }],
    [0, { target: 0 }],
  ]);
  t.same(await itemsOf(harness, "mode"), [[TIME_MS_MAX, { mode: "eco" }]]);
  t.equal(store.properties.get(1, "target"), now);
  t.equal(store.properties.get(1, "lenient"), undefined);
  t.same(harness.published, [], "nobody is told of the past");
  const source = { thing: 1, of: "property", name: "target" } as const;
  t.equal((await store.history.latestAt(source, 2_999))?.at, 1_000);
});

await test("a time that has a value is refused, wherever that came from, and nothing is recorded", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const body = { target: 50 };
  updateProperty(harness.deps, { ...on, name: "target", body, others: "refuse" });
  await backfill(harness, [{ at: 1_000, properties: { target: 1, mode: "eco" } }]);
  const { sequence } = harness.deps.store.changes;
  const taken: readonly (readonly PastValues[])[] = [
    [{ at: 1_000, properties: { target: 1 } }],
    [{ at: harness.clock.wall, properties: { target: 1 } }],
    [
      { at: 5_000, properties: { target: 1 } },
      { at: 1_000, properties: { lenient: 5, mode: "boost" } },
    ],
    [
      { at: 6_000, properties: { target: 1 } },
      { at: 6_000, properties: { target: 2 } },
    ],
  ];
  for (const items of taken) {
    await t.rejects(backfill(harness, items), { code: "history-conflict" });
  }
  t.equal(harness.deps.store.changes.sequence, sequence);
  const conflict = backfill(harness, taken[2] ?? []);
  const faults = [{ pointer: "/1/properties/mode" }];
  await t.rejects(conflict, { code: "history-conflict", faults });
  await backfill(harness, [{ at: 1_000, properties: { lenient: 1 } }]);
  await backfill(harness, [{ at: 1_001, properties: { target: 1 } }]);
  t.equal((await itemsOf(harness, "target")).length, 3);
});

await test("of two back-fills of one time at once the first is taken", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const items = (value: number) => [{ at: 1_000, properties: { target: value } }];
  const again = { ...harness.deps };
  const outcomes = await Promise.allSettled([
    backfill(harness, items(1)),
    backfill(harness, items(2)),
    backfillHistory(again, { ...on, items: items(3) }),
  ]);
  t.same(
    outcomes.map(({ status }) => status),
    ["fulfilled", "rejected", "rejected"],
  );
  t.same(await itemsOf(harness, "target"), [[1_000, { target: 1 }]]);
});

await test("what has resolved is on disk", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  await backfill(harness, [{ at: 1_000, properties: { target: 1 } }]);
  const keys = await harness.deps.store.database.keys({ gt: "h:", lt: "h;" }).all();
  t.equal(keys.length, 1);
});

const REFUSED: readonly (readonly [
  why: string,
  item: PastValues,
  code: string,
  pointers: readonly string[],
])[] = [
  ["no value", { at: 5, properties: {} }, "malformed", ["/1/properties"]],
  ["a time before 1970", { at: -1, properties: { target: 1 } }, "malformed", ["/1/at"]],
  [
    "a time no key can hold",
    { at: TIME_MS_MAX + 1, properties: { target: 1 } },
    "malformed",
    ["/1/at"],
  ],
  ["half a millisecond", { at: 0.5, properties: { target: 1 } }, "malformed", ["/1/at"]],
  ["no time", { at: Number.NaN, properties: { target: 1 } }, "malformed", ["/1/at"]],
  [
    "an unknown property",
    { at: 5, properties: { x: 1, target: 91 } },
    "unknown-affordance",
    ["/1/properties/x", "/1/properties/target"],
  ],
  [
    "a writeOnly property",
    { at: 5, properties: { pin: "1" } },
    "unknown-affordance",
    ["/1/properties/pin"],
  ],
  [
    "a wrong value",
    { at: 5, properties: { target: "1" } },
    "schema-violation",
    ["/1/properties/target"],
  ],
];
for (const [why, item, code, pointers] of REFUSED) {
  await test(`a back-fill with ${why} is refused as ${code}, all of it`, async (t) => {
    const harness = await setup.startHarness(t);
    setup.makeBoiler(harness);
    const { sequence } = harness.deps.store.changes;
    const items = [{ at: 1_000, properties: { target: 1 } }, item];
    const faults = pointers.map((pointer) => ({ pointer }));
    await t.rejects(backfill(harness, items), { code, faults });
    t.equal(harness.deps.store.changes.sequence, sequence);
    await t.resolves(backfill(harness, items.slice(0, 1)), "and does not hold up the next");
  });
}

await test("a Thing that is changed or deleted during the wait is looked at again", async (t) => {
  const harness = await setup.startHarness(t);
  setup.makeBoiler(harness);
  const items = [{ at: 1_000, properties: { target: 1 } }];
  const less: JsonObject = { id: "boiler", properties: { mode: {} } };
  const late = backfill(harness, items);
  await Promise.resolve();
  putThing(harness.deps, { ...on, description: less });
  await t.rejects(late, { code: "unknown-affordance" });
  putThing(harness.deps, { ...on, description: setup.BOILER });
  const later = backfill(harness, items);
  await Promise.resolve();
  deleteThing(harness.deps, on);
  setup.makeBoiler(harness);
  await t.rejects(later, { code: "unknown-thing" });
  t.equal((await harness.rows("h:")).size, 0);
});

await test("only who may report may back-fill", async (t) => {
  const harness = await setup.startHarness(t);
  const thing = setup.makeBoiler(harness);
  const items = [{ at: 1_000, properties: { target: 1 } }];
  const refused: readonly Principal[] = [
    setup.consumerOf(thing),
    setup.tokenOf(ACCOUNT, "thing.write", "thing.read"),
    setup.tokenOf("b", "thing.report"),
  ];
  for (const principal of refused) {
    await t.rejects(backfill(harness, items, principal), { code: "forbidden" });
  }
  await t.resolves(backfill(harness, items, setup.deviceOf(thing)));
});
