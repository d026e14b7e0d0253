import { t as root, test } from "tap";
import { packet, raw } from "../mqtt/packets.ts";
import { startBroker } from "./broker.ts";
import type { Peer } from "./peer.ts";
import {
  connect,
  hex,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  suback,
  subscribe,
  unsuback,
  unsubscribe,
  type Qos,
} from "./wire.ts";

const broker = await startBroker(root);

/** A client that has subscribed, and one that publishes. */
async function pair(name: string, filter: string, qos: Qos): Promise<{ peer: Peer; writer: Peer }> {
  const peer = await broker.connected({ id: `${name}-reader` });
  peer.send(subscribe(0xf0, [[filter, qos]]));
  await peer.expect(suback(0xf0, [qos]));
  const writer = await broker.connected({ id: `${name}-writer` });
  return { peer, writer };
}

await test("a publish of QoS 1 or 2, a SUBSCRIBE or UNSUBSCRIBE with packet id 0 closes the connection [MQTT-2.3.1-1]", async () => {
  const zero = [
    publish("a", "x", { qos: 1, id: 0 }),
    publish("a", "x", { qos: 2, id: 0 }),
    subscribe(0, [["a", 0]]),
    unsubscribe(0, ["a"]),
  ];
  for (const bytes of zero) {
    const peer = await broker.connected({ id: "zero" });
    peer.send(bytes);
    await peer.expectClosed();
  }
});

await test("packet ids of messages in flight differ and are not 0, in the same window for QoS 1 and 2 [MQTT-2.3.1-4]", async (t) => {
  const peer = await broker.connected({ id: "ids-reader" });
  peer.send(
    subscribe(1, [
      ["ids/1", 1],
      ["ids/2", 2],
    ]),
  );
  await peer.expect(suback(1, [1, 2]));
  const writer = await broker.connected({ id: "ids-writer" });
  for (let id = 1; id <= 40; id += 1) {
    const qos = id % 2 === 0 ? 2 : 1;
    writer.send(publish(`ids/${qos}`, "x", { qos, id }));
    await writer.expect(qos === 1 ? puback(id) : pubrec(id));
  }
  const seen = new Set<number>();
  for (let count = 0; count < 40; count += 1) seen.add((await peer.receive()).id);
  t.equal(seen.size, 40, "each has its own");
  t.notOk(seen.has(0));
});

await test("at QoS 0 no packet id is read or sent [MQTT-2.3.1-5]", async () => {
  const { peer, writer } = await pair("no-id", "no-id", 1);
  writer.send(publish("no-id", raw("1234 'rest'")));
  await peer.expect(publish("no-id", raw("1234 'rest'")));
});

await test("PUBACK, PUBREC, PUBREL and PUBCOMP carry the packet id of their PUBLISH [MQTT-2.3.1-6]", async () => {
  const { peer, writer } = await pair("same-id", "same-id", 2);
  for (const id of [1, 0x0100, 0x1234, 0xffff]) {
    writer.send(publish("same-id", "one", { qos: 1, id }));
    await writer.expect(puback(id));
    writer.send(publish("same-id", "two", { qos: 2, id }));
    await writer.expect(pubrec(id));
    writer.send(pubrel(id));
    await writer.expect(pubcomp(id));
    const one = await peer.receive();
    peer.send(puback(one.id));
    const two = await peer.receive();
    peer.send(pubrec(two.id));
    await peer.expect(pubrel(two.id));
    peer.send(pubcomp(two.id));
  }
});

await test("SUBACK and UNSUBACK carry the packet id of what they answer [MQTT-2.3.1-7]", async () => {
  const peer = await broker.connected({ id: "sub-ids" });
  peer.send(subscribe(0xabcd, [["x", 0]]), unsubscribe(0x0102, ["x"]), subscribe(3, [["x", 1]]));
  await peer.expect(suback(0xabcd, [0]), unsuback(0x0102), suback(3, [1]));
});

await test("DUP with QoS 0 closes the connection, and is never sent [MQTT-3.3.1-2]", async () => {
  const { peer, writer } = await pair("dup0", "dup0", 0);
  writer.send(publish("dup0", "x", { qos: 1, id: 1, dup: true }));
  await writer.expect(puback(1));
  await peer.expect(publish("dup0", "x", { qos: 0, dup: false }));
  writer.send(publish("dup0", "x", { qos: 0, dup: true }));
  await writer.expectClosed();
});

await test("DUP of a publisher is not passed on [MQTT-3.3.1-3]", async () => {
  const { peer, writer } = await pair("dup", "dup", 2);
  writer.send(publish("dup", "one", { qos: 1, id: 1, dup: true }));
  writer.send(publish("dup", "two", { qos: 2, id: 2, dup: true }));
  await writer.expect(puback(1), pubrec(2));
  await peer.expect(
    publish("dup", "one", { qos: 1, id: 1, dup: false }),
    publish("dup", "two", { qos: 2, id: 2, dup: false }),
  );
});

await test("a PUBLISH with both bits of QoS set closes the connection [MQTT-3.3.1-4]", async () => {
  for (const first of ["36", "37", "3e", "3f"]) {
    const peer = await broker.connected({ id: "qos3" });
    peer.send(packet(first, "0001 'a' 0001 'x'"));
    await peer.expectClosed();
  }
});

await test("a topic name comes first in a PUBLISH and is UTF-8, or the connection closes [MQTT-3.3.2-1]", async () => {
  for (const body of ["", "00", "0005 'a'", "0002 c0af 'x'", "0003 eda080 'x'", "0001 80"]) {
    const peer = await broker.connected({ id: "topic-first" });
    peer.send(packet("30", body));
    await peer.expectClosed();
  }
});

await test("a topic name with a wildcard closes the connection [MQTT-3.3.2-2]", async () => {
  for (const topic of ["a/+", "#", "a+b", "a/#/b", "+"]) {
    const peer = await broker.connected({ id: "topic-wild" });
    peer.send(publish(topic, "x"));
    await peer.expectClosed();
  }
});

await test("a message comes under the topic it was published to, which the filter matches [MQTT-3.3.2-3]", async () => {
  const { peer, writer } = await pair("under", "under/+/c", 0);
  for (const topic of ["under/b/c", "under//c", "under/b/d", "under/b/c/d", "under/é/c"]) {
    writer.send(publish(topic, "x"));
  }
  await peer.expect(publish("under/b/c", "x"), publish("under//c", "x"), publish("under/é/c", "x"));
  writer.send(publish("under/end/c", "x"));
  await peer.expect(publish("under/end/c", "x"));
});

await test("the answer to a PUBLISH is none, PUBACK or PUBREC, as its QoS says [MQTT-3.3.4-1]", async () => {
  const writer = await broker.connected({ id: "answers" });
  writer.send(
    publish("answers", "0"),
    publish("answers", "1", { qos: 1, id: 7 }),
    publish("answers", "2", { qos: 2, id: 8 }),
  );
  await writer.expect(puback(7), pubrec(8));
  await writer.expectNothing();
});

await test("subscriptions that overlap give one copy, at the highest QoS granted [MQTT-3.3.5-1]", async () => {
  const peer = await broker.connected({ id: "overlap" });
  peer.send(
    subscribe(1, [
      ["over/#", 0],
      ["over/a", 2],
      ["over/+", 1],
    ]),
  );
  await peer.expect(suback(1, [0, 2, 1]));
  const writer = await broker.connected({ id: "overlap-writer" });
  writer.send(
    publish("over/a", "two", { qos: 2, id: 1 }),
    publish("over/b", "one", { qos: 2, id: 2 }),
  );
  await writer.expect(pubrec(1), pubrec(2));
  await peer.expect(
    publish("over/a", "two", { qos: 2, id: 1 }),
    publish("over/b", "one", { qos: 1, id: 2 }),
  );
  await peer.expectNothing();
});

await test("a publish without the right is acknowledged by the rules of its QoS and goes nowhere [MQTT-3.3.5-2]", async () => {
  const { peer } = await pair("no-right", "private/#", 2);
  const login = await broker.newLogin([
    { entity: "topics", patterns: [{ pub: "public/#", sub: "" }] },
  ]);
  const writer = await broker.open();
  writer.send(connect({ ...login, id: "no-right" }));
  await writer.expect(raw("20 02 00 00"));
  writer.send(
    publish("private/a", "0", { retain: true }),
    publish("private/a", "1", { qos: 1, id: 1 }),
    publish("private/a", "2", { qos: 2, id: 2 }),
    pubrel(2),
  );
  await writer.expect(puback(1), pubrec(2), pubcomp(2));
  await peer.expectNothing();
});

await test("QoS 0 goes out once, with DUP and QoS 0, and asks for no answer [MQTT-4.3.1-1]", async () => {
  const { peer, writer } = await pair("q0", "q0", 2);
  writer.send(publish("q0", "x"));
  await peer.expect(raw(`30 05 0002 'q0' 'x'`));
  await peer.expectNothing();
});

await test("QoS 1 goes out with a new id and without DUP, and is held until PUBACK [MQTT-4.3.2-1]", async () => {
  const reader = await broker.connected({ id: "q1", clean: false });
  reader.send(subscribe(1, [["q1", 1]]));
  await reader.expect(suback(1, [1]));
  const writer = await broker.connected({ id: "q1-writer" });
  writer.send(publish("q1", "held", { qos: 1, id: 9 }), publish("q1", "done", { qos: 1, id: 9 }));
  await writer.expect(puback(9), puback(9));
  await reader.expect(
    publish("q1", "held", { qos: 1, id: 1 }),
    publish("q1", "done", { qos: 1, id: 2 }),
  );
  // Neither another packet nor another id ends the wait for the PUBACK of id 1.
  reader.send(puback(2), puback(3), pubrec(4), pubcomp(1));
  await reader.expect(pubrel(4));
  await reader.cut();
  const back = await broker.connected({ id: "q1", clean: false, present: true });
  await back.expect(publish("q1", "held", { qos: 1, id: 1, dup: true }));
  back.send(puback(1));
  await back.expectNothing();
  await back.cut();
  const again = await broker.connected({ id: "q1", clean: false, present: true });
  await again.expectNothing();
});

await test("after PUBACK the same packet id is a new publish, whatever DUP says [MQTT-4.3.2-2]", async () => {
  const { peer, writer } = await pair("reuse1", "reuse1", 0);
  for (const dup of [false, true, false]) {
    writer.send(publish("reuse1", `dup ${String(dup)}`, { qos: 1, id: 5, dup }));
    await writer.expect(puback(5));
    await peer.expect(publish("reuse1", `dup ${String(dup)}`));
  }
});

await test("QoS 2 out is PUBLISH, PUBREL on PUBREC, and held until PUBCOMP; after PUBREL the PUBLISH is not sent again [MQTT-4.3.3-1]", async () => {
  const reader = await broker.connected({ id: "q2", clean: false });
  reader.send(subscribe(1, [["q2", 2]]));
  await reader.expect(suback(1, [2]));
  const writer = await broker.connected({ id: "q2-writer" });
  writer.send(publish("q2", "x", { qos: 2, id: 9 }));
  await writer.expect(pubrec(9));
  await reader.expect(publish("q2", "x", { qos: 2, id: 1 }));
  reader.send(puback(1)); // Not the answer to QoS 2.
  await reader.cut();
  const second = await broker.connected({ id: "q2", clean: false, present: true });
  await second.expect(publish("q2", "x", { qos: 2, id: 1, dup: true }));
  second.send(pubrec(1));
  await second.expect(pubrel(1));
  await second.cut();
  const third = await broker.connected({ id: "q2", clean: false, present: true });
  await third.expect(pubrel(1));
  third.send(pubcomp(1));
  await third.expectNothing();
  await third.cut();
  const fourth = await broker.connected({ id: "q2", clean: false, present: true });
  await fourth.expectNothing();
});

await test("QoS 2 in is delivered once for each PUBREL, however often the PUBLISH comes [MQTT-4.3.3-2]", async () => {
  const { peer, writer } = await pair("in2", "in2", 0);
  writer.send(publish("in2", "once", { qos: 2, id: 5 }));
  await writer.expect(pubrec(5));
  writer.send(publish("in2", "once", { qos: 2, id: 5, dup: true }));
  writer.send(publish("in2", "once", { qos: 2, id: 5 }));
  await writer.expect(pubrec(5), pubrec(5));
  await peer.expect(publish("in2", "once"));
  writer.send(pubrel(5), pubrel(5));
  await writer.expect(pubcomp(5), pubcomp(5));
  writer.send(publish("in2", "new", { qos: 2, id: 5, dup: true }));
  await writer.expect(pubrec(5));
  await peer.expect(publish("in2", "new"));
  await peer.expectNothing();
});

await test("what the gateway has acknowledged is owed to every session whose filters match [MQTT-4.5.0-1]", async () => {
  const filters = ["owed/a/b", "owed/+/b", "owed/#", "#", "+/a/+"];
  for (const [at, filter] of filters.entries()) {
    const peer = await broker.connected({ id: `owed-${at}`, clean: false });
    peer.send(subscribe(1, [[filter, 1]]));
    await peer.expect(suback(1, [1]));
    if (at % 2 === 0) await peer.cut();
  }
  const writer = await broker.connected({ id: "owed-writer" });
  writer.send(publish("owed/a/b", "x", { qos: 1, id: 1 }));
  await writer.expect(puback(1));
  for (const at of filters.keys()) {
    const peer = await broker.connected({ id: `owed-${at}`, clean: false, present: true });
    const { topic, payload } = await peer.receive();
    if (topic !== "owed/a/b" || payload !== "x") throw new Error(`${filters[at] ?? ""}: ${topic}`);
    peer.send(puback(1), unsubscribe(2, [filters[at] ?? ""]));
    await peer.expect(unsuback(2));
  }
});

await test("PUBACKs and PUBRECs leave in the order of their publishes, refused ones too [MQTT-4.6.0-2] [MQTT-4.6.0-3]", async () => {
  const writer = await broker.connected({ id: "ack-order" });
  const sent: Buffer[] = [];
  const answers: Buffer[] = [];
  for (let id = 1; id <= 60; id += 1) {
    const qos = id % 2 === 0 ? 1 : 2;
    // Every third goes where this client may not publish, and has nothing to wait for.
    const topic = id % 3 === 0 ? "set/site/things/none/properties/p" : "ack-order";
    sent.push(publish(topic, "{}", { qos, id }));
    answers.push(qos === 1 ? puback(id) : pubrec(id));
  }
  writer.send(...sent);
  await writer.expect(...answers);
});

await test("PUBRELs leave in the order in which the PUBRECs came [MQTT-4.6.0-4]", async () => {
  const { peer, writer } = await pair("rel-order", "rel-order", 2);
  const ids = [1, 2, 3, 4, 5];
  for (const id of ids) writer.send(publish("rel-order", "x", { qos: 2, id }));
  await writer.expect(...ids.map(pubrec));
  const got: number[] = [];
  while (got.length < ids.length) got.push((await peer.receive()).id);
  const order = [2, 0, 4, 1, 3].map((at) => got[at] ?? 0);
  peer.send(...order.map(pubrec));
  await peer.expect(...order.map(pubrel));
});

await test("each topic is ordered: messages of one client come at each QoS in the order they were published [MQTT-4.6.0-5] [MQTT-4.6.0-6]", async (t) => {
  for (const granted of [0, 1, 2] as const) {
    const { peer, writer } = await pair(`ordered-${granted}`, "ordered/#", granted);
    const sent: Buffer[] = [];
    for (let id = 1; id <= 90; id += 1) {
      const qos = ([0, 1, 2] as const)[id % 3] ?? 0;
      sent.push(publish(`ordered/${id % 2}`, hex(id, 2), { qos, id }));
    }
    writer.send(...sent);
    const last: Record<string, string> = {};
    for (let count = 0; count < 90; count += 1) {
      const { topic, qos, payload } = await peer.receive();
      const lane = `${topic} at ${qos}`;
      t.ok((last[lane] ?? "") < payload, `${lane}: ${payload} after ${last[lane] ?? "nothing"}`);
      last[lane] = payload;
    }
    await peer.cut();
  }
});
