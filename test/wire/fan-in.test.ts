import { t as file, test, type Test } from "tap";
import { Client } from "./client.ts";
import { publishPacket, RawClient } from "./raw-client.ts";
import { Site, type Login } from "./site.ts";
import { within } from "./within.ts";

const PUBLISHERS = 6;
const EACH = 1_000;
/** Publishes of one client that wait for their answer. */
const WINDOW = 50;

// Nothing holds back a publisher for a subscriber that is slower: its queue has room for all.
const site = await Site.start(file, {
  SLUICE_LIMITS__SESSION_QUEUE_MESSAGES: String(PUBLISHERS * EACH),
  SLUICE_LIMITS__SESSION_QUEUE_BYTES: "1000000000",
});
await site.makeThing("line", { properties: { n: { type: "integer" } }, events: { tick: {} } });
for (let index = 0; index < PUBLISHERS; index += 1) {
  await site.makeThing(`p${index}`, { events: { tick: { data: { type: "integer" } } } });
}
const login = await site.makeCredential([
  { entity: "things", id: ["*"] },
  { entity: "topics", patterns: [{ pub: "line/#", sub: "line/#" }] },
]);

/** Publishes `EACH` messages, numbered from 0, with a window, and waits for every answer. */
async function pour(
  t: Test,
  as: Login,
  publisher: number,
  message: (publisher: number, n: number) => readonly [topic: string, payload: unknown],
): Promise<void> {
  const client = await RawClient.connect(t, site, as, { clientId: `pours ${publisher}` });
  let sent = 0;
  const sendNext = (): void => {
    const [topic, payload] = message(publisher, sent);
    sent += 1;
    client.send(publishPacket(topic, payload, { qos: 1, id: sent }));
  };
  while (sent < WINDOW) sendNext();
  for (let answered = 0; answered < EACH; answered += 1) {
    const answer = await client.next();
    if (answer?.cmd !== "puback" || answer.messageId !== answered + 1) {
      throw new Error(`answer ${answered + 1} is ${JSON.stringify(answer)}`);
    }
    if (sent < EACH) sendNext();
  }
}

/** How many messages of each publisher are missing, and how many are not behind the one before. */
function countFaults(numbers: readonly (readonly [publisher: number, n: number])[]) {
  const last = Array.from({ length: PUBLISHERS }, () => -1);
  let lost = PUBLISHERS * EACH;
  let reordered = 0;
  for (const [publisher, n] of numbers) {
    lost -= 1;
    if (n <= (last[publisher] ?? -1)) reordered += 1;
    last[publisher] = n;
  }
  return { lost, reordered };
}

const event = (publisher: number, n: number) =>
  [`set/A/things/p${publisher}/events/tick`, { tick: { data: n } }] as const;
const free = (publisher: number, n: number) => [`line/p${publisher}/tick`, String(n)] as const;

function numberOf(topic: string, text: string): readonly [number, number] {
  const publisher = Number(/p(\d+)/.exec(topic)?.[1]);
  const { tick } = (text.startsWith("{") ? JSON.parse(text) : {}) as { tick?: { data: number } };
  return [publisher, tick === undefined ? Number(text) : tick.data];
}

for (const [what, filter, message] of [
  ["events", "status/A/things/+/events/tick", event],
  ["messages on free topics", "line/#", free],
] as const) {
  for (const clean of [true, false]) {
    const whose = clean ? "live" : "persistent";
    const title = `of ${PUBLISHERS * EACH} ${what} of ${PUBLISHERS} publishers a ${whose} subscriber misses none, each publisher's in order`;
    await test(title, { timeout: 60_000 }, async (t) => {
      const reader = await Client.connect(t, site, login, { clientId: `reads ${what}`, clean });
      await reader.subscribe(filter);
      const all = Array.from({ length: PUBLISHERS }, async (_, index) =>
        pour(t, login, index, message),
      );
      await within("the publishers", Promise.all(all));
      const got = await reader.next(PUBLISHERS * EACH);
      const numbers = got.map(({ topic, text }) => numberOf(topic, text));
      t.same(countFaults(numbers), { lost: 0, reordered: 0 });
      t.same(await reader.take(), [], "and none twice");
      await reader.end();
    });
  }
}

await test(
  "a subscriber that reads nothing holds up nobody else",
  { timeout: 60_000 },
  async (t) => {
    const frozen = await RawClient.connect(t, site, login, { clientId: "frozen" });
    frozen.send({
      cmd: "subscribe",
      messageId: 1,
      subscriptions: [{ topic: "line/#", qos: 0 }],
    });
    t.match(await frozen.next(), { cmd: "suback" });
    frozen.freeze();
    const reader = await Client.connect(t, site, login);
    await reader.subscribe("line/+/tick");
    const large = "x".repeat(5_000);
    const all = Array.from({ length: PUBLISHERS }, async (_, index) =>
      pour(t, login, index, (publisher, n) => [`line/p${publisher}/tick`, `${n} ${large}`]),
    );
    await within("the publishers", Promise.all(all));
    const got = await reader.next(PUBLISHERS * EACH);
    t.equal(got.length, PUBLISHERS * EACH);
  },
);
