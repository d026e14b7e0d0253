import { t as root, test } from "tap";
import { packet, raw } from "../mqtt/packets.ts";
import { startBroker } from "./broker.ts";
import {
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

const broker = await startBroker(root, { SLUICE_MQTT__REFUSED_FILTERS: "refused/#" });
const writer = await broker.connected({ id: "writer" });

/** Publishes at QoS 1 and waits until it is acknowledged. */
async function write(topic: string, payload: string, retain = false): Promise<void> {
  writer.send(publish(topic, payload, { qos: 1, id: 9, retain }));
  await writer.expect(puback(9));
}

await test("SUBSCRIBE with other flags than 0010 closes the connection [MQTT-3.8.1-1]", async () => {
  for (const first of ["80", "81", "83", "86", "8a", "8f"]) {
    const peer = await broker.connected({ id: "flags" });
    peer.send(packet(first, "0001 0001 'a' 00"));
    await peer.expectClosed();
  }
});

await test("a topic filter to subscribe to is UTF-8, or the connection closes [MQTT-3.8.3-1]", async () => {
  for (const filter of ["0002 c0af", "0003 eda080", "0001 80"]) {
    const peer = await broker.connected({ id: "text" });
    peer.send(packet("82", `0001 ${filter} 00`));
    await peer.expectClosed();
  }
});

await test("filters with wildcards are taken [MQTT-3.8.3-2]", async () => {
  const peer = await broker.connected({ id: "wild" });
  peer.send(
    subscribe(1, [
      ["wild/+/c", 1],
      ["wild/d/#", 1],
      ["+/wild", 1],
      ["#", 1],
    ]),
  );
  await peer.expect(suback(1, [1, 1, 1, 1]));
  await write("wild/b/c", "here");
  await peer.expect(publish("wild/b/c", "here", { qos: 1 }));
});

await test("a SUBSCRIBE without a filter closes the connection [MQTT-3.8.3-3]", async () => {
  const peer = await broker.connected({ id: "empty" });
  peer.send(raw("82 02 0001"));
  await peer.expectClosed();
});

await test("reserved bits or QoS 3 in a SUBSCRIBE close the connection [MQTT-3-8.3-4]", async () => {
  for (const options of ["03", "04", "08", "10", "20", "40", "80", "ff"]) {
    const peer = await broker.connected({ id: "options" });
    peer.send(packet("82", `0001 0001 'a' ${options}`));
    await peer.expectClosed();
  }
});

await test("each SUBSCRIBE is answered by a SUBACK with its packet id [MQTT-3.8.4-1] [MQTT-3.8.4-2]", async () => {
  const peer = await broker.connected({ id: "answer" });
  for (const id of [1, 0x1234, 0xffff, 1]) {
    peer.send(subscribe(id, [["answer/a", 0]]));
    await peer.expect(suback(id, [0]));
  }
});

await test("an equal filter replaces the subscription, its retained messages come again, no message is missed [MQTT-3.8.4-3]", async (t) => {
  await write("again/a", "kept", true);
  const peer = await broker.connected({ id: "again" });
  peer.send(subscribe(1, [["again/a", 1]]));
  await peer.expect(suback(1, [1]), publish("again/a", "kept", { qos: 1, id: 1, retain: true }));
  // Between two publishes of one client, so that the order is known.
  peer.send(
    puback(1),
    publish("again/a", "before", { qos: 1, id: 5 }),
    subscribe(2, [["again/a", 0]]),
    publish("again/a", "after", { qos: 1, id: 6 }),
  );
  const after: string[] = [];
  for (let count = 0; count < 6; count += 1) {
    after.push((await peer.next())?.toString("hex") ?? "closed");
  }
  const due = [
    publish("again/a", "before", { qos: 1, id: 2 }),
    puback(5),
    suback(2, [0]),
    publish("again/a", "kept", { retain: true }),
    publish("again/a", "after"),
    puback(6),
  ];
  t.same(after.sort(), due.map((bytes) => bytes.toString("hex")).sort());
  await peer.expectNothing();
});

await test("several filters in one SUBSCRIBE are as several SUBSCRIBEs, with one answer [MQTT-3.8.4-4]", async () => {
  await write("several/a", "A", true);
  await write("several/b", "B", true);
  const peer = await broker.connected({ id: "several" });
  peer.send(
    subscribe(1, [
      ["several/a", 0],
      ["several/b", 0],
      ["several/a", 1],
    ]),
  );
  await peer.expect(suback(1, [0, 0, 1]));
  const kept = [(await peer.receive()).topic, (await peer.receive()).topic].sort();
  if (kept.join() !== "several/a,several/b") throw new Error(`retained messages of ${kept.join()}`);
  await write("several/a", "last filter counts");
  const live = await peer.receive();
  if (live.qos !== 1) throw new Error("the second filter for several/a replaced the first");
});

await test("SUBACK has a code for each filter, the QoS granted or the refusal, in the order of the filters [MQTT-3.8.4-5] [MQTT-3.9.3-1]", async () => {
  const peer = await broker.connected({ id: "codes" });
  peer.send(
    subscribe(1, [
      ["codes/2", 2],
      ["refused/#", 1],
      ["codes/0", 0],
      ["set/site/#", 0],
      ["codes/1", 1],
      ["codes/2", 2],
      ["$share/g/codes", 1],
    ]),
  );
  await peer.expect(suback(1, [2, 0x80, 0, 0x80, 1, 2, 0x80]));
});

await test("a subscriber gets each message at the lower of its QoS and the QoS granted [MQTT-3.8.4-6]", async (t) => {
  for (const granted of [0, 1, 2] as const) {
    const peer = await broker.connected({ id: `lower-${granted}` });
    peer.send(subscribe(1, [[`lower/${granted}`, granted]]));
    await peer.expect(suback(1, [granted]));
    for (const sent of [0, 1, 2] as const) {
      writer.send(publish(`lower/${granted}`, "x", { qos: sent, id: 3 }));
      if (sent === 1) await writer.expect(puback(3));
      if (sent === 2) await finishQos2(3);
      const got = await peer.receive();
      t.equal(got.qos, Math.min(granted, sent), `published at ${sent}, granted ${granted}`);
    }
  }
});

async function finishQos2(id: number): Promise<void> {
  await writer.expect(pubrec(id));
  writer.send(pubrel(id));
  await writer.expect(pubcomp(id));
}

await test("no code but 0, 1, 2 and 0x80 is ever in a SUBACK [MQTT-3.9.3-2]", async (t) => {
  const peer = await broker.connected({ id: "any-code" });
  const filters: readonly string[] = [
    "a",
    "#",
    "+",
    "refused/#",
    "status/site/#",
    "$SYS/#",
    "x/data/y",
  ];
  const asked = filters.flatMap((filter) =>
    ([0, 1, 2] as const).map((qos) => [filter, qos] as const),
  );
  peer.send(subscribe(1, asked));
  const answer = await peer.next();
  const codes = [...(answer ?? Buffer.alloc(0)).subarray(4)];
  t.equal(codes.length, asked.length);
  for (const [at, code] of codes.entries()) {
    const [filter, qos] = asked[at] ?? ["", 0];
    t.ok(code === 0x80 || code <= qos, `${filter} at ${qos}: ${code}`);
  }
});

await test("UNSUBSCRIBE with other flags than 0010 closes the connection [MQTT-3.10.1-1]", async () => {
  for (const first of ["a0", "a1", "a3", "a6", "aa", "af"]) {
    const peer = await broker.connected({ id: "un-flags" });
    peer.send(packet(first, "0001 0001 'a'"));
    await peer.expectClosed();
  }
});

await test("filters to unsubscribe from are UTF-8 and packed without gaps, or the connection closes [MQTT-3.10.3-1]", async () => {
  for (const payload of [
    "0002 c0af",
    "0003 eda080",
    "0001 'a' 00",
    "0005 'a'",
    "0001 'a' 0002 'b'",
  ]) {
    const peer = await broker.connected({ id: "un-text" });
    peer.send(packet("a2", `0001 ${payload}`));
    await peer.expectClosed();
  }
  const peer = await broker.connected({ id: "un-text" });
  peer.send(packet("a2", "0001 0001 'a' 0001 'b'"));
  await peer.expect(unsuback(1));
});

await test("an UNSUBSCRIBE without a filter closes the connection [MQTT-3.10.3-2]", async () => {
  const peer = await broker.connected({ id: "un-empty" });
  peer.send(raw("a2 02 0001"));
  await peer.expectClosed();
});

await test("UNSUBSCRIBE ends the subscription with the very same filter and no other [MQTT-3.10.4-1]", async () => {
  const peer = await broker.connected({ id: "un-same" });
  peer.send(
    subscribe(1, [
      ["un/a", 0],
      ["un/+", 0],
      ["un/é", 0],
    ]),
  );
  await peer.expect(suback(1, [0, 0, 0]));
  // Equal to a reader's eye, or matching: not the same bytes.
  peer.send(unsubscribe(2, ["un/#", "un/A", "un/e\u0301", "un/+/", "un/a/"]));
  await peer.expect(unsuback(2));
  peer.send(unsubscribe(3, ["un/+"]));
  await peer.expect(unsuback(3));
  await write("un/a", "exact");
  await write("un/b", "wild");
  await write("un/é", "accent");
  await peer.expect(publish("un/a", "exact"), publish("un/é", "accent"));
  await peer.expectNothing();
});

await test("what is published behind an UNSUBSCRIBE is not sent [MQTT-3.10.4-2]", async () => {
  const peer = await broker.connected({ id: "un-stop" });
  peer.send(subscribe(1, [["un-stop", 1]]));
  await peer.expect(suback(1, [1]));
  peer.send(unsubscribe(2, ["un-stop"]), publish("un-stop", "late", { qos: 1, id: 3 }));
  await peer.expect(unsuback(2), puback(3));
  await peer.expectNothing();
});

await test("a delivery that has begun is completed after UNSUBSCRIBE [MQTT-3.10.4-3]", async () => {
  const peer = await broker.connected({ id: "un-begun", clean: false });
  peer.send(subscribe(1, [["un-begun", 2]]));
  await peer.expect(suback(1, [2]));
  writer.send(publish("un-begun", "begun", { qos: 2, id: 4 }));
  await finishQos2(4);
  await peer.expect(publish("un-begun", "begun", { qos: 2, id: 1 }));
  peer.send(unsubscribe(2, ["un-begun"]));
  await peer.expect(unsuback(2));
  peer.send(pubrec(1));
  await peer.expect(pubrel(1));
  await peer.cut();
  const back = await broker.connected({ id: "un-begun", clean: false, present: true });
  await back.expect(pubrel(1));
  back.send(pubcomp(1));
  await back.expectNothing();
});

await test("each UNSUBSCRIBE is answered by an UNSUBACK with its packet id [MQTT-3.10.4-4]", async () => {
  const peer = await broker.connected({ id: "un-answer" });
  for (const id of [1, 0x1234, 0xffff]) {
    peer.send(unsubscribe(id, ["un-answer"]));
    await peer.expect(unsuback(id));
  }
});

await test("UNSUBSCRIBE is answered although nothing was subscribed to [MQTT-3.10.4-5]", async () => {
  const peer = await broker.connected({ id: "un-none" });
  peer.send(unsubscribe(7, ["never/subscribed", "nor/#"]));
  await peer.expect(unsuback(7));
});

await test("several filters in one UNSUBSCRIBE are as several UNSUBSCRIBEs, with one answer [MQTT-3.10.4-6]", async () => {
  const peer = await broker.connected({ id: "un-several" });
  const filters: readonly (readonly [string, Qos])[] = [
    ["us/a", 0],
    ["us/b", 0],
    ["us/c", 0],
  ];
  peer.send(subscribe(1, filters));
  await peer.expect(suback(1, [0, 0, 0]));
  peer.send(unsubscribe(2, ["us/a", "us/none", "us/c", "us/a"]));
  await peer.expect(unsuback(2));
  for (const topic of ["us/a", "us/b", "us/c"]) await write(topic, "x");
  await peer.expect(publish("us/b", "x"));
  await peer.expectNothing();
});
