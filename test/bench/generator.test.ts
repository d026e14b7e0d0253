import fc from "fast-check";
import { parser, type Packet } from "mqtt-packet";
import { test } from "tap";
import { encodePubacks, encodePublish, readFrames } from "../../bench/generator/frames.ts";
import { Flow, readPayload } from "../../bench/generator/flow.ts";
import { Histogram } from "../../bench/generator/histogram.ts";

const SEED = 20261122;
const WINDOW = 4;
const PAYLOAD_BYTES = 100;

function openFlow() {
  const written: Buffer[] = [];
  const flow = new Flow(
    { write: (bytes) => void written.push(Buffer.from(bytes)) },
    {
      index: 7,
      topic: "bench/007",
      payloadBytes: PAYLOAD_BYTES,
      window: WINDOW,
      isForwarded: true,
      ack: new Histogram(),
      forward: new Histogram(),
    },
  );
  return { flow, written };
}

function packetsOf(bytes: Buffer): readonly Packet[] {
  const packets: Packet[] = [];
  const reading = parser();
  reading.on("packet", (packet) => packets.push(packet));
  reading.parse(bytes);
  return packets;
}

await test("a publisher sends whole frames, numbered on, over the end of its ring", (t) => {
  const { flow, written } = openFlow();
  flow.send(3, () => 0);
  for (let sequence = 0; sequence < 3; sequence += 1) {
    flow.onPuback(sequence + 1, 1);
    flow.onForwarded(sequence, 1);
  }
  t.equal(flow.free, WINDOW);
  flow.send(4, () => 0);
  t.equal(flow.free, 0);
  const packets = packetsOf(Buffer.concat(written));
  const seen = packets.map((packet) => {
    if (packet.cmd !== "publish") throw new Error(packet.cmd);
    const payload = Buffer.from(packet.payload);
    t.equal(payload.length, PAYLOAD_BYTES);
    t.equal(typeof JSON.parse(payload.toString()), "object");
    t.match(packet, { topic: "bench/007", qos: 1, retain: false });
    return [packet.messageId, readPayload(payload, 0).index, readPayload(payload, 0).sequence];
  });
  t.same(seen, [
    [1, 7, 0],
    [2, 7, 1],
    [3, 7, 2],
    [4, 7, 3],
    [1, 7, 4],
    [2, 7, 5],
    [3, 7, 6],
  ]);
  t.end();
});

await test("what is lost, reordered or comes twice is counted, and holds nobody up", (t) => {
  const { flow } = openFlow();
  flow.send(4, () => 0);
  for (const packetId of [1, 2, 3, 4]) flow.onPuback(packetId, 1);
  for (const sequence of [0, 2, 1, 1]) flow.onForwarded(sequence, 1);
  const counts = () => [flow.delivered, flow.lost, flow.reordered, flow.duplicated];
  t.same(counts(), [3, 1, 1, 1]);
  flow.send(flow.free, () => 0);
  flow.onForwarded(6, 1);
  t.same(counts(), [4, 3, 1, 1], "3, 4 and 5 were overtaken");
  t.end();
});

await test("a message is complete only when it is acknowledged and forwarded", (t) => {
  const { flow } = openFlow();
  flow.send(WINDOW, () => 0);
  flow.onPuback(1, 1);
  flow.onPuback(2, 1);
  t.equal(flow.free, 0);
  flow.onForwarded(0, 1);
  t.equal(flow.free, 1);
  t.end();
});

await test("frames are read the same however the bytes are cut", (t) => {
  const frames = [
    encodePublish(1, "bench/000", Buffer.alloc(300, "x")),
    encodePubacks([1, 2, 65_535]),
    encodePublish(9, "b", Buffer.alloc(0), true),
  ];
  const bytes = Buffer.concat(frames);
  const whole = ["32", "40", "40", "40", "33"];
  const read = (cuts: readonly number[]): readonly string[] => {
    const found: string[] = [];
    let rest = Buffer.alloc(0);
    let from = 0;
    for (const to of [...cuts, bytes.length]) {
      rest = Buffer.concat([rest, bytes.subarray(from, to)]);
      from = to;
      const end = readFrames(rest, 0, rest.length, (first) => found.push(first.toString(16)));
      rest = rest.subarray(end);
    }
    t.equal(rest.length, 0);
    return found;
  };
  const cuts = fc
    .uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 6 })
    .map((given) => given.sort((a, b) => a - b));
  fc.assert(
    fc.property(cuts, (given) => t.same(read(given), whole)),
    { seed: SEED, numRuns: 50 },
  );
  t.end();
});

await test("a quantile of the histogram is within 4 % of the exact one, and never below", (t) => {
  const microseconds = fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.integer({ min: 0, max: 60_000_000 }),
  );
  const durations = fc.array(microseconds, { minLength: 1 });
  const check = fc.property(durations, fc.constantFrom(0.5, 0.99, 1), (us, part) => {
    const histogram = new Histogram();
    for (const each of us) histogram.add(each / 1_000);
    const sorted = [...us].sort((a, b) => a - b);
    const exactMs = (sorted[Math.ceil(part * us.length) - 1] ?? 0) / 1_000;
    const found = histogram.quantile(part);
    return found >= exactMs && found <= exactMs * 1.04;
  });
  fc.assert(check, { seed: SEED });
  t.equal(new Histogram().quantile(0.5), 0);
  t.end();
});
