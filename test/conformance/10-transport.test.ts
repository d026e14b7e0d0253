import { t as root, test } from "tap";
import { startBroker } from "./broker.ts";
import {
  connack,
  DISCONNECT,
  PINGREQ,
  PINGRESP,
  puback,
  publish,
  suback,
  subscribe,
  unsuback,
  unsubscribe,
} from "./wire.ts";

const broker = await startBroker(root);

await test("over TCP packets may come a byte at a time or many at once, and leave in order [MQTT-7.1.1-1]", async () => {
  const talk = Buffer.concat([
    broker.connect({ id: "pieces" }),
    subscribe(1, [["pieces", 1]]),
    publish("pieces", "x".repeat(300), { qos: 1, id: 2 }),
    unsubscribe(3, ["pieces"]),
    publish("pieces", "nobody", { qos: 1, id: 4 }),
  ]);
  const answers = [
    connack(false),
    suback(1, [1]),
    publish("pieces", "x".repeat(300), { qos: 1, id: 1 }),
    puback(2),
    unsuback(3),
    puback(4),
  ];
  for (const size of [1, 2, 7, talk.length]) {
    const peer = await broker.open();
    for (let at = 0; at < talk.length; at += size) {
      peer.send(talk.subarray(at, at + size));
      if (size < 3) await new Promise((resolve) => setImmediate(resolve));
    }
    await peer.expect(...answers);
    await peer.cut();
  }
});

await test("a client needs nothing that is not in the standard [MQTT-7.0.0-2]", async () => {
  const peer = await broker.open();
  peer.send(broker.connect({ id: "plain" }));
  await peer.expect(connack(false));
  peer.send(subscribe(1, [["plain", 0]]));
  await peer.expect(suback(1, [0]));
  peer.send(publish("plain", "x"));
  await peer.expect(publish("plain", "x"));
  peer.send(PINGREQ);
  await peer.expect(PINGRESP);
  peer.send(DISCONNECT);
  await peer.expectClosed();
});
