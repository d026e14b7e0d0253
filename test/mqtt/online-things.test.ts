import { test } from "tap";
import { deleteThing } from "../../src/interactions/provisioning.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { Thing } from "../../src/thing/thing.ts";
import {
  ADMIN,
  dataGrantOn,
  flushed,
  grantOn,
  makeBoiler,
  makeCredential,
  openEdge,
  subscriberOf,
  type Edge,
} from "./edge.ts";

const { connectionLookMs, connectionToldMs, willGraceMs } = FIXED_LIMITS;

/** Connections. */
const C = { one: {}, two: {}, all: {}, panel: {}, logger: {} };

/** What was told of connections since the last time it was asked. */
function takeTold(edge: Edge): readonly (readonly [thing: string, state: string])[] {
  return edge.published.splice(0).flatMap(({ about, thing, payload }) => {
    if (about !== "connection") return [];
    return [[thing.id, (JSON.parse(payload) as { state: string }).state] as const];
  });
}

function isOnline(edge: Edge, thing: Thing): boolean {
  return edge.online.of(thing).isOnline;
}

await test("a Thing is online while a client with the role device on it is connected", async (t) => {
  const edge = await openEdge(t);
  const { clock } = edge.opened;
  const [boiler, pump] = [makeBoiler(edge), makeBoiler(edge, "A", "pump")];
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  const panel = makeCredential(edge, "panel", [grantOn([boiler], { role: "consumer" })]);
  const logger = makeCredential(edge, "logger", [dataGrantOn([boiler])]);
  edge.online.opened(C.panel, panel);
  edge.online.opened(C.logger, logger);
  t.same(edge.online.of(boiler), { isOnline: false, since: undefined });
  edge.online.opened(C.one, device);
  t.same(edge.online.of(boiler), { isOnline: true, since: clock.wall }, "it is known at once");
  t.equal(isOnline(edge, pump), false);
  edge.online.opened(C.two, device);
  edge.online.closed(C.one);
  t.equal(isOnline(edge, boiler), true, "another client is there");
  clock.advance(1);
  edge.online.closed(C.two);
  edge.online.closed(C.two);
  t.same(edge.online.of(boiler), { isOnline: false, since: clock.wall });
});

await test("the device of every Thing is that of tomorrow's, too, and of its account only", async (t) => {
  const edge = await openEdge(t);
  const [boiler, other] = [makeBoiler(edge), makeBoiler(edge, "B")];
  edge.online.opened(C.all, makeCredential(edge, "all", [grantOn("*")]));
  const later = makeBoiler(edge, "A", "later");
  t.same(
    [boiler, later, other].map((thing) => isOnline(edge, thing)),
    [true, true, false],
  );
  edge.online.closed(C.all);
  t.same(
    [boiler, later].map((thing) => isOnline(edge, thing)),
    [false, false],
  );
});

await test("other grants count at once", async (t) => {
  const edge = await openEdge(t);
  const [boiler, pump] = [makeBoiler(edge), makeBoiler(edge, "A", "pump")];
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  edge.online.opened(C.one, device);
  edge.online.granted({ ...device, grants: [grantOn([pump])] });
  t.same([isOnline(edge, boiler), isOnline(edge, pump)], [false, true]);
  edge.online.closed(C.one);
  t.equal(isOnline(edge, pump), false);
});

await test("it is told soon, and of one that comes and goes only so often", async (t) => {
  const edge = await openEdge(t);
  const { clock } = edge.opened;
  const boiler = makeBoiler(edge);
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  edge.online.opened(C.one, device);
  t.same(takeTold(edge), []);
  clock.advance(connectionLookMs);
  t.same(takeTold(edge), [["boiler", "online"]]);
  edge.online.closed(C.one);
  edge.online.opened(C.one, device);
  clock.advance(connectionToldMs);
  t.same(takeTold(edge), [], "gone and back is no news");
  for (let times = 0; times < 20; times += 1) {
    edge.online.closed(C.one);
    clock.advance(300);
    edge.online.opened(C.one, device);
    clock.advance(300);
  }
  edge.online.closed(C.one);
  clock.advance(connectionToldMs);
  const told = takeTold(edge).map(([, state]) => state);
  t.ok(told.length <= 4, `${told.length} in ${12_000 + connectionToldMs} ms`);
  t.equal(told.at(-1), "offline", "the last word is right");
});

await test("after a start devices have a while to return, then those who did not are told of", async (t) => {
  const edge = await openEdge(t);
  const { clock } = edge.opened;
  const [boiler, pump] = [makeBoiler(edge), makeBoiler(edge, "A", "pump")];
  edge.online.start();
  edge.online.opened(C.one, makeCredential(edge, "device", [grantOn([boiler])]));
  clock.advance(willGraceMs - 1);
  t.same(takeTold(edge), [["boiler", "online"]]);
  clock.advance(1);
  t.same(takeTold(edge), [["pump", "offline"]]);
  t.equal(isOnline(edge, pump), false);
});

await test("the end of the gateway is told of nobody", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  edge.online.start();
  edge.online.opened(C.one, makeCredential(edge, "device", [grantOn([boiler])]));
  edge.online.stop();
  edge.online.closed(C.one);
  edge.opened.clock.advance(2 * willGraceMs);
  t.same(takeTold(edge), []);
});

await test("a Thing that is deleted is forgotten", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  edge.online.opened(C.one, device);
  deleteThing(edge.deps, { principal: ADMIN, account: "A", thing: "boiler" });
  edge.online.closed(C.one);
  edge.opened.clock.advance(10_000);
  t.same(takeTold(edge), []);
});

await test("a new subscriber is told at once, if it names the topic and may", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  edge.online.opened(C.one, device);
  const topic = "status/A/things/boiler/connection";
  const retainedOf = async (filter: string): Promise<readonly string[]> => {
    const { session, outbox } = subscriberOf(edge, device, { [filter]: 1 }, { clientId: filter });
    edge.outbound.oweRetained(session, [{ filter, matching: filter, qos: 1 }])();
    await flushed(edge);
    return outbox.publishes.map((packet) => packet.topic);
  };
  t.same(await retainedOf(topic), [topic]);
  t.same(await retainedOf("status/A/things/+/connection"), [topic]);
  t.same(await retainedOf("status/A/things/boiler/#"), []);
  t.same(await retainedOf("status/A/things/boiler/+"), []);
});

await test("who names the topic hears of changes; a wide filter does not", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  const topic = "status/A/things/boiler/connection";
  const named = subscriberOf(edge, device, { [topic]: 1 }, { clientId: "named" });
  const wide = subscriberOf(edge, device, { "status/A/things/+/#": 1 }, { clientId: "wide" });
  edge.online.opened(C.one, device);
  edge.opened.clock.advance(connectionLookMs);
  await flushed(edge);
  t.same(
    named.outbox.publishes.map((packet) => packet.topic),
    [topic],
  );
  t.same(wide.outbox.publishes, []);
});
