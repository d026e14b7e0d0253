import { test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import { updateProperty } from "../../src/interactions/property-update.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { Json } from "../../src/thing/json.ts";
import { ACCOUNT, ADMIN, takePublished } from "../interactions/harness.ts";
import { message, openDownSite, owedValue, takeAll, takeTold, valueOf } from "./down-site.ts";
import type { DownSite } from "./down-site.ts";

const T = "set/up/things/boiler";
const DAY_MS = 86_400_000;

/** Set here, by whoever. */
function setHere(site: DownSite, name: string, value: Json): number {
  const on = {
    principal: ADMIN,
    account: ACCOUNT,
    thing: "boiler",
    name,
    others: "refuse",
  } as const;
  return updateProperty(site.deps, { ...on, body: { [name]: value } }).sequence;
}

await test("what upstream publishes does what it does on the LAN, and is marked", async (t) => {
  const site = await openDownSite(t);
  site.down.lineOpened({ sessionPresent: false });
  const acknowledged = await takeAll(
    site,
    message(`${T}/properties/target`, { target: 21 }),
    message(`${T}/properties`, { target: 22, mode: "eco" }),
    message(`${T}/actions/heat`, { heat: { input: { until: 60 } } }),
    message(`${T}/events/alarm`, { alarm: { data: "hot" } }),
    message(T, { title: "Boiler 2" }),
  );
  t.equal(acknowledged, 5);
  t.same(site.down.counts, { applied: 5, unchanged: 0, lost: 0, repeated: 0, refused: {} });
  t.equal(valueOf(site, "target"), 22);
  const topics = takePublished(site.harness).map(([topic]) => topic);
  const root = "status/site/things/boiler";
  const names = ["target", "target", "mode"].map((name) => `${root}/properties/${name}`);
  t.same(topics, [...names, `${root}/actions/heat`, `${root}/events/alarm`, root]);
  const rows = [...(await site.harness.rows("c:")).values()];
  t.equal(rows.filter((row) => row.includes(`"via":3`)).length, 5);
});

await test("what is refused changes nothing, is counted, told upstream, and acknowledged", async (t) => {
  const site = await openDownSite(t);
  site.down.lineOpened({ sessionPresent: false });
  const refused = [
    [message(`${T}/properties/target`, Buffer.from("{")), "not-json"],
    [message(`${T}/properties/target`, { target: "warm" }), "schema-violation"],
    [message(`${T}/properties/nothing`, { nothing: 1 }), "unknown-affordance"],
    [message("set/up/things/nobody/properties/p", { p: 1 }), "unknown-thing"],
    [message("set/other/things/boiler/properties/target", { target: 1 }), "unknown-account"],
    [message("set/site/things/boiler/properties/target", { target: 1 }), "unknown-topic"],
    [message("weather", { rain: true }), "unknown-topic"],
    [message("up/data/boiler", { rain: true }), "unknown-topic"],
  ] as const;
  const before = site.deps.store.changes.sequence;
  t.equal(await takeAll(site, ...refused.map(([one]) => one)), refused.length);
  t.equal(site.deps.store.changes.sequence, before);
  const told = takeTold(site);
  t.same(
    told.map(([topic, { code }]) => [topic, code]),
    [
      ["x/status/up/things/boiler/errors", "not-json"],
      ["x/status/up/things/boiler/errors", "schema-violation"],
      ["x/status/up/things/boiler/errors", "unknown-affordance"],
      ["x/status/up/things/nobody/errors", "unknown-thing"],
      ["x/status/other/things/boiler/errors", "unknown-account"],
    ],
  );
  t.match(told[1]?.[1], { topic: `x/${T}/properties/target`, timestamp: /Z$/ });
  const { refused: counts } = site.down.counts;
  t.same(counts, {
    "not-json": 1,
    "schema-violation": 1,
    "unknown-affordance": 1,
    "unknown-thing": 1,
    "unknown-account": 1,
    "unknown-topic": 3,
  });
});

await test("refusals are told so many a minute", async (t) => {
  const site = await openDownSite(t);
  site.down.lineOpened({ sessionPresent: false });
  const bad = () => message(`${T}/properties/target`, { target: "warm" });
  const most = FIXED_LIMITS.errorReportsPerMinute;
  await takeAll(site, ...Array.from({ length: most + 5 }, bad));
  t.equal(takeTold(site).length, most);
  site.harness.clock.advance(60_000);
  await takeAll(site, bad());
  t.equal(takeTold(site).length, 1);
});

await test("a command with an id is applied once, also after a restart", async (t) => {
  const site = await openDownSite(t);
  site.down.lineOpened({ sessionPresent: true });
  const properties = { userProperties: { id: "c-1" } };
  const command = () => message(`${T}/actions/stop`, { stop: {} }, { properties });
  t.equal(await takeAll(site, command(), command()), 2);
  await site.restart();
  site.down.lineOpened({ sessionPresent: true });
  t.equal(await takeAll(site, command()), 1);
  t.equal(site.deps.store.requests.countUnfinishedOf(site.thing.number), 1);
  t.equal(site.down.counts.repeated, 1);
});

await test("without an id a redelivery is known by DUP, packet id and content", async (t) => {
  const site = await openDownSite(t);
  const count = () => site.deps.store.requests.countUnfinishedOf(site.thing.number);
  site.down.lineOpened({ sessionPresent: true });
  const command = message(`${T}/actions/stop`, { stop: {} }, { packetId: 7 });
  await takeAll(site, command);
  site.down.lineClosed();
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, { ...command, dup: true });
  t.equal(count(), 1, "on the next line");
  await site.restart();
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, { ...command, dup: true });
  t.equal(count(), 1, "after a restart");
  await takeAll(site, { ...command, dup: true, packetId: 8 });
  t.equal(count(), 2, "another id is another message");
  await takeAll(site, command);
  t.equal(count(), 3, "without DUP it is new");
});

await test("what upstream must know to be acknowledged is not taken for a redelivery", async (t) => {
  const site = await openDownSite(t);
  const count = () => site.deps.store.requests.countUnfinishedOf(site.thing.number);
  const command = message(`${T}/actions/stop`, { stop: {} }, { packetId: 1 });
  const lost = { ...command, dup: true };
  const nextLine = (): void => {
    site.down.lineClosed();
    site.down.lineOpened({ sessionPresent: true });
  };
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, command);
  // Something of ours went up behind the acknowledgement, and has been answered.
  const owed = owedValue(site, 1, {});
  site.down.sent(owed);
  site.down.acknowledged(owed);
  nextLine();
  await takeAll(site, lost);
  t.equal(count(), 2, "of the same content, lost on its first way");
  nextLine();
  await takeAll(site, message(`${T}/properties/target`, { target: 1 }, { packetId: 2 }), lost);
  t.equal(count(), 3, "what was in flight comes before what is new");
  site.down.lineClosed();
  site.down.lineOpened({ sessionPresent: false });
  await takeAll(site, lost);
  t.equal(count(), 4, "a new session has nothing in flight");
});

await test("what was sent before the acknowledgement proves nothing", async (t) => {
  const site = await openDownSite(t);
  const command = message(`${T}/actions/stop`, { stop: {} }, { packetId: 1 });
  site.down.lineOpened({ sessionPresent: true });
  const owed = owedValue(site, 1, {});
  site.down.sent(owed);
  await takeAll(site, command);
  site.down.acknowledged(owed);
  site.down.lineClosed();
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, { ...command, dup: true });
  t.equal(site.deps.store.requests.countUnfinishedOf(site.thing.number), 1);
});

await test("a local change that upstream has not got stands, and the command hears of it", async (t) => {
  const site = await openDownSite(t);
  site.down.lineOpened({ sessionPresent: true });
  const sequence = setHere(site, "target", 30);
  site.owed.add(sequence);
  await takeAll(site, message(`${T}/properties/target`, { target: 40 }));
  await takeAll(site, message(`${T}/properties`, { target: 41, mode: "eco" }));
  t.equal(valueOf(site, "target"), 30);
  t.equal(valueOf(site, "mode"), undefined, "a map is all or nothing");
  t.same(
    takeTold(site).map(([, { code }]) => code),
    ["conflict", "conflict"],
  );
  await takeAll(site, message(`${T}/properties/mode`, { mode: "boost" }));
  t.equal(valueOf(site, "mode"), "boost", "another property is free");
  site.owed.delete(sequence);
  await takeAll(site, message(`${T}/properties/target`, { target: 40 }));
  t.equal(valueOf(site, "target"), 40);
});

await test("no local change: of upstream itself, or of a device that repeats its value", async (t) => {
  const site = await openDownSite(t);
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, message(`${T}/properties/target`, { target: 40 }));
  site.owed.add(site.deps.store.changes.sequence);
  await takeAll(site, message(`${T}/properties/target`, { target: 41 }));
  t.equal(valueOf(site, "target"), 41, "its own command on its way up");
  site.down.acknowledged(owedValue(site, site.deps.store.changes.sequence, { target: 41 }));
  site.owed.add(setHere(site, "target", 41));
  await takeAll(site, message(`${T}/properties/target`, { target: 42 }));
  t.equal(valueOf(site, "target"), 42, "a device repeats it");
  site.owed.add(setHere(site, "target", 50));
  await takeAll(site, message(`${T}/properties/target`, { target: 50 }));
  t.same(takeTold(site), [], "the same value is no conflict");
});

await test("a command whose life is over is not applied", async (t) => {
  const site = await openDownSite(t);
  const { clock } = site.harness;
  const says = (time: number) => {
    return { properties: { userProperties: { time: new Date(time).toISOString() } } };
  };
  site.down.lineOpened({ sessionPresent: false });
  const set = (target: number) => [`${T}/properties/target`, { target }] as const;
  await takeAll(site, message(...set(1), says(clock.wall - DAY_MS)));
  t.equal(valueOf(site, "target"), undefined, "it says it is a day old");
  await takeAll(site, message(...set(2), { properties: { messageExpiryS: 0 } }));
  t.equal(valueOf(site, "target"), undefined, "its broker says so");
  await takeAll(site, message(...set(3), { retain: true }));
  t.equal(valueOf(site, "target"), undefined, "it lay there retained");
  t.same(
    takeTold(site).map(([, { code }]) => code),
    ["expired", "expired", "expired"],
  );
  await takeAll(site, message(...set(4), says(clock.wall - DAY_MS + 1_000)));
  t.equal(valueOf(site, "target"), 4);
  await takeAll(site, message(...set(5), says(clock.wall + DAY_MS)));
  t.equal(valueOf(site, "target"), 5, "a clock ahead of ours");
});

await test("a request that came too late is recorded as expired, and no device gets it", async (t) => {
  const site = await openDownSite(t);
  site.down.lineOpened({ sessionPresent: false });
  site.down.lineClosed();
  site.harness.clock.advance(60_000);
  site.down.lineOpened({ sessionPresent: true });
  const request = (timeout: number) => message(`${T}/actions/stop`, { stop: { timeout } });
  await takeAll(site, request(59), request(90));
  const seen = takePublished(site.harness).map(([, payload]) => {
    return (payload as { stop: { status: string } }).stop.status;
  });
  t.same(seen, ["expired", "pending"]);
  const [left] = site.deps.store.requests.unfinishedOf(site.thing.number);
  t.equal(left?.deadline.timeToLiveMs, 30_000, "as much as is left of it at most");
  t.same(takeTold(site), [], "its status says it");
});

await test("what comes while the line is open is new; what waited upstream is not", async (t) => {
  const site = await openDownSite(t);
  const { clock } = site.harness;
  const pending = () => site.deps.store.requests.countUnfinishedOf(site.thing.number);
  const request = () => message(`${T}/actions/stop`, { stop: { timeout: 2 } });
  site.down.lineOpened({ sessionPresent: false });
  site.down.lineClosed();
  clock.advance(10_000);
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, request());
  t.equal(pending(), 0);
  site.down.lineClosed();
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, request());
  t.equal(pending(), 0, "a short line in between has not brought everything");
  clock.advance(FIXED_LIMITS.uplinkBacklogQuietMs - 1);
  await takeAll(site, request());
  t.equal(pending(), 0, "it may have waited");
  clock.advance(FIXED_LIMITS.uplinkBacklogQuietMs);
  await takeAll(site, request());
  t.equal(pending(), 1);
  site.down.lineClosed();
  clock.advance(10_000);
  site.down.lineOpened({ sessionPresent: false });
  await takeAll(site, request());
  t.equal(pending(), 2, "without a session nothing waited");
});

await test("after a reboot haste counts against a command, and its absence for it", async (t) => {
  const site = await openDownSite(t);
  const { clock } = site.harness;
  site.down.lineOpened({ sessionPresent: false });
  site.down.lineClosed();
  await site.deps.store.commit.flushed();
  clock.reboot({ wall: clock.wall + 60_000, synced: false });
  await site.restart();
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, message(`${T}/actions/stop`, { stop: { timeout: 3_600 } }));
  t.equal(site.deps.store.requests.countUnfinishedOf(site.thing.number), 0);
  await takeAll(site, message(`${T}/actions/stop`, { stop: {} }));
  t.equal(site.deps.store.requests.countUnfinishedOf(site.thing.number), 1);
});

await test("an idle line counts as heard while its broker answers pings", async (t) => {
  const site = await openDownSite(t);
  const { clock } = site.harness;
  const line = { sessionPresent: false, lastHeardMs: 0 };
  site.down.lineOpened(line);
  clock.advance(3_600_000);
  line.lastHeardMs = clock.monotonicMs() - 1_000;
  site.down.lineClosed();
  clock.advance(5_000);
  site.down.lineOpened({ sessionPresent: true });
  await takeAll(site, message(`${T}/actions/stop`, { stop: { timeout: 7 } }));
  t.equal(site.deps.store.requests.countUnfinishedOf(site.thing.number), 1);
  await takeAll(site, message(`${T}/actions/stop`, { stop: { timeout: 6 } }));
  t.equal(site.deps.store.requests.countUnfinishedOf(site.thing.number), 1);
});

await test("an envelope is opened: its id and its time count", async (t) => {
  const site = await openDownSite(t, { envelope: "cloudevents" });
  site.down.lineOpened({ sessionPresent: true });
  const time = new Date(site.harness.clock.wall).toISOString();
  const event = { specversion: "1.0", id: "e-1", source: "app", type: "set", time };
  const old = {
    ...event,
    id: "e-0",
    time: new Date(site.harness.clock.wall - DAY_MS).toISOString(),
  };
  await takeAll(site, message(`${T}/properties/target`, { ...event, data: { target: 1 } }));
  await takeAll(site, message(`${T}/properties/target`, { ...event, data: { target: 2 } }));
  await takeAll(site, message(`${T}/properties/target`, { ...old, data: { target: 3 } }));
  t.equal(valueOf(site, "target"), 1);
  await takeAll(site, message(`${T}/properties/target`, { target: 4 }));
  t.equal(valueOf(site, "target"), 4, "a plain one is taken, too");
});

await test("while the store takes nothing new messages wait, in order and unacknowledged", async (t) => {
  const site = await openDownSite(t);
  const { writability } = site.deps.store;
  site.down.lineOpened({ sessionPresent: true });
  writability.setFull(new GatewayError("storage-full", "planted"));
  const set = (target: number) => message(`${T}/properties/target`, { target });
  t.equal(await takeAll(site, set(1), set(2)), 0);
  t.equal(valueOf(site, "target"), undefined);
  let acknowledged = 0;
  site.down.take(set(3), () => (acknowledged += 1));
  writability.setFull(undefined);
  await site.deps.store.commit.flushed();
  t.equal(valueOf(site, "target"), 3);
  t.equal(acknowledged, 1);
  t.equal(site.down.counts.applied, 3);
  writability.setFull(new GatewayError("storage-full", "planted"));
  await takeAll(site, set(4));
  site.down.lineClosed();
  writability.setFull(undefined);
  t.equal(valueOf(site, "target"), 3, "what the old line brought comes again on the next");
});

await test("what comes with the answer to the CONNECT waits until the line is open", async (t) => {
  const site = await openDownSite(t);
  t.equal(await takeAll(site, message(`${T}/properties/target`, { target: 1 })), 0);
  site.down.lineOpened({ sessionPresent: true });
  t.equal(valueOf(site, "target"), 1);
  site.down.lineClosed();
  site.harness.clock.advance(60_000);
  await takeAll(site, message(`${T}/actions/stop`, { stop: { timeout: 30 } }));
  site.down.lineOpened({ sessionPresent: true });
  t.equal(
    site.deps.store.requests.countUnfinishedOf(site.thing.number),
    0,
    "and is as old as the line was away",
  );
});
