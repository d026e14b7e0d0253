import fc from "fast-check";
import { test } from "tap";
import type { Qos } from "../../src/mqtt/frame-kinds.ts";
import type { Message } from "../../src/mqtt/message.ts";
import {
  incomingKey,
  queueKey,
  readMqttRows,
  readQueued,
  retainedKey,
  sessionKey,
  willKey,
  writeMessage,
  writeQueued,
  writeWill,
} from "../../src/mqtt/session-rows.ts";
import { openEdge } from "./edge.ts";

const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: "binary", maxLength: 20 }).map((text) => Buffer.from(text)),
  fc.constantFrom(Buffer.from("\uFFFD"), Buffer.from("\uFEFFx"), Buffer.from([0xc3])),
);
const qos = fc.constantFrom<Qos>(0, 1, 2);

await test("a queued message comes back as it was, any bytes of it", (t) => {
  const plain = { noNullPrototype: true } as const;
  const moment = fc.record({ at: fc.nat(), sequence: fc.nat() }, plain);
  const request = fc.record({ thing: fc.nat(), name: fc.string(), moment }, plain);
  const messages: fc.Arbitrary<Message> = fc.record(
    {
      topic: fc.string({ unit: "grapheme", minLength: 1 }),
      payload: payloads,
      qos,
      retain: fc.constant(false),
      isState: fc.boolean(),
      request: fc.option(request, { nil: undefined }),
    },
    plain,
  );
  fc.assert(
    fc.property(messages, fc.nat(0xffff), fc.boolean(), (message, packetId, isReceived) => {
      const row = { message, packetId, isReceived };
      t.strictSame(readQueued(writeQueued(row.message, { ...row, qos: row.message.qos })), row);
    }),
    { numRuns: 300 },
  );
  t.end();
});

await test("text is stored as text, and bytes that are none in base64", (t) => {
  const kind = (payload: Buffer) => Object.keys(writeMessage({ topic: "t", payload, qos: 1 }))[1];
  t.equal(kind(Buffer.from('{"a":"ü🔥"}')), "text");
  t.equal(kind(Buffer.from("\uFEFFbom")), "text");
  t.equal(kind(Buffer.of(0xff)), "base64");
  t.end();
});

await test("a damaged row is refused, not misread", (t) => {
  for (const row of ["", "{}", '{"topic":"t","qos":3,"text":""}', '{"topic":5,"qos":1}']) {
    t.throws(() => readQueued(row), row);
  }
  t.end();
});

await test("keys sort as what they mean", (t) => {
  const numbers = [0, 1, 9, 31, 32, 1_000, 65_535, 1_000_000, 2 ** 40];
  const ordered = (keys: readonly string[]) => t.strictSame([...keys].sort(), keys);
  ordered(numbers.map((counter) => queueKey(1, counter)));
  ordered(numbers.slice(0, 8).map((session) => queueKey(session, 2 ** 50)));
  ordered(numbers.slice(0, 8).map(sessionKey));
  ordered(numbers.slice(0, 7).map((packetId) => incomingKey(1, packetId)));
  t.end();
});

await test("what was written is read back: wills, retained messages, ids, whatever their names", async (t) => {
  const { deps } = await openEdge(t);
  const { commit, database } = deps.store;
  const names = ["a", "a:b", "!mqtt!w:", "ü/🔥", ";", "~"];
  for (const name of names) {
    const message = { topic: name, payload: Buffer.from(name), qos: 1 as const };
    commit.put(willKey(name), writeWill({ ...message, retain: true, credential: "c" }));
    commit.put(retainedKey(name), JSON.stringify(writeMessage(message)));
  }
  commit.put(incomingKey(3, 65_535), "");
  await commit.flushed();
  const rows = await readMqttRows(database, commit);
  t.same([...rows.wills.keys()].sort(), [...names].sort());
  for (const [name, will] of rows.wills) {
    t.strictSame(will, {
      topic: name,
      payload: Buffer.from(name),
      qos: 1,
      retain: true,
      credential: "c",
    });
  }
  t.same(rows.retained.map(({ topic }) => topic).sort(), [...names].sort());
  t.same(rows.incoming, [{ session: 3, packetId: 65_535 }]);
});
