import assert from "node:assert/strict";
import fc from "fast-check";
import { generate, parser, type Packet } from "mqtt-packet";
import { test } from "tap";
import type { Frame } from "../../src/mqtt/frame-kinds.ts";
import { CONNECT, cutAt, framesOf, packet } from "./packets.ts";

/** What mqtt-packet writes, beside the frame that is to be read from it. */
type Pair = { readonly packet: Packet; readonly frame: Record<string, unknown> };

const PACKET_BYTES_MAX = 600;
const WITHOUT_BYTES = new Set(["publish", "oversize-publish", "pubrel"]);

const level = fc.oneof(
  fc.constantFrom("", "a", "b", "things", "$SYS", "é", "温度", "😀", " "),
  fc
    .string({ unit: "grapheme", maxLength: 8 })
    .map((text) => text.replaceAll(/[/+#]|\p{Cc}|\p{NChar}/gu, "")),
);
const topicName = fc
  .array(level, { minLength: 1, maxLength: 8 })
  .map((levels) => levels.join("/"))
  .filter((topic) => topic !== "");
const topicFilter = fc
  .tuple(fc.array(fc.oneof(level, fc.constant("+")), { maxLength: 8 }), fc.boolean())
  .map(([levels, hasTail]) => [...levels, ...(hasTail ? ["#"] : [])].join("/"))
  .filter((filter) => filter !== "");
const text = fc
  .string({ unit: "grapheme", maxLength: 20 })
  .map((t) => t.replaceAll(/\p{Cc}|\p{NChar}/gu, ""));
const payload = fc.uint8Array({ maxLength: 900 }).map((bytes) => Buffer.from(bytes));
const packetId = fc.integer({ min: 1, max: 65_535 });
const qos = fc.constantFrom(0, 1, 2);

const publishPair: fc.Arbitrary<Pair> = fc
  .record({ topic: topicName, payload, qos, retain: fc.boolean(), dup: fc.boolean(), packetId })
  .map((publish) => {
    const dup = publish.dup && publish.qos > 0;
    const packet: Packet = {
      cmd: "publish",
      topic: publish.topic,
      payload: publish.payload,
      qos: publish.qos,
      retain: publish.retain,
      dup,
      ...(publish.qos > 0 && { messageId: publish.packetId }),
    };
    const common = {
      topic: publish.topic,
      levels: publish.topic.split("/").length,
      qos: publish.qos,
      retain: publish.retain,
      packetId: publish.qos > 0 ? publish.packetId : 0,
    };
    if (generate(packet).length > PACKET_BYTES_MAX) {
      const payloadBytes = publish.payload.length;
      return { packet, frame: { kind: "oversize-publish", ...common, payloadBytes } };
    }
    return { packet, frame: { kind: "publish", ...common, payload: publish.payload, dup } };
  });

const subscribePair: fc.Arbitrary<Pair> = fc
  .record({
    messageId: packetId,
    subscriptions: fc.array(fc.record({ topic: topicFilter, qos }), { minLength: 1, maxLength: 4 }),
  })
  .map(({ messageId, subscriptions }) => ({
    packet: { cmd: "subscribe", messageId, subscriptions: subscriptions as [] },
    frame: {
      kind: "subscribe",
      packetId: messageId,
      filters: subscriptions.map(({ topic, qos }) => ({
        filter: topic,
        levels: topic.split("/").length,
        qos,
      })),
    },
  }));

const unsubscribePair: fc.Arbitrary<Pair> = fc
  .record({
    messageId: packetId,
    unsubscriptions: fc.array(topicFilter, { minLength: 1, maxLength: 4 }),
  })
  .map(({ messageId, unsubscriptions }) => ({
    packet: { cmd: "unsubscribe", messageId, unsubscriptions },
    frame: { kind: "unsubscribe", packetId: messageId, filters: unsubscriptions },
  }));

const answerPair: fc.Arbitrary<Pair> = fc
  .record({ cmd: fc.constantFrom("puback", "pubrec", "pubcomp", "pubrel"), messageId: packetId })
  .map(({ cmd, messageId }) => ({
    packet: { cmd, messageId },
    frame:
      cmd === "pubrel"
        ? { kind: "pubrel", packetId: messageId }
        : { kind: "other", type: cmd, packetId: messageId },
  }));

const pingPair: fc.Arbitrary<Pair> = fc.constant({
  packet: { cmd: "pingreq" },
  frame: { kind: "other", type: "pingreq", packetId: 0 },
});

const connectPair: fc.Arbitrary<Pair> = fc
  .record({
    is31: fc.boolean(),
    clean: fc.boolean(),
    keepalive: fc.integer({ min: 0, max: 65_535 }),
    clientId: text.filter((id) => id !== ""),
    username: fc.option(
      text.filter((name) => name !== ""),
      { nil: undefined },
    ),
    password: fc.option(
      payload.filter((bytes) => bytes.length > 0 && bytes.length < 60),
      {
        nil: undefined,
      },
    ),
    will: fc.option(
      fc.record({
        topic: topicName,
        payload: payload.filter((bytes) => bytes.length > 0 && bytes.length < 60),
        qos,
        retain: fc.boolean(),
      }),
      { nil: undefined },
    ),
  })
  .map((connect) => {
    const { is31, clean, keepalive, clientId, username, will } = connect;
    const password = username === undefined ? undefined : connect.password;
    const packet: Packet = {
      cmd: "connect",
      protocolId: is31 ? "MQIsdp" : "MQTT",
      protocolVersion: is31 ? 3 : 4,
      clean,
      keepalive,
      clientId,
      ...(username !== undefined && { username }),
      ...(password !== undefined && { password }),
      ...(will !== undefined && { will: { ...will, qos: will.qos } }),
    };
    const frame = {
      kind: "connect",
      protocolLevel: is31 ? 3 : 4,
      clean,
      keepalive,
      clientId,
      username,
      password,
      will: will && { ...will, levels: will.topic.split("/").length },
    };
    return { packet, frame };
  });

const session = fc.tuple(
  connectPair,
  fc.array(fc.oneof(publishPair, subscribePair, unsubscribePair, answerPair, pingPair), {
    maxLength: 8,
  }),
);
const cuts = fc.array(fc.nat(4000), { maxLength: 60 });

await test("reads what another encoder writes, however it is cut", (t) => {
  fc.assert(
    fc.property(session, cuts, ([first, others], places) => {
      const pairs = [first, ...others].filter(
        ({ packet, frame }) =>
          frame["kind"] === "oversize-publish" || generate(packet).length <= PACKET_BYTES_MAX,
      );
      fc.pre(pairs[0] === first);
      const whole = pairs.map(({ packet }) => generate(packet));
      const expected = pairs.map(({ frame }, index) =>
        WITHOUT_BYTES.has(String(frame["kind"])) ? frame : { ...frame, bytes: whole[index] },
      );
      const frames = framesOf(cutAt(Buffer.concat(whole), places), PACKET_BYTES_MAX);
      assert.deepStrictEqual(frames, expected);
    }),
    { numRuns: 400 },
  );
  t.end();
});

/** Packets, some with a byte changed, some with bytes of chance between them. */
const damaged = fc
  .tuple(
    fc.boolean(),
    fc.array(
      fc.oneof(
        {
          weight: 6,
          arbitrary: fc
            .oneof(publishPair, subscribePair, unsubscribePair, answerPair)
            .map(({ packet }) => generate(packet)),
        },
        { weight: 1, arbitrary: connectPair.map(({ packet }) => generate(packet)) },
        {
          weight: 1,
          arbitrary: fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
        },
        { weight: 1, arbitrary: fc.constantFrom(packet("e0"), packet("c0")) },
      ),
      { maxLength: 8 },
    ),
    fc.array(fc.tuple(fc.nat(4000), fc.nat(255)), { maxLength: 3 }),
  )
  .map(([isConnected, packets, changes]) => {
    const bytes = Buffer.concat(isConnected ? [CONNECT, ...packets] : packets);
    for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
    return bytes;
  });

await test("takes any bytes: bounded in memory, the same however cut, nothing after a fault", (t) => {
  fc.assert(
    fc.property(damaged, cuts, fc.integer({ min: 16, max: 300 }), (bytes, places, bytesMax) => {
      const atOnce = framesOf([bytes], bytesMax);
      const cut = framesOf(cutAt(bytes, places), bytesMax);
      assert.deepStrictEqual(cut, atOnce);
      const isLast = atOnce.findIndex((frame) => frame.kind === "fault");
      if (isLast !== -1 && isLast !== atOnce.length - 1) fail();
      if (atOnce.length > bytes.length / 2 + 1) fail(); // The shortest packet has two bytes.
    }),
    { numRuns: 2000 },
  );
  t.end();
});

await test("passes nothing on to aedes that its parser refuses or reads differently", (t) => {
  fc.assert(
    fc.property(damaged, (bytes) => {
      for (const frame of [...framesOf([bytes]), ...framesOf([CONNECT, bytes])]) {
        if (!("bytes" in frame)) continue;
        const parsed = { ...parseAlone(frame.bytes) };
        assert.deepEqual({ ...parsed, ...readByAedes(frame) }, parsed);
      }
    }),
    { numRuns: 1000 },
  );
  t.end();
});

/** The one packet in `bytes`, read by the parser inside aedes. Fails on any other number. */
function parseAlone(bytes: Buffer): Packet {
  const packets: Packet[] = [];
  const reading = parser({ protocolVersion: 4 });
  reading.on("packet", (packet) => packets.push(packet));
  reading.on("error", fail);
  reading.parse(bytes);
  return packets.length === 1 && packets[0] !== undefined ? packets[0] : fail();
}

function readByAedes(frame: Frame): Record<string, unknown> {
  switch (frame.kind) {
    case "connect":
      return { cmd: "connect", clientId: frame.clientId, keepalive: frame.keepalive };
    case "subscribe":
      return {
        cmd: "subscribe",
        messageId: frame.packetId,
        subscriptions: frame.filters.map(({ filter, qos }) => ({ topic: filter, qos })),
      };
    case "unsubscribe":
      return { cmd: "unsubscribe", messageId: frame.packetId, unsubscriptions: [...frame.filters] };
    case "other":
      return { cmd: frame.type, ...(frame.packetId > 0 && { messageId: frame.packetId }) };
    case "publish":
    case "oversize-publish":
    case "pubrel":
    case "fault":
      return {};
  }
}

function fail(cause?: unknown): never {
  throw new Error("the property does not hold", { cause });
}
