import fc from "fast-check";
import { generate, parser, type IPublishPacket, type Packet } from "mqtt-packet";
import { test } from "tap";
import { PacketReader, type Incoming } from "../../src/uplink/line-frames.ts";
import { encodePublish } from "../../src/uplink/line-publish-frame.ts";
import type { UpMessage } from "../../src/uplink/message.ts";

const text = fc.string({ unit: "binary", maxLength: 40 }).filter((one) => one.isWellFormed());
const topic = fc.string({
  unit: fc.constantFrom("a", "ö", "/", "😀"),
  minLength: 1,
  maxLength: 60,
});

const upMessage: fc.Arbitrary<UpMessage> = fc.record(
  {
    topic,
    payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
    retain: fc.boolean(),
    properties: fc.record(
      {
        userProperties: fc.dictionary(text, text, { maxKeys: 5, noNullPrototype: true }),
        contentType: text,
        messageExpiryS: fc.nat(),
        isText: fc.constant(true),
        responseTopic: topic,
        correlationData: fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["topic", "payload", "retain"] },
);

await test("a PUBLISH of ours is read by others as it was meant", (t) => {
  const check = (message: UpMessage, protocol: 4 | 5, packetId: number, dup: boolean): void => {
    const found: Packet[] = [];
    const other = parser({ protocolVersion: protocol });
    other.on("packet", (packet) => found.push(packet));
    other.parse(encodePublish(protocol, message, packetId, dup));
    const { userProperties, contentType, messageExpiryS, isText, ...rest } =
      message.properties ?? {};
    const properties = {
      ...(Object.keys(userProperties ?? {}).length === 0 ? {} : { userProperties }),
      ...(contentType === undefined ? {} : { contentType }),
      ...(messageExpiryS === undefined ? {} : { messageExpiryInterval: messageExpiryS }),
      ...(isText === undefined ? {} : { payloadFormatIndicator: true }),
      ...rest,
    };
    const [packet] = found as IPublishPacket[];
    t.match(
      { ...packet, properties: { ...packet?.properties } },
      { qos: 1, dup, messageId: packetId, topic: message.topic, retain: message.retain },
    );
    if (Buffer.compare(Buffer.from(packet!.payload), message.payload) !== 0)
      throw new Error("payload");
    t.same({ ...packet!.properties }, protocol === 5 ? properties : {});
  };
  const id = fc.integer({ min: 1, max: 65_535 });
  fc.assert(fc.property(upMessage, fc.constantFrom(4, 5), id, fc.boolean(), check), {
    numRuns: 300,
  });
  t.end();
});

const packet: fc.Arbitrary<Packet> = fc.oneof(
  fc.record({
    cmd: fc.constant("puback" as const),
    messageId: fc.integer({ min: 1, max: 65_535 }),
  }),
  fc.record({
    cmd: fc.constant("publish" as const),
    topic,
    payload: fc.string({ maxLength: 400 }),
    qos: fc.constantFrom(1 as const, 2 as const),
    messageId: fc.integer({ min: 1, max: 65_535 }),
    retain: fc.boolean(),
    dup: fc.boolean(),
  }),
  fc.constant({ cmd: "pingresp" as const }),
);

function readAll(protocol: 4 | 5, chunks: readonly Buffer[], most = 1_000): readonly Incoming[] {
  const found: Incoming[] = [];
  const reader = new PacketReader(protocol, most);
  for (const chunk of chunks) reader.read(chunk, (incoming) => found.push(incoming));
  return found;
}

/** What was read, without what `mqtt-packet` counts. */
function plain(all: readonly Incoming[]): unknown {
  return JSON.parse(JSON.stringify(all)) as unknown;
}

function cutUp(bytes: Buffer, sizes: readonly number[]): readonly Buffer[] {
  const chunks: Buffer[] = [];
  let at = 0;
  for (let nth = 0; at < bytes.length; nth += 1) {
    const size = Math.max(1, sizes[nth % Math.max(1, sizes.length)] ?? 1);
    chunks.push(bytes.subarray(at, at + size));
    at += size;
  }
  return chunks;
}

await test("however packets are cut up, they are the same packets", (t) => {
  const check = (packets: Packet[], sizes: number[], protocol: 4 | 5, most: number): void => {
    const bytes = Buffer.concat(packets.map((one) => generate(one, { protocolVersion: protocol })));
    const whole = readAll(protocol, [bytes], most);
    t.same(plain(readAll(protocol, cutUp(bytes, sizes), most)), plain(whole));
    if (most === 1_000) t.equal(whole.length, packets.length);
  };
  const packets = fc.array(packet, { maxLength: 8 });
  const sizes = fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1, maxLength: 6 });
  // 1,000: all fit. 100: some PUBLISH are larger than is taken.
  const run = fc.property(
    packets,
    sizes,
    fc.constantFrom(4, 5),
    fc.constantFrom(100, 1_000),
    check,
  );
  fc.assert(run, { numRuns: 300 });
  t.end();
});

await test("whatever comes, reading ends in packets or in one fault", (t) => {
  const check = (bytes: Uint8Array, sizes: number[], protocol: 4 | 5): void => {
    const found = readAll(protocol, cutUp(Buffer.from(bytes), sizes), 200);
    const faults = found.filter(({ kind }) => kind === "fault");
    t.ok(faults.length === 0 || (faults.length === 1 && found.at(-1)?.kind === "fault"));
  };
  const bytes = fc.uint8Array({ maxLength: 120 });
  const sizes = fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 4 });
  fc.assert(fc.property(bytes, sizes, fc.constantFrom(4, 5), check), { numRuns: 2_000 });
  t.end();
});
