import { t as root, test } from "tap";
import { startBroker } from "./broker.ts";
import type { Peer } from "./peer.ts";
import {
  connack,
  connect,
  PINGREQ,
  PINGRESP,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  suback,
  subscribe,
  type Qos,
} from "./wire.ts";

const broker = await startBroker(root, { SLUICE_LIMITS__SESSION_EXPIRY_S: "60" });

async function write(topic: string, payload: string, qos: Qos = 1): Promise<void> {
  const writer = await broker.connected({ id: "writer" });
  writer.send(publish(topic, payload, { qos, id: 1 }));
  await writer.expect(qos === 1 ? puback(1) : pubrec(1));
  await writer.cut();
}

/** Subscribes in a session that outlives the connection. */
async function persistent(id: string, filter: string, qos: Qos): Promise<Peer> {
  const peer = await broker.connected({ id, clean: false });
  peer.send(subscribe(1, [[filter, qos]]));
  await peer.expect(suback(1, [qos]));
  return peer;
}

await test("without clean session the session goes on, and is made if there is none [MQTT-3.1.2-4] [MQTT-3.1.4-3]", async () => {
  const peer = await persistent("goes-on", "goes-on", 1);
  await peer.cut();
  const back = await broker.connected({ id: "goes-on", clean: false, present: true });
  await write("goes-on", "x");
  await back.expect(publish("goes-on", "x", { qos: 1, id: 1 }));
});

await test("QoS 1 and 2 for a client that is away are kept in its session [MQTT-3.1.2-5]", async (t) => {
  const peer = await persistent("away", "away", 2);
  await peer.cut();
  await write("away", "1", 1);
  await write("away", "2", 2);
  await write("away", "3", 1);
  const back = await broker.connected({ id: "away", clean: false, present: true });
  const got = [await back.receive(), await back.receive(), await back.receive()];
  const texts = got.map(({ payload, qos }) => `${payload} at ${qos}`).sort();
  t.same(texts, ["1 at 1", "2 at 2", "3 at 1"]);
});

await test("clean session forgets the session before, and its own at the end of the connection [MQTT-3.1.2-6]", async () => {
  const peer = await persistent("clean", "clean", 1);
  peer.send(publish("clean/other", "x", { qos: 2, id: 7 }));
  await peer.expect(pubrec(7));
  await peer.cut();
  await write("clean", "queued");
  const clean = await broker.connected({ id: "clean", clean: true });
  await clean.expectNothing();
  clean.send(subscribe(1, [["clean/#", 1]]));
  await clean.expect(suback(1, [1]));
  // Packet id 7 is not one that was received before: it is a new message.
  clean.send(publish("clean/other", "new", { qos: 2, id: 7 }));
  await clean.expect(publish("clean/other", "new", { qos: 1, id: 2 }), pubrec(7));
  await clean.cut();
  const back = await broker.connected({ id: "clean", clean: false, present: false });
  await write("clean", "nobody is subscribed");
  await back.expectNothing();
});

await test("session present is 0 for a clean session, and for one that is new [MQTT-3.2.2-1] [MQTT-3.2.2-3]", async () => {
  const first = await broker.connected({ id: "present-0", clean: false, present: false });
  await first.cut();
  const clean = await broker.connected({ id: "present-0", clean: true, present: false });
  await clean.cut();
  await broker.connected({ id: "present-0", clean: false, present: false });
});

await test("session present is 1 for a session that is there, though it holds nothing [MQTT-3.2.2-2]", async () => {
  const first = await broker.connected({ id: "present-1", clean: false, present: false });
  await first.cut();
  const second = await broker.connected({ id: "present-1", clean: false, present: true });
  await second.cut();
  await broker.restart();
  await broker.connected({ id: "present-1", clean: false, present: true });
});

await test("a session lasts as long as its connection, and after it as long as limits.session_expiry_s [MQTT-4.1.0-1] [MQTT-4.1.0-2]", async () => {
  const long = await persistent("long", "long", 1);
  const left = await persistent("left", "left", 1);
  const clean = await broker.connected({ id: "long-clean" });
  clean.send(subscribe(1, [["long", 1]]));
  await clean.expect(suback(1, [1]));
  await left.cut();
  // The gateway has seen the end of that connection once it answers what came after it.
  await write("left", "x");
  for (let minutes = 0; minutes < 5; minutes += 1) broker.clock.advance(60_000);
  await write("long", "here");
  await long.expect(publish("long", "here", { qos: 1, id: 1 }));
  await clean.expect(publish("long", "here", { qos: 1, id: 1 }));
  await broker.connected({ id: "left", clean: false, present: false });
});

await test("what was not acknowledged is sent again after a reconnect with its packet id and DUP [MQTT-3.3.1-1] [MQTT-4.4.0-1]", async () => {
  const peer = await persistent("resend", "resend", 2);
  await write("resend", "one", 1);
  await write("resend", "two", 2);
  await write("resend", "three", 2);
  await peer.expect(
    publish("resend", "one", { qos: 1, id: 1 }),
    publish("resend", "two", { qos: 2, id: 2 }),
    publish("resend", "three", { qos: 2, id: 3 }),
  );
  peer.send(pubrec(3));
  await peer.expect(pubrel(3));
  await peer.cut();
  const back = await broker.connected({ id: "resend", clean: false, present: true });
  await back.expect(
    publish("resend", "one", { qos: 1, id: 1, dup: true }),
    publish("resend", "two", { qos: 2, id: 2, dup: true }),
    pubrel(3),
  );
  back.send(puback(1), pubrec(2), pubcomp(3));
  await back.expect(pubrel(2));
  back.send(pubcomp(2));
  await back.expectNothing();
});

await test("nothing is sent again while the connection lasts [MQTT-4.4.0-1]", async () => {
  const peer = await persistent("patient", "patient", 2);
  await write("patient", "one", 1);
  await write("patient", "two", 2);
  await peer.expect(
    publish("patient", "one", { qos: 1, id: 1 }),
    publish("patient", "two", { qos: 2, id: 2 }),
  );
  for (let minutes = 0; minutes < 30; minutes += 1) broker.clock.advance(60_000);
  peer.send(PINGREQ);
  await peer.expect(PINGRESP);
  await peer.expectNothing();
});

await test("what was in flight when the gateway stopped is sent again with its packet id and DUP [MQTT-3.3.1-1] [MQTT-4.4.0-1]", async () => {
  const peer = await persistent("restart", "restart/#", 2);
  for (const at of [1, 2, 3, 4]) await write(`restart/${at}`, "x", at % 2 === 0 ? 2 : 1);
  for (const at of [1, 2, 3, 4]) {
    await peer.expect(publish(`restart/${at}`, "x", { qos: at % 2 === 0 ? 2 : 1, id: at }));
  }
  peer.send(puback(1), pubrec(2));
  await peer.expect(pubrel(2));
  await broker.restart();
  const back = await broker.connected({ id: "restart", clean: false, present: true });
  await back.expect(
    pubrel(2),
    publish("restart/3", "x", { qos: 1, id: 3, dup: true }),
    publish("restart/4", "x", { qos: 2, id: 4, dup: true }),
  );
});

await test("a retained message in flight at QoS 2 keeps its packet id through a restart [MQTT-4.3.3-1] [MQTT-4.4.0-1]", async () => {
  const writer = await broker.connected({ id: "kept-writer" });
  writer.send(publish("kept-2", "kept", { qos: 2, id: 1, retain: true }));
  await writer.expect(pubrec(1));
  writer.send(pubrel(1));
  await writer.expect(pubcomp(1));
  const peer = await persistent("kept-2", "kept-2", 2);
  await peer.expect(publish("kept-2", "kept", { qos: 2, id: 1, retain: true }));
  await broker.restart();
  await write("kept-2", "next", 2);
  const back = await broker.connected({ id: "kept-2", clean: false, present: true });
  await back.expect(publish("kept-2", "kept", { qos: 2, id: 1, retain: true, dup: true }));
  await back.expect(publish("kept-2", "next", { qos: 2, id: 2 }));
});

await test("an action request that has expired is not sent again, a departure that is documented [MQTT-4.4.0-1]", async (t) => {
  const created = await broker.call("PUT", "/site/things/press", { actions: { stamp: {} } });
  t.equal(created.status, 201, await created.text());
  const device = await broker.newLogin([{ entity: "things", id: ["press"] }]);
  const peer = await broker.open();
  peer.send(connect({ ...device, id: "press", clean: false }));
  await peer.expect(connack(false));
  peer.send(subscribe(1, [["status/site/things/press/actions/stamp", 1]]));
  await peer.expect(suback(1, [1]));
  for (const timeout of [1, 3_600]) {
    const asked = await broker.call("POST", "/site/things/press/actions/stamp", {
      stamp: { timeout },
    });
    t.equal(asked.status, 201, await asked.text());
  }
  const [short, long] = [await peer.receive(), await peer.receive()];
  t.same([short.id, long.id], [1, 2]);
  await peer.cut();
  broker.clock.advance(10_000);
  const back = await broker.open();
  back.send(connect({ ...device, id: "press", clean: false }));
  await back.expect(connack(true));
  const again = await back.receive();
  t.match(again, { id: 2, dup: true, payload: long.payload });
  const next = await back.receive();
  t.match(next, { dup: false, payload: /"expired"/ }, "what became of the first request");
});

await test("messages are sent again in the order in which they were sent [MQTT-4.6.0-1]", async () => {
  const peer = await persistent("in-order", "in-order", 2);
  const sent: { readonly text: string; readonly qos: Qos }[] = [];
  for (let at = 1; at <= 12; at += 1) {
    const qos = at % 3 === 0 ? 2 : 1;
    sent.push({ text: `message ${at}`, qos });
    await write("in-order", `message ${at}`, qos);
  }
  const packets = (dup: boolean): Buffer[] =>
    sent.map(({ text, qos }, at) => publish("in-order", text, { qos, id: at + 1, dup }));
  await peer.expect(...packets(false));
  await peer.cut();
  await write("in-order", "later", 1);
  const back = await broker.connected({ id: "in-order", clean: false, present: true });
  await back.expect(...packets(true), publish("in-order", "later", { qos: 1, id: 13 }));
});
