import { isDeepStrictEqual } from "node:util";
import { test } from "tap";
import { FrameReader } from "../../src/mqtt/frames.ts";
import { CONNECT, CONNECT_31, cutAt, framesOf, inChunksOf, packet, raw } from "./packets.ts";

/** `bytes` of the frame are the packet itself unless `passedOn` says otherwise. */
type Legal = {
  readonly what: string;
  readonly bytes: Buffer;
  readonly frame: Record<string, unknown>;
  readonly after?: Buffer;
  readonly passedOn?: Buffer;
};

const nothing = Buffer.alloc(0);

const connect = {
  kind: "connect",
  protocolLevel: 4,
  clean: true,
  keepalive: 60,
  clientId: "c1",
  username: undefined,
  password: undefined,
  will: undefined,
};

const CONNECTS: readonly Legal[] = [
  { what: "3.1.1", bytes: CONNECT, frame: connect },
  { what: "3.1", bytes: CONNECT_31, frame: { ...connect, protocolLevel: 3 } },
  {
    what: "a persistent session without keepalive",
    bytes: packet("10", "0004 'MQTT' 04 00 0000 0002 'c1'"),
    frame: { ...connect, clean: false, keepalive: 0 },
  },
  {
    what: "an empty client id with a clean session [MQTT-3.1.3-6]",
    bytes: packet("10", "0004 'MQTT' 04 02 003c 0000"),
    frame: { ...connect, clientId: "" },
  },
  {
    what: "3.1 with a client id of 24 characters",
    bytes: packet("10", "0006 'MQIsdp' 03 02 003c 0018 'abcdefghijklmnopqrstuvwx'"),
    frame: { ...connect, protocolLevel: 3, clientId: "abcdefghijklmnopqrstuvwx" },
  },
  {
    what: "a client id of 256 bytes",
    bytes: packet("10", "0004 'MQTT' 04 02 003c 0100", Buffer.alloc(256, "a")),
    frame: { ...connect, clientId: "a".repeat(256) },
  },
  {
    what: "a will, a user name and a password",
    bytes: packet(
      "10",
      "0004 'MQTT' 04 f6 ffff 0002 'c1' 0003 'w/t' 0002 0001 0004 'joé' 0002 00ff",
    ),
    frame: {
      ...connect,
      keepalive: 65_535,
      will: { topic: "w/t", levels: 2, payload: raw("0001"), qos: 2, retain: true },
      username: "joé",
      password: raw("00ff"),
    },
  },
  {
    what: "an empty will payload, an empty user name and an empty password",
    bytes: packet("10", "0004 'MQTT' 04 ce 003c 0002 'c1' 0001 'w' 0000 0000 0000"),
    frame: {
      ...connect,
      will: { topic: "w", levels: 1, payload: nothing, qos: 1, retain: false },
      username: "",
      password: nothing,
    },
  },
  {
    what: "a user name without a password",
    bytes: packet("10", "0004 'MQTT' 04 82 003c 0002 'c1' 0002 'jo'"),
    frame: { ...connect, username: "jo" },
  },
];

const publish = { kind: "publish", levels: 2, qos: 0, retain: false, dup: false, packetId: 0 };

const PUBLISHES: readonly Legal[] = [
  {
    what: "QoS 0",
    bytes: packet("30", "0003 'a/b' 0102"),
    frame: { ...publish, topic: "a/b", payload: raw("0102") },
  },
  {
    what: "an empty payload, retained",
    bytes: packet("31", "0003 'a/b'"),
    frame: { ...publish, topic: "a/b", payload: nothing, retain: true },
  },
  {
    what: "QoS 1, repeated",
    bytes: packet("3a", "0003 'a/b' ffff 'x'"),
    frame: { ...publish, topic: "a/b", payload: raw("'x'"), qos: 1, dup: true, packetId: 65_535 },
  },
  {
    what: "QoS 2, with an empty payload",
    bytes: packet("34", "0003 'a/b' 0001"),
    frame: { ...publish, topic: "a/b", payload: nothing, qos: 2, packetId: 1 },
  },
  {
    what: "a topic of empty levels",
    bytes: packet("30", "0003 '///'"),
    frame: { ...publish, topic: "///", levels: 4, payload: nothing },
  },
  {
    what: "a topic in UTF-8 of one to four bytes",
    bytes: packet("30", "000b 'aé/€😀'"),
    frame: { ...publish, topic: "aé/€😀", payload: nothing },
  },
  {
    what: "a byte order mark, which is kept [MQTT-1.5.3-3]",
    bytes: packet("30", "0005 efbbbf 'a/'"),
    frame: { ...publish, topic: "\ufeffa/", payload: nothing },
  },
  {
    what: "a topic of 100 levels, which is the caller's to judge",
    bytes: packet("30", "0063", Buffer.alloc(99, "/")),
    frame: { ...publish, topic: "/".repeat(99), levels: 100, payload: nothing },
  },
  {
    what: "a remaining length in more bytes than it needs",
    bytes: raw("30 85 80 80 00 0003 'a/b'"),
    frame: { ...publish, topic: "a/b", payload: nothing },
  },
  {
    what: "the largest packet there may be",
    bytes: packet("30", "0003 'a/b'", Buffer.alloc(1016, 7)),
    frame: { ...publish, topic: "a/b", payload: Buffer.alloc(1016, 7) },
  },
];

const oversize = { kind: "oversize-publish", levels: 2, qos: 0, retain: false, packetId: 0 };

const OVERSIZE: readonly Legal[] = [
  {
    what: "one byte too large",
    bytes: packet("30", "0003 'a/b'", Buffer.alloc(1017)),
    frame: { ...oversize, topic: "a/b", payloadBytes: 1017 },
  },
  {
    what: "QoS 2, retained, many times too large",
    bytes: packet("35", "0003 'a/b' 1234", Buffer.alloc(9000)),
    frame: {
      ...oversize,
      topic: "a/b",
      qos: 2,
      retain: true,
      packetId: 0x1234,
      payloadBytes: 9000,
    },
  },
  {
    what: "the longest topic that fits",
    bytes: packet("32", "03f9", Buffer.concat([Buffer.alloc(1017, "é/"), raw("0001 00")])),
    frame: {
      ...oversize,
      topic: "é/".repeat(339),
      levels: 340,
      qos: 1,
      packetId: 1,
      payloadBytes: 1,
    },
  },
];

const subscription = { filter: "a/+", levels: 2, qos: 1 };

const OTHERS: readonly Legal[] = [
  { what: "PUBREL", bytes: packet("62", "0102"), frame: { kind: "pubrel", packetId: 258 } },
  {
    what: "PUBREL of 3.1, repeated",
    after: CONNECT_31,
    bytes: packet("6a", "0102"),
    frame: { kind: "pubrel", packetId: 258 },
  },
  {
    what: "SUBSCRIBE with one filter",
    bytes: packet("82", "0001 0003 'a/+' 01"),
    frame: { kind: "subscribe", packetId: 1, filters: [subscription] },
  },
  {
    what: "SUBSCRIBE with every kind of filter",
    bytes: packet("82", "ffff 0001 '#' 00 0001 '+' 01 0001 '/' 02 0005 '$é/#' 02"),
    frame: {
      kind: "subscribe",
      packetId: 65_535,
      filters: [
        { filter: "#", levels: 1, qos: 0 },
        { filter: "+", levels: 1, qos: 1 },
        { filter: "/", levels: 2, qos: 2 },
        { filter: "$é/#", levels: 2, qos: 2 },
      ],
    },
  },
  {
    what: "SUBSCRIBE of 3.1, repeated: passed on as 3.1.1 has it",
    after: CONNECT_31,
    bytes: packet("8a", "0001 0003 'a/+' 01"),
    passedOn: packet("82", "0001 0003 'a/+' 01"),
    frame: { kind: "subscribe", packetId: 1, filters: [subscription] },
  },
  {
    what: "UNSUBSCRIBE",
    bytes: packet("a2", "0002 0003 'a/+' 0001 '#'"),
    frame: { kind: "unsubscribe", packetId: 2, filters: ["a/+", "#"] },
  },
  {
    what: "UNSUBSCRIBE of 3.1, repeated: passed on as 3.1.1 has it",
    after: CONNECT_31,
    bytes: packet("aa", "0002 0001 '#'"),
    passedOn: packet("a2", "0002 0001 '#'"),
    frame: { kind: "unsubscribe", packetId: 2, filters: ["#"] },
  },
  {
    what: "PUBACK",
    bytes: packet("40", "0001"),
    frame: { kind: "other", type: "puback", packetId: 1 },
  },
  {
    what: "PUBREC",
    bytes: packet("50", "0100"),
    frame: { kind: "other", type: "pubrec", packetId: 256 },
  },
  {
    what: "PUBCOMP",
    bytes: packet("70", "ffff"),
    frame: { kind: "other", type: "pubcomp", packetId: 65_535 },
  },
  {
    what: "PINGREQ",
    bytes: packet("c0"),
    frame: { kind: "other", type: "pingreq", packetId: 0 },
  },
  {
    what: "DISCONNECT",
    bytes: packet("e0"),
    frame: { kind: "other", type: "disconnect", packetId: 0 },
  },
];

const WITHOUT_BYTES = new Set(["publish", "oversize-publish", "pubrel"]);

const FAMILIES: readonly (readonly [string, Buffer, readonly Legal[]])[] = [
  ["CONNECT with", nothing, CONNECTS],
  ["PUBLISH:", CONNECT, PUBLISHES],
  ["PUBLISH too large:", CONNECT, OVERSIZE],
  ["", CONNECT, OTHERS],
];

for (const [family, first, legals] of FAMILIES) {
  for (const { what, bytes, frame, after, passedOn } of legals) {
    await test(`is read the same in chunks of any size: ${family} ${what}`, (t) => {
      const before = after ?? first;
      const hasBytes = !WITHOUT_BYTES.has(String(frame["kind"]));
      const expected = hasBytes ? { ...frame, bytes: passedOn ?? bytes } : frame;
      const stream = Buffer.concat([before, bytes]);
      for (const chunks of chunkings(stream)) {
        const frames = framesOf(chunks);
        const isAsExpected =
          frames.length === (before.length === 0 ? 1 : 2) &&
          isDeepStrictEqual(frames.at(-1), expected);
        if (isAsExpected) continue;
        t.strictSame(frames.at(-1), expected, `in chunks of ${chunks.map((c) => c.length).join()}`);
        break;
      }
      t.end();
    });
  }
}

/** Every size and every single cut; in long streams every 61st. */
function chunkings(stream: Buffer): Buffer[][] {
  const found: Buffer[][] = [];
  for (let size = 1; size <= stream.length; size += stream.length < 1100 ? 1 : 61) {
    found.push(inChunksOf(stream, size), cutAt(stream, [size]));
  }
  return found;
}

await test("many packets of one chunk are pulled one at a time, and the rest waits", (t) => {
  const reader = new FrameReader({ packetBytesMax: 1024 });
  const ping = packet("c0");
  reader.push(Buffer.concat([CONNECT, ping, packet("62", "0007"), ping]));
  t.equal(reader.next()?.kind, "connect");
  t.equal(reader.next()?.kind, "other");
  // Paused here: more may come before the rest is pulled.
  reader.push(Buffer.concat([packet("62", "0008"), ping.subarray(0, 1)]));
  t.strictSame(reader.next(), { kind: "pubrel", packetId: 7 });
  t.equal(reader.next()?.kind, "other");
  t.strictSame(reader.next(), { kind: "pubrel", packetId: 8 });
  t.equal(reader.next(), undefined);
  t.equal(reader.next(), undefined);
  reader.push(ping.subarray(1));
  t.equal(reader.next()?.kind, "other");
  t.equal(reader.next(), undefined);
  t.end();
});

await test("the payload of a whole packet is a view into the chunk, not a copy", (t) => {
  const reader = new FrameReader({ packetBytesMax: 1024 });
  const chunk = Buffer.concat([CONNECT, packet("30", "0001 'a' 'xyz'")]);
  reader.push(chunk);
  reader.next();
  const frame = reader.next();
  if (frame?.kind !== "publish") throw new Error("no publish");
  chunk.fill("!", chunk.length - 3);
  t.equal(frame.payload.toString(), "!!!");
  t.end();
});

await test("what came from the socket is never written to", (t) => {
  for (const again of [packet("8a", "0001 0001 'a' 00"), packet("aa", "0001 0001 'a'")]) {
    const chunk = Buffer.concat([CONNECT_31, again]);
    framesOf([chunk]);
    t.strictSame(chunk, Buffer.concat([CONNECT_31, again]));
  }
  t.end();
});

await test("nothing is read after DISCONNECT [MQTT-3.14.4-2]", (t) => {
  const late = packet("30", "0001 'a'");
  for (const size of [1, 1000]) {
    const stream = Buffer.concat([CONNECT, packet("e0"), late, late]);
    const kinds = framesOf(inChunksOf(stream, size)).map((frame) => frame.kind);
    t.same(kinds, ["connect", "other"]);
  }
  t.end();
});

await test("a PUBLISH too large is told after its last byte, and the next packet is read", (t) => {
  const reader = new FrameReader({ packetBytesMax: 64 });
  const large = packet("32", "0003 'a/b' 0009", Buffer.alloc(5_000_000));
  reader.push(CONNECT);
  reader.next();
  let heldMax = 0;
  for (const chunk of inChunksOf(large.subarray(0, -1), 65_536)) {
    reader.push(chunk);
    if (reader.next() !== undefined) t.fail("told too early");
    heldMax = Math.max(heldMax, reader.bufferedBytes);
  }
  t.ok(heldMax <= 64, `${heldMax} bytes held`);
  reader.push(Buffer.concat([large.subarray(-1), packet("62", "0003")]));
  t.match(reader.next(), { kind: "oversize-publish", packetId: 9, payloadBytes: 5_000_000 });
  t.strictSame(reader.next(), { kind: "pubrel", packetId: 3 });
  t.end();
});

await test("the length that a header claims takes no memory before the bytes come", (t) => {
  const reader = new FrameReader({ packetBytesMax: 262_144 });
  reader.push(
    Buffer.concat([CONNECT, packet("30", "0001 'a'", Buffer.alloc(200_000))]).subarray(0, 100),
  );
  reader.next();
  t.equal(reader.next(), undefined);
  t.ok(reader.bufferedBytes <= 200, `${reader.bufferedBytes} bytes held`);
  t.end();
});

await test("an idle connection holds nothing", (t) => {
  const reader = new FrameReader({ packetBytesMax: 1024 });
  for (const chunk of inChunksOf(Buffer.concat([CONNECT, packet("30", "0001 'a' 'xyz'")]), 3)) {
    reader.push(chunk);
    while (reader.next() !== undefined);
  }
  t.equal(reader.bufferedBytes, 0);
  t.end();
});
