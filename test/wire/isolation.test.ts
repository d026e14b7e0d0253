import { setImmediate as nextTurn } from "node:timers/promises";
import { t as file, test } from "tap";
import { bytesOf, connectPacket, publishPacket, RawClient, subscribePacket } from "./raw-client.ts";
import { Site } from "./site.ts";

const site = await Site.start(file, { SLUICE_LIMITS__PACKET_BYTES: "65536" });
await site.makeThing("line", { properties: { n: { type: "integer" }, text: {} } });
const login = await site.makeDevice("line");
const SET = "set/A/things/line/properties/n";
const TEXT = "set/A/things/line/properties/text";
const STATUS = "status/A/things/line/properties/text";

/** Publishes of a client that does not wait for an answer. */
function flood(count: number, topic: string, payload: string): Buffer {
  return Buffer.concat(
    Array.from({ length: count }, (_, index) => {
      const packet = publishPacket(topic, payload, { qos: 1, id: (index % 65_535) + 1 });
      return bytesOf(packet);
    }),
  );
}

const FLOODS: readonly (readonly [what: string, bytes: Buffer, count: number])[] = [
  ["refused publishes", flood(20_000, "set/A/things/nothing/properties/n", "{}"), 20_000],
  ["publishes", flood(20_000, SET, '{"n":1}'), 20_000],
  ["large publishes", flood(600, SET, JSON.stringify({ n: "x".repeat(40_000) })), 600],
];

for (const [what, bytes, count] of FLOODS) {
  await test(`a flood of ${what} leaves others their turn`, { timeout: 60_000 }, async (t) => {
    const flooder = await RawClient.connect(t, site, login, { clientId: "flooder" });
    const other = await RawClient.connect(t, site, login, { clientId: "other" });
    const flooding = { isOver: false };
    flooder.send(bytes);
    const answered = flooder.take(count).then(() => (flooding.isOver = true));
    let rounds = 0;
    while (!flooding.isOver) {
      other.send(publishPacket(SET, { n: 1 }, { qos: 1, id: 1 }));
      await other.next();
      rounds += 1;
      await nextTurn();
    }
    await answered;
    t.ok(rounds >= 15, `the other was answered ${rounds} times meanwhile`);
  });
}

await test("what a subscriber that reads nothing misses at QoS 0 is dropped and counted, not held", async (t) => {
  const reader = await RawClient.connect(t, site, login, { clientId: "reader" });
  reader.send(subscribePacket(1, { [STATUS]: 0 }));
  await reader.next();
  reader.freeze();
  const writer = await RawClient.connect(t, site, login, { clientId: "writer" });
  const text = "x".repeat(40_000);
  const dropped = async (): Promise<number> => {
    const reply = await site.did("GET", "/gateway");
    const { broker } = reply.json as { broker: { dropped: Record<string, number> } };
    return broker.dropped["clogged"] ?? 0;
  };
  // The system takes some MiB for a reader before the gateway notices.
  for (let id = 1; (await dropped()) === 0; id += 1) {
    t.ok(id < 2_000, "it is noticed");
    writer.send(publishPacket(TEXT, { text }, { qos: 1, id }));
    await writer.next();
  }
  const other = await RawClient.connect(t, site, login, { clientId: "other" });
  other.send(subscribePacket(1, { [STATUS]: 0 }));
  t.match(await other.next(), { cmd: "suback" });
  t.match(await other.next(), { cmd: "publish", retain: true }, "others have it");
});

await test("beyond limits.connections a connection is closed at once, and one that ends makes room", async (t) => {
  const small = await Site.start(t, { SLUICE_LIMITS__CONNECTIONS: "3" });
  await small.makeThing("line", {});
  const own = await small.makeDevice("line");
  const open = await Promise.all(
    ["1", "2", "3"].map(async (clientId) => RawClient.connect(t, small, own, { clientId })),
  );
  const fourth = await RawClient.open(t, small);
  fourth.send(connectPacket(own, { clientId: "4" }));
  t.same(await fourth.untilClosed(), []);
  await open[0]?.cut();
  for (;;) {
    const again = await RawClient.open(t, small);
    again.send(connectPacket(own, { clientId: "4" }));
    const answer = await again.next();
    if (answer === undefined) continue; // The end of the first is not seen yet.
    t.match(answer, { cmd: "connack", returnCode: 0 });
    return;
  }
});
