import fc from "fast-check";
import { test } from "tap";
import { principalOf } from "../../src/interactions/authentication.ts";
import {
  filterById,
  mayReceive,
  mayReceiveFree,
  mayStillReceive,
  maySubscribe,
  publishRight,
} from "../../src/mqtt/grants.ts";
import type { Grant, Principal } from "../../src/thing/access.ts";
import { matchesFilter } from "../../src/thing/topics.ts";
import {
  ADMIN,
  dataGrantOn,
  grantOn,
  makeBoiler,
  makeCredential,
  openEdge,
  topicsGrant,
} from "./edge.ts";
import { filters, topics } from "./topic-samples.ts";

await test("a token is no MQTT client: it subscribes to nothing", async (t) => {
  const { deps } = await openEdge(t);
  for (const filter of ["#", "status/A/things/boiler/#", "line1/x"]) {
    t.equal(maySubscribe(deps.store, ADMIN, filter), false);
  }
});

await test("what a topic published to means depends on its tree and on the grant", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  const pump = makeBoiler(edge, "A", "pump");
  makeBoiler(edge, "B", "boiler");
  const as = (...grants: readonly Grant[]): Principal =>
    principalOf(makeCredential(edge, `u${edge.deps.store.credentials.count}`, grants));
  const device = as(grantOn([boiler]));
  const consumer = as(grantOn([boiler], { role: "consumer" }));
  const installer = as(grantOn("*", { definition: true }));
  const recorder = as(dataGrantOn([boiler]));
  const free = as(topicsGrant("#", ""));
  const rows: readonly (readonly [Principal, string, "thing" | "free" | "none"])[] = [
    [device, "set/A/things/boiler/properties/target", "thing"],
    [device, `set/A/things/${boiler.uid}/properties`, "thing"],
    [device, "set/A/things/boiler/events/boot", "thing"],
    [device, "set/A/things/boiler", "none"],
    [device, "set/A/things/pump/properties/target", "none"],
    [device, `set/A/things/${pump.uid}/properties/target`, "none"],
    [device, "set/B/things/boiler/properties/target", "none"],
    [device, "A/data/boiler", "none"],
    [device, "line1/x", "none"],
    [consumer, "set/A/things/boiler/actions/purge", "thing"],
    [consumer, "set/A/things/boiler/events/boot", "none"],
    [installer, "set/A/things/tomorrow", "thing"],
    [installer, "set/A/things/tomorrow/properties/x", "thing"],
    [installer, "set/B/things/tomorrow", "none"],
    [recorder, "A/data/boiler", "thing"],
    [recorder, "A/data/pump", "none"],
    [recorder, "B/data/boiler", "none"],
    [recorder, "set/A/things/boiler/properties/target", "none"],
    [free, "line1/x", "free"],
    [free, "set/x", "none"],
    [free, "status/x", "none"],
    [free, "$SYS/x", "none"],
    [free, "x/data/y", "none"],
    [free, "A/data", "none"],
  ];
  for (const [principal, topic, kind] of rows) {
    t.equal(publishRight(edge.deps.store, principal, topic).kind, kind, topic);
  }
});

await test("a publication reaches who may know of it: by its kind and the role", async (t) => {
  const edge = await openEdge(t);
  const thing = makeBoiler(edge);
  const other = makeBoiler(edge, "A", "other");
  const as = (name: string, grant: Grant) => principalOf(makeCredential(edge, name, [grant]));
  const who = {
    device: as("device", grantOn([thing])),
    consumer: as("consumer", grantOn([thing], { role: "consumer" })),
    definer: as("definer", grantOn([thing], { definition: true })),
    recorder: as("recorder", dataGrantOn([thing])),
    stranger: as("stranger", grantOn([other], { definition: true })),
    free: as("free", topicsGrant("#", "#")),
  };
  const rows = [
    ["property", false, ["device", "consumer", "definer"]],
    ["property", true, ["device", "definer"]],
    ["action", false, ["device", "consumer", "definer"]],
    ["event", false, ["device", "consumer", "definer"]],
    ["description", false, ["definer"]],
    ["data", false, ["recorder"]],
    ["errors", false, ["device", "consumer", "definer", "recorder"]],
  ] as const;
  for (const [about, isWriteOnly, expected] of rows) {
    const got = Object.entries(who)
      .filter(([, principal]) => mayReceive(principal, { thing, about, isWriteOnly }))
      .map(([name]) => name);
    t.same(got, expected, `${about}${isWriteOnly ? ", write only" : ""}`);
  }
});

await test("what is queued is judged by its topic as it was when it was published", async (t) => {
  const edge = await openEdge(t);
  const thing = makeBoiler(edge);
  const { store } = edge.deps;
  const device = principalOf(makeCredential(edge, "device", [grantOn([thing])]));
  const consumer = principalOf(
    makeCredential(edge, "consumer", [grantOn([thing], { role: "consumer" })]),
  );
  const line = principalOf(makeCredential(edge, "line", [topicsGrant("", "line1/#")]));
  const may = (principal: Principal, topic: string) => mayStillReceive(store, principal, topic);
  const S = "status/A/things/boiler";
  t.ok(may(device, `${S}/properties/pin`));
  t.notOk(may(consumer, `${S}/properties/pin`));
  t.ok(may(consumer, `${S}/actions/purge`) && may(consumer, `${S}/errors`));
  t.notOk(may(device, S) || may(device, "A/data/boiler") || may(device, "line1/x"));
  t.notOk(may(device, "status/A/things/gone/events/boot"));
  t.ok(may(line, "line1/x"));
  t.notOk(may(line, "line2/x") || may(line, `${S}/errors`));
});

await test("a filter that names a Thing by its uid is matched by its id", async (t) => {
  const edge = await openEdge(t);
  const { uid } = makeBoiler(edge);
  const { store } = edge.deps;
  const rows = [
    [`status/A/things/${uid}/properties/#`, "status/A/things/boiler/properties/#"],
    [`A/data/${uid}`, "A/data/boiler"],
    ["status/A/things/boiler/#", "status/A/things/boiler/#"],
    ["status/A/things/+/#", "status/A/things/+/#"],
    [`status/B/things/${uid}/#`, `status/B/things/${uid}/#`],
    [`line1/${uid}`, `line1/${uid}`],
    ["#", "#"],
  ] as const;
  for (const [filter, expected] of rows) t.equal(filterById(store, filter), expected);
});

await test("a filter within a free pattern never brings what the pattern does not match", async (t) => {
  const edge = await openEdge(t);
  let made = 0;
  fc.assert(
    fc.property(filters, filters, topics, (pattern, filter, topic) => {
      const credential = makeCredential(edge, `f${(made += 1)}`, [topicsGrant("", pattern)]);
      const principal = principalOf(credential);
      if (!maySubscribe(edge.deps.store, principal, filter)) return true;
      if (!matchesFilter(filter, topic) || topic.startsWith("$")) return true;
      return mayReceiveFree(principal, topic) && matchesFilter(pattern, topic);
    }),
    { numRuns: 500 },
  );
});
