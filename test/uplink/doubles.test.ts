import { generate } from "mqtt-packet";
import { test } from "tap";
import { Doubles } from "./doubles.ts";

const publish = (qos: 0 | 1, payload: string): Buffer =>
  generate({
    ...{ cmd: "publish", topic: "a/b", payload, qos, dup: false, retain: false },
    ...(qos === 1 ? { messageId: 7 } : {}),
  });
const puback = generate({ cmd: "puback", messageId: 7 });

await test("packets are doubled as a whole, however the bytes come", (t) => {
  const long = publish(1, "x".repeat(300));
  const again = Buffer.from(long);
  again[0] = 0x3a;
  const stream = Buffer.concat([publish(0, "once"), long, puback]);
  const wanted = Buffer.concat([publish(0, "once"), long, again, puback, puback]);
  for (const size of [1, 2, 7, 100, stream.length]) {
    const doubles = new Doubles(() => true);
    const come: Buffer[] = [];
    for (let at = 0; at < stream.length; at += size) {
      come.push(...doubles.pieces(stream.subarray(at, at + size)));
    }
    t.same(Buffer.concat(come), wanted, `pieces of ${size}`);
  }
  t.same(Buffer.concat(new Doubles(() => false).pieces(stream)), stream);
  t.end();
});
