import { test } from "tap";
import { endRequest, reportAction } from "../../src/interactions/action-invocation.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import { ACCOUNT, ADMIN } from "../interactions/harness.ts";
import { message, openDownSite, takeAll, takeTold, type DownSite } from "./down-site.ts";

const T = "status/up/things/boiler";
const HREF = "/up/things/boiler/actions/heat/01ABC";

function request(members: JsonObject = {}, name = "heat", topic = T) {
  const body = { href: HREF, status: "pending", input: { until: 60 }, ...members };
  return message(`${topic}/actions/${name}`, { [name]: body });
}

function requestsOf(site: DownSite) {
  return [...site.deps.store.requests.unfinishedOf(site.thing.number)];
}

await test("a request of the gateway above becomes one of ours, once", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  t.equal(await takeAll(site, request(), request()), 2);
  const [made, ...more] = requestsOf(site);
  t.match(made, { name: "heat", status: "pending", input: { until: 60 } });
  t.same(more, []);
  const sequence = made?.moment.sequence ?? 0;
  t.equal(site.memory.upstreamOf(sequence), HREF);
  t.same(site.memory.requestOf(HREF), made?.moment);
  await site.restart();
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, request());
  t.equal(requestsOf(site).length, 1);
});

await test("what becomes of others' requests is not our business", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  const before = site.deps.store.changes.sequence;
  for (const status of ["running", "completed", "cancelled", "expired"]) {
    await takeAll(site, request({ status }));
  }
  t.equal(site.deps.store.changes.sequence, before);
  t.equal(site.down.counts.unchanged, 4);
});

await test("one that ends above is withdrawn while no device has taken it up", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, request(), request({ status: "cancelled" }));
  t.same(requestsOf(site), []);
  const other = "/up/things/boiler/actions/heat/01DEF";
  await takeAll(site, request({ href: other }));
  const [made] = requestsOf(site);
  const id = site.deps.store.ids.ofMoment(made?.moment ?? { at: 0, sequence: 0 });
  const on = { principal: ADMIN, account: ACCOUNT, thing: "boiler", name: "heat", id };
  reportAction(site.deps, { ...on, body: { status: "running" } });
  await takeAll(site, request({ href: other, status: "expired" }));
  t.equal(requestsOf(site)[0]?.status, "running", "a device is at it");
});

await test("one that comes too late is ours as expired, under its href", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  const timeRequested = new Date(site.harness.clock.wall - 86_400_000).toISOString();
  await takeAll(site, request({ timeRequested }));
  t.same(requestsOf(site), []);
  const rows = [...(await site.harness.rows("c:a")).values()].map(
    (row) => JSON.parse(row.slice(row.indexOf("{"), row.lastIndexOf("}") + 1)) as JsonObject,
  );
  t.match(rows, [{ status: "expired" }]);
  t.notOk("via" in (rows[0] ?? {}), "its end is our own, and owed");
  t.equal(site.memory.upstreamOf(Number(rows[0]?.["request"])), HREF);
});

await test("its time to live is what is left of it", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  const timeRequested = new Date(site.harness.clock.wall - 3_600_000).toISOString();
  await takeAll(site, request({ timeRequested }));
  t.equal(requestsOf(site)[0]?.deadline.timeToLiveMs, 23 * 3_600_000);
});

await test("one that cannot be ours is told to have failed, if the Thing is here", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, request({ input: { until: "dawn" } }));
  await takeAll(site, request({}, "fly"));
  await takeAll(site, request({}, "heat", "status/up/things/stranger"));
  const told = takeTold(site);
  t.match(told, [
    [
      "x/set/up/things/boiler/actions/heat",
      { heat: { href: HREF, status: "failed", error: { type: "/problems/schema-violation" } } },
    ],
    ["x/set/up/things/boiler/actions/fly", { fly: { href: HREF, status: "failed" } }],
  ]);
  t.equal(told.length, 2);
  t.equal(site.memory.requestOf(HREF), undefined, "a corrected one may come");
  t.same(site.down.counts.refused, {
    "schema-violation": 1,
    "unknown-affordance": 1,
    "unknown-thing": 1,
  });
});

await test("an end that comes by itself is owed, and the request's own change is not", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, request());
  const [made] = requestsOf(site);
  if (made === undefined) throw new Error("the request was not made");
  endRequest(site.deps, made, { status: "expired" });
  const rows = [...(await site.harness.rows("c:a")).values()];
  t.same(
    rows.map((row) => row.includes(`"via":3`)),
    [true, false],
  );
});

await test("values and descriptions of the gateway above are followed", async (t) => {
  const site = await openDownSite(t, { shape: "peer" });
  site.down.lineOpened({ sessionPresent: true });
  const value = (temperature: number, retain = false) =>
    message(`${T}/properties/temperature`, { temperature }, { retain });
  await takeAll(site, value(20));
  const { properties, things } = site.deps.store;
  const stateOf = () => properties.get(site.thing.number, "temperature");
  t.equal(stateOf()?.value, 20, "read-only ones, too");
  const { sequence } = stateOf() ?? { sequence: 0 };
  await takeAll(site, value(20, true));
  t.equal(stateOf()?.sequence, sequence, "what is only shown once more is no news");
  const { revision } = things.byNumber(site.thing.number) ?? { revision: 0 };
  const shown = { id: "boiler", uid: "01X", created: "x", ...site.thing.description };
  await takeAll(site, message(T, shown));
  t.equal(things.byNumber(site.thing.number)?.revision, revision);
  await takeAll(site, message(T, { ...shown, title: "Boiler 2" }));
  t.equal(things.byNumber(site.thing.number)?.description["title"], "Boiler 2");
  t.ok(things.byNumber(site.thing.number)?.properties.has("target"), "nothing is deleted");
  await takeAll(site, message("status/up/things/pump", { title: "Pump" }));
  t.equal(things.find(ACCOUNT, "pump")?.description["title"], "Pump");
  await takeAll(site, message("status/up/things/nobody/properties/p", { p: 1 }));
  t.same(site.down.counts.refused, { "unknown-thing": 1 });
  t.same(takeTold(site), [], "nobody listens to errors there");
});
