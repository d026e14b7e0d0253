import { parser, type Packet } from "mqtt-packet";
import { test } from "tap";
import {
  ACK,
  ACK_BYTES,
  encodeConnack,
  encodeSuback,
  writeAck,
  type ConnackCode,
} from "../../src/mqtt/answers.ts";
import { raw } from "./packets.ts";

for (const name of ["puback", "pubrec", "pubrel", "pubcomp", "unsuback"] as const) {
  await test(`${name} among others is what a client reads, and harms none of them`, (t) => {
    for (const packetId of [1, 0xff, 0x100, 0x1234, 0xffff]) {
      const target = Buffer.alloc(ACK_BYTES + 2, 0xee);
      writeAck(target, 1, ACK[name], packetId);
      t.strictSame([target[0], target.at(-1)], [0xee, 0xee]);
      const packets: Packet[] = [];
      const reading = parser({ protocolVersion: 4 });
      reading.on("packet", (packet) => packets.push(packet));
      reading.parse(target.subarray(1, -1));
      t.match(packets, [{ cmd: name, messageId: packetId }]);
    }
    t.end();
  });
}

await test("CONNACK says that a session is present only with code 0 [MQTT-3.2.2-4]", (t) => {
  t.strictSame(encodeConnack(true, 0), raw("20 02 01 00"));
  t.strictSame(encodeConnack(false, 0), raw("20 02 00 00"));
  const refusals: readonly ConnackCode[] = [1, 2, 3, 4, 5];
  for (const code of refusals) t.strictSame(encodeConnack(true, code), raw(`20 02 00 0${code}`));
  t.end();
});

await test("SUBACK carries a code for each filter, in order [MQTT-3.9.3-1]", (t) => {
  t.strictSame(encodeSuback(10, [0, 1, 2, 0x80]), raw("90 06 000a 00 01 02 80"));
  t.end();
});

for (const count of [1, 125, 126, 16_381, 16_382, 60_000]) {
  await test(`SUBACK of ${count} codes is what a client reads`, (t) => {
    const codes = Array.from({ length: count }, (_, index) => (index % 3 === 0 ? 0x80 : 1));
    const packets: Packet[] = [];
    const reading = parser({ protocolVersion: 4 });
    reading.on("packet", (packet) => packets.push(packet));
    reading.parse(encodeSuback(0x1234, codes));
    t.match(packets, [{ cmd: "suback", messageId: 0x1234, granted: codes }]);
    t.end();
  });
}
