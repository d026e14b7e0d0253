import { t as file, test } from "tap";
import type { Packet } from "mqtt-packet";
import { seededRandom } from "../store/random.ts";
import { publishPacket, RawClient } from "./raw-client.ts";
import { Site } from "./site.ts";
import { BOILER } from "./things.ts";

const ROUNDS = 50;
const SEED = 20260301;

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
const login = await site.makeCredential([
  { entity: "things", id: ["boiler"] },
  { entity: "topics", patterns: [{ pub: "line1/#", sub: "line1/#" }] },
]);
const SET = "set/A/things/boiler/properties";

/** What publishes can be, by where they go and what becomes of them. */
const KINDS = [
  (value: number) => [`${SET}/target`, { target: value }] as const, // accepted
  () => [`${SET}/target`, { target: "warm" }] as const, // refused: schema
  () => ["set/A/things/pump/properties/target", { target: 1 }] as const, // refused: grant
  () => [`${SET}/target`, "{"] as const, // refused: no JSON
  (value: number) => ["line1/speed", { value }] as const, // free
  () => [`${SET}/anything`, "x".repeat(300_000)] as const, // refused: too large
];

function acknowledgementOf({
  qos,
  messageId,
}: {
  readonly qos: number;
  readonly messageId?: number;
}) {
  return { cmd: qos === 1 ? "puback" : "pubrec", messageId };
}

await test(`answers keep the client's order, ${ROUNDS} rounds of accepted, refused and free at QoS 1 and 2, seed ${SEED}`, async (t) => {
  const client = await RawClient.connect(t, site, login, { clientId: "order" });
  const random = seededRandom(SEED);
  const below = (bound: number): number => (random.bytes(1)[0] ?? 0) % bound;
  for (let round = 0; round < ROUNDS; round += 1) {
    const publishes = Array.from({ length: 20 }, (_, index) => {
      // The large ones are rare: they are slow to send.
      const kind = KINDS[below(40) === 0 ? 5 : below(5)] ?? KINDS[0]!;
      const [topic, payload] = kind(round % 90);
      const qos = below(2) === 0 ? 1 : 2;
      return publishPacket(topic, payload, { qos, id: index + 1 });
    });
    client.send(...publishes);
    const answers = await client.take(publishes.length);
    const expected = publishes.map((each) =>
      acknowledgementOf({ ...each, messageId: each.messageId! }),
    );
    const got = answers.map((answer) => ({
      cmd: answer.cmd,
      messageId: (answer as { messageId?: number }).messageId,
    }));
    t.strictSame(got, expected, `round ${round}`);
    const releases = publishes
      .filter(({ qos }) => qos === 2)
      .map((each): Packet => ({ cmd: "pubrel", messageId: each.messageId! }));
    client.send(...releases);
    const completed = await client.take(releases.length);
    t.strictSame(
      completed.map((each) => [each.cmd, (each as { messageId?: number }).messageId]),
      releases.map((each) => ["pubcomp", (each as { messageId?: number }).messageId]),
    );
  }
});

await test("a refused publish alone is answered without waiting for anything else", async (t) => {
  const client = await RawClient.connect(t, site, login, { clientId: "order" });
  client.send(publishPacket(`${SET}/target`, "{", { qos: 1, id: 9 }));
  t.match(await client.next(), { cmd: "puback", messageId: 9 });
});

await test("values of one client reach the state and the subscribers in the order it sent them", async (t) => {
  const watcher = await RawClient.connect(t, site, login, { clientId: "watcher" });
  watcher.send({
    cmd: "subscribe",
    messageId: 1,
    subscriptions: [{ topic: "status/A/things/boiler/properties/anything", qos: 0 }],
  });
  t.match(await watcher.next(), { cmd: "suback" });
  const client = await RawClient.connect(t, site, login, { clientId: "order" });
  const count = 500;
  const publishes = Array.from({ length: count }, (_, index) => {
    const qos = ([0, 1, 2] as const)[index % 3]!;
    const id = qos === 0 ? {} : { id: index + 1 };
    return publishPacket(`${SET}/anything`, { anything: index }, { qos, ...id });
  });
  client.send(...publishes);
  const seen = await watcher.take(count);
  t.strictSame(
    seen.map((each) => (each.cmd === "publish" ? each.payload.toString() : each.cmd)),
    Array.from({ length: count }, (_, index) => JSON.stringify({ anything: index })),
  );
  const state = await site.did("GET", "/A/things/boiler/properties/anything");
  t.same(state.json, { anything: count - 1 });
});

await test("more publishes than the window are all answered, in order", async (t) => {
  const client = await RawClient.connect(t, site, login, { clientId: "order" });
  const count = 1_000;
  client.send(
    ...Array.from({ length: count }, (_, index) =>
      publishPacket(`${SET}/anything`, { anything: index }, { qos: 1, id: index + 1 }),
    ),
  );
  const answers = await client.take(count);
  t.strictSame(
    answers.map((each) => (each as { messageId?: number }).messageId),
    Array.from({ length: count }, (_, index) => index + 1),
  );
});

await test("what came before a DISCONNECT in the same segment is applied", async (t) => {
  const client = await RawClient.connect(t, site, login, { clientId: "order" });
  const publishes = Array.from({ length: 300 }, (_, index) =>
    publishPacket(`${SET}/target`, { target: index % 90 }, { qos: 0 }),
  );
  const last = publishPacket(`${SET}/target`, { target: 89.5 }, { qos: 0 });
  client.send(...publishes, last, { cmd: "disconnect" });
  await client.untilClosed();
  const state = await site.did("GET", "/A/things/boiler/properties/target");
  t.same(state.json, { target: 89.5 });
});
