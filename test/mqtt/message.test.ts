import fc from "fast-check";
import { parser, type Packet } from "mqtt-packet";
import { test } from "tap";
import type { Qos } from "../../src/mqtt/frame-kinds.ts";
import { encodePublish, messageOf } from "../../src/mqtt/message.ts";
import { makeBoiler, openEdge } from "./edge.ts";
import { raw } from "./packets.ts";

function read(bytes: Buffer): Packet[] {
  const packets: Packet[] = [];
  const reading = parser({ protocolVersion: 4 });
  reading.on("packet", (packet) => packets.push(packet));
  reading.parse(bytes);
  return packets;
}

await test("a PUBLISH is the bytes of §3.3", (t) => {
  const message = { topic: "a/b", payload: raw("'hi'"), retain: false };
  t.strictSame(
    encodePublish(message, { qos: 0, packetId: 0, dup: false }),
    raw("30 07 0003 'a/b' 'hi'"),
  );
  t.strictSame(
    encodePublish({ ...message, retain: true }, { qos: 2, packetId: 0x1234, dup: true }),
    raw("3d 09 0003 'a/b' 1234 'hi'"),
  );
  t.end();
});

await test("what is encoded another implementation reads, at every length of the length", (t) => {
  const texts = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 });
  const sizes = fc.constantFrom(0, 1, 117, 118, 119, 120, 16_370, 16_375, 16_380, 2_097_140);
  const flags = fc.record({
    qos: fc.constantFrom<Qos>(0, 1, 2),
    packetId: fc.integer({ min: 1, max: 0xffff }),
    dup: fc.boolean(),
    retain: fc.boolean(),
  });
  fc.assert(
    fc.property(texts, sizes, flags, (topic, size, { qos, packetId, dup, retain }) => {
      if (/[+#\0]/.test(topic)) return;
      const payload = Buffer.alloc(size, "x");
      const bytes = encodePublish(
        { topic, payload, retain },
        { qos, packetId, dup: dup && qos > 0 },
      );
      const [packet, ...others] = read(bytes);
      t.equal(others.length, 0);
      t.match(packet, { cmd: "publish", topic, qos, retain, dup: dup && qos > 0 });
      if (packet?.cmd !== "publish") throw new Error("no PUBLISH");
      if (qos > 0) t.equal(packet.messageId, packetId);
      t.ok(payload.equals(packet.payload as Buffer));
    }),
    { numRuns: 60 },
  );
  t.end();
});

await test("status is published at QoS 1 without retain, and only a property is a state", async (t) => {
  const thing = makeBoiler(await openEdge(t));
  const publication = { topic: "status/A/things/boiler/errors", payload: "{}", thing };
  for (const about of ["property", "action", "event", "description", "data", "errors"] as const) {
    const message = messageOf({ ...publication, about });
    t.match(message, { qos: 1, retain: false, isState: about === "property" }, about);
    t.equal(message.request, undefined);
  }
  const moment = { at: 1, sequence: 2 };
  const request = messageOf({ ...publication, about: "action", request: { name: "x", moment } });
  t.same(request.request, { thing: thing.number, name: "x", moment });
});
