import { t as root, test } from "tap";
import { startBroker } from "./broker.ts";
import { PINGREQ, PINGRESP, publish, suback, subscribe } from "./wire.ts";

const broker = await startBroker(root);

await test("each PINGREQ is answered by a PINGRESP [MQTT-3.12.4-1]", async () => {
  const peer = await broker.connected({ id: "ping" });
  peer.send(PINGREQ);
  await peer.expect(PINGRESP);
  peer.send(PINGREQ, PINGREQ);
  await peer.expect(PINGRESP, PINGRESP);
});

await test("a client that is silent for one and a half times its keep alive is gone, its will published [MQTT-3.1.2-24]", async (t) => {
  const watcher = await broker.connected({ id: "silent-watcher" });
  watcher.send(subscribe(1, [["silent/will", 0]]));
  await watcher.expect(suback(1, [0]));
  const will = { topic: "silent/will", payload: "gone" };
  const peer = await broker.connected({ id: "silent", keepalive: 10, will });
  broker.clock.advance(14_999);
  peer.send(PINGREQ);
  await peer.expect(PINGRESP);
  broker.clock.advance(14_999);
  t.notOk(peer.isClosed, "any packet begins the time anew");
  await watcher.expectNothing();
  broker.clock.advance(2);
  await peer.expectClosed();
  await watcher.expect(publish("silent/will", "gone"));
});

await test("without a keep alive a client may be silent for as long as it likes [MQTT-3.1.2-24]", async () => {
  const peer = await broker.connected({ id: "quiet", keepalive: 0 });
  broker.clock.advance(7 * 86_400_000);
  await peer.expectNothing();
});
