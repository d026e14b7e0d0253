import type { IPublishPacket } from "mqtt-packet";
import { test, type Test } from "tap";
import type { JsonObject } from "../../src/thing/json.ts";
import { Site } from "../wire/site.ts";
import { within } from "../wire/within.ts";
import { startFakeBroker, type FakeBroker } from "./fake-broker.ts";

// The age of what waits, through the ports of a gateway whose time passes when the test says so.

/** Port 1: nothing listens there. */
const NOWHERE = "mqtt://127.0.0.1:1";
const UPLINK = "/gateway/uplinks/plant";
const BOILER = "/A/things/boiler";
const LIFE = { properties: { level: { type: "integer" } }, events: { alarm: {}, note: {} } };
const AGE_S = 1_600;
/** A bound by age is kept to a sixteenth, and looked at every 10 s. */
const LATE_S = AGE_S / 16 + 10;
const AGED = { cause: "bounds-age", class: "event" };
const MONTH_MS = 30 * 86_400_000;

type Drop = Readonly<Record<"cause" | "class" | "from" | "to", string>> & {
  readonly count: number;
};
type Shown = {
  readonly depth: { readonly rows: number; readonly oldest_age_s: number };
  readonly drops: readonly Drop[];
  readonly acked_seq: number;
};

/** A gateway with an uplink that is paused, and owes a value behind its snapshot. */
async function start(t: Test, event: JsonObject): Promise<{ site: Site; broker: FakeBroker }> {
  const broker = await startFakeBroker(t, 5);
  const site = await Site.start(t);
  await site.did("PUT", BOILER, LIFE);
  await site.did("PUT", UPLINK, { url: NOWHERE });
  await site.did("POST", `${UPLINK}/pause`);
  await site.did("PUT", UPLINK, { url: broker.url, bounds: { event } });
  await site.did("PUT", `${BOILER}/properties/level`, { level: 1 });
  return { site, broker };
}

const shown = async (site: Site): Promise<Shown> => (await site.did("GET", UPLINK)).json as Shown;

/** As it is while a machine runs: it looks at its bounds again and again. */
async function run(site: Site, seconds: number): Promise<void> {
  for (let passed = 0; passed < seconds; passed += 10) {
    site.clock.advance(10_000);
    await site.did("GET", "/gateway");
  }
}

/** Emits, and returns the time of it as the gateway tells it. */
async function emit(site: Site, name = "alarm"): Promise<string> {
  site.clock.advance(1_000);
  const reply = await site.did("POST", `${BOILER}/events/${name}`, { [name]: {} });
  return (reply.json as Readonly<Record<string, { readonly timestamp: string }>>)[name]!.timestamp;
}

/** Resumes the uplink and acknowledges what comes, until nothing waits. Returns what was owed. */
async function drain(site: Site, broker: FakeBroker): Promise<readonly IPublishPacket[]> {
  const came: IPublishPacket[] = [];
  await site.did("POST", `${UPLINK}/resume`);
  const peer = await broker.peer();
  await peer.connack();
  peer.onPacket((packet) => {
    if (packet.cmd === "subscribe") {
      peer.send({ cmd: "suback", messageId: packet.messageId ?? 0, granted: [1] });
    }
    if (packet.cmd !== "publish") return;
    if (packet.properties?.userProperties?.["seq"] !== undefined) came.push(packet);
    peer.send({ cmd: "puback", messageId: packet.messageId ?? 0, reasonCode: 0 });
  });
  const drained = async (): Promise<void> => {
    while ((await shown(site)).depth.rows > 0) site.clock.advance(1);
  };
  await within("an empty outbox", drained());
  return came;
}

const told = ({ topic, payload, properties }: IPublishPacket): readonly unknown[] => [
  Number(properties?.userProperties?.["seq"]),
  topic,
  JSON.parse(payload.toString()) as unknown,
];

await test("what is too old by running time goes: counted, and named upstream in its place", async (t) => {
  const { site, broker } = await start(t, { age_s: AGE_S, rule: "keep-oldest" });
  const times = [await emit(site), await emit(site), await emit(site)];
  await site.did("PUT", `${BOILER}/properties/level`, { level: 2 });
  await run(site, AGE_S / 2);
  // Less than what is taken for a clock gone wrong.
  site.clock.wall += 900_000;
  await run(site, AGE_S / 2 - 20);
  t.match(
    await shown(site),
    { depth: { rows: 5 }, drops: [] },
    "a step of the clock makes none old",
  );
  await run(site, LATE_S + 20);
  const late = await emit(site, "note");
  const after = await shown(site);
  t.match(after.depth, { rows: 3 }, "two values, and the event that is new");
  const lost = { ...AGED, count: 3, from: times[0], to: times[2] };
  t.same(after.drops, [lost]);
  const log = site.logged
    .filter(([event]) => event === "uplink.dropped")
    .map(([, fields]) => fields);
  t.match(log, [{ uplink: "plant", ...AGED, count: 3 }]);
  const came = await drain(site, broker);
  const { id } = (await site.did("GET", "/gateway")).json as { readonly id: string };
  const [since, , until] = times;
  t.match(came.map(told), [
    [1, "status/A/things/boiler", { id: "boiler" }],
    [2, "status/A/things/boiler/properties/level", { level: 1 }],
    [6, `status/A/gateways/${id}/gaps`, { from: 3, to: 5, ...AGED, since, until }],
    [7, "status/A/things/boiler/properties/level", { level: 2 }],
    [8, "status/A/things/boiler/events/note", { note: { timestamp: late } }],
  ]);
  const end = await shown(site);
  t.match(end, { acked_seq: 8, depth: { rows: 0 }, drops: [lost] }, "the ledger stays");
});

for (const [countsTimeOff, words] of [
  [false, "a month in a drawer does not count"],
  [true, "a month in a drawer counts where the bound says so"],
] as const) {
  await test(words, async (t) => {
    const event = { age_s: AGE_S, counts_time_off: countsTimeOff };
    const { site, broker } = await start(t, event);
    await emit(site);
    await run(site, AGE_S / 2);
    await site.stop();
    site.clock.reboot({ wall: site.clock.wall + MONTH_MS, synced: true });
    await site.begin();
    await run(site, AGE_S / 4);
    const lost = [{ ...AGED, count: 1 }];
    const { depth, drops } = await shown(site);
    t.same([depth.rows, drops.length], countsTimeOff ? [1, 1] : [2, 0]);
    await run(site, AGE_S / 4 + LATE_S);
    t.match(await shown(site), { depth: { rows: 1 }, drops: lost }, "what ran before counts");
    const came = await drain(site, broker);
    t.same(
      came.filter(({ topic }) => topic.endsWith("/alarm")),
      [],
    );
  });
}
