import { t as root, test } from "tap";
import { packet, raw } from "../mqtt/packets.ts";
import { startBroker } from "./broker.ts";
import type { Peer } from "./peer.ts";
import { connack, DISCONNECT, publish, suback, subscribe, type Qos } from "./wire.ts";

const broker = await startBroker(root);

async function watch(filter: string, qos: Qos = 2): Promise<Peer> {
  const watcher = await broker.connected({ id: `watcher of ${filter}` });
  watcher.send(subscribe(1, [[filter, qos]]));
  await watcher.expect(suback(1, [qos]));
  return watcher;
}

await test("the will is published when the connection ends without DISCONNECT, however it ends [MQTT-3.1.2-8]", async () => {
  const watcher = await watch("end/+", 0);
  const ends: readonly (readonly [name: string, end: (peer: Peer) => unknown])[] = [
    ["cut", async (peer) => peer.cut()],
    ["malformed", (peer) => peer.send(raw("f0 00"))],
    ["takeover", async () => broker.connected({ id: "end-takeover" })],
    ["keep-alive", () => broker.clock.advance(3_000)],
  ];
  for (const [name, end] of ends) {
    const will = { topic: `end/${name}`, payload: name };
    const peer = await broker.connected({ id: `end-${name}`, keepalive: 2, will });
    await peer.expectNothing();
    await end(peer);
    await watcher.expect(publish(`end/${name}`, name));
    await peer.closed();
  }
});

await test("a stop of the gateway publishes no will, a departure that is documented [MQTT-3.1.2-8]", async () => {
  const watcher = await broker.connected({ id: "stop-watcher", clean: false });
  watcher.send(subscribe(1, [["stop/will", 1]]));
  await watcher.expect(suback(1, [1]));
  await broker.connected({ id: "stop", will: { topic: "stop/will", payload: "gone", qos: 1 } });
  await broker.restart();
  broker.clock.advance(120_000);
  const back = await broker.connected({ id: "stop-watcher", clean: false, present: true });
  await back.expectNothing();
});

await test("the will flag asks for a will topic and a will message [MQTT-3.1.2-9]", async () => {
  for (const payload of ["0002 'w1'", "0002 'w1' 0001 'a'", "0002 'w1' 0001 'a' 0005 'x'"]) {
    const peer = await broker.open();
    peer.send(packet("10", `0004 'MQTT' 04 06 0000 ${payload}`));
    await peer.expectClosed();
  }
});

await test("a will is published once [MQTT-3.1.2-10]", async () => {
  const watcher = await watch("once/will", 0);
  const peer = await broker.connected({
    id: "once",
    clean: false,
    will: { topic: "once/will", payload: "gone" },
  });
  await peer.cut();
  await watcher.expect(publish("once/will", "gone"));
  const back = await broker.connected({ id: "once", clean: false, present: true });
  await back.cut();
  await watcher.expectNothing();
});

await test("DISCONNECT takes the will away [MQTT-3.1.2-10] [MQTT-3.14.4-3]", async () => {
  const watcher = await watch("polite/will", 0);
  const peer = await broker.connected({
    id: "polite",
    will: { topic: "polite/will", payload: "gone" },
  });
  peer.send(DISCONNECT);
  await peer.expectClosed();
  await watcher.expectNothing();
});

await test("without the will flag no field of a will may be there [MQTT-3.1.2-11]", async () => {
  const peer = await broker.open();
  peer.send(packet("10", "0004 'MQTT' 04 02 0000 0002 'w1' 0001 'a' 0001 'x'"));
  await peer.expectClosed();
});

await test("without the will flag nothing is published at the end [MQTT-3.1.2-12]", async () => {
  const watcher = await watch("none/#", 0);
  const peer = await broker.connected({ id: "none", will: { topic: "none/old", payload: "x" } });
  const next = await broker.connected({ id: "none" });
  await peer.expectClosed();
  await watcher.expect(publish("none/old", "x"));
  await next.cut();
  await watcher.expectNothing();
});

await test("a will QoS without the will flag closes the connection [MQTT-3.1.2-13]", async () => {
  for (const flags of ["0a", "12", "1a"]) {
    const peer = await broker.open();
    peer.send(packet("10", `0004 'MQTT' 04 ${flags} 0000 0002 'w1'`));
    await peer.expectClosed();
  }
});

await test("a will is published at its QoS; 3 closes the connection [MQTT-3.1.2-14]", async (t) => {
  const watcher = await watch("at/will");
  for (const qos of [0, 1, 2] as const) {
    const will = { topic: "at/will", payload: `at ${qos}`, qos };
    const peer = await broker.connected({ id: "at", will });
    await peer.cut();
    const { payload, ...got } = await watcher.receive();
    t.match({ payload, qos: got.qos }, { payload: `at ${qos}`, qos });
  }
  const third = await broker.open();
  third.send(packet("10", "0004 'MQTT' 04 1e 0000 0002 'w1' 0001 'a' 0001 'x'"));
  await third.expectClosed();
});

await test("will retain without the will flag closes the connection [MQTT-3.1.2-15]", async () => {
  const peer = await broker.open();
  peer.send(packet("10", "0004 'MQTT' 04 22 0000 0002 'w1'"));
  await peer.expectClosed();
});

await test("a will without will retain is not kept [MQTT-3.1.2-16]", async () => {
  const watcher = await watch("passing/will", 0);
  const will = { topic: "passing/will", payload: "gone", retain: false };
  const peer = await broker.connected({ id: "passing", will });
  await peer.cut();
  await watcher.expect(publish("passing/will", "gone"));
  const late = await watch("passing/#", 0);
  await late.expectNothing();
});

await test("a will with will retain is kept [MQTT-3.1.2-17]", async () => {
  const watcher = await watch("staying/will", 0);
  const will = { topic: "staying/will", payload: "gone", retain: true };
  const peer = await broker.connected({ id: "staying", will });
  await peer.cut();
  await watcher.expect(publish("staying/will", "gone", { retain: false }));
  const late = await watch("staying/#", 0);
  await late.expect(publish("staying/will", "gone", { retain: true }));
});

await test("a will its client may not publish is refused with the CONNECT [MQTT-3.2.2-5]", async () => {
  const peer = await broker.open();
  peer.send(broker.connect({ id: "w", will: { topic: "status/site/things/t", payload: "x" } }));
  await peer.expect(connack(false, 5));
  await peer.expectClosed();
});
