import { t as root, test } from "tap";
import { packet, raw } from "../mqtt/packets.ts";
import { startBroker } from "./broker.ts";
import { connack, connect, field, PINGREQ, PINGRESP, publish, suback, subscribe } from "./wire.ts";

const broker = await startBroker(root);
const { login } = broker;

await test("whatever comes before CONNECT closes the connection [MQTT-3.1.0-1]", async () => {
  const before = ["30 05 0001 'a' 0000", "82 06 0001 0001 'a' 00", "c0 00", "e0 00", "40 02 0001"];
  for (const bytes of before) {
    const peer = await broker.open();
    peer.send(raw(bytes));
    await peer.expectClosed();
  }
});

await test("a second CONNECT closes the connection [MQTT-3.1.0-2]", async () => {
  const peer = await broker.connected({ id: "second" });
  peer.send(broker.connect({ id: "second" }));
  await peer.expectClosed();
});

await test("a protocol name other than MQTT gets no answer of this protocol [MQTT-3.1.2-1]", async () => {
  for (const name of ["0004 'mqtt'", "0004 'MQTX'", "0005 'MQTTT'", "0000", "0006 'MQIsdX'"]) {
    const peer = await broker.open();
    peer.send(packet("10", `${name} 04 02 0000 0002 'n1'`));
    await peer.expectClosed();
  }
});

await test("another protocol level is answered with return code 1 and closed [MQTT-3.1.2-2]", async () => {
  for (const level of ["00", "03", "05", "ff"]) {
    const peer = await broker.open();
    peer.send(packet("10", `0004 'MQTT' ${level} 02 0000 0002 'l1'`));
    await peer.expect(connack(false, 1));
    await peer.expectClosed();
  }
});

await test("the reserved flag of CONNECT closes the connection [MQTT-3.1.2-3]", async () => {
  const peer = await broker.open();
  peer.send(packet("10", "0004 'MQTT' 04 03 0000 0002 'r1'"));
  await peer.expectClosed();
});

await test("user name and password are there exactly where their flags say so [MQTT-3.1.2-18] [MQTT-3.1.2-19] [MQTT-3.1.2-20] [MQTT-3.1.2-21]", async () => {
  const bad: readonly (readonly [what: string, flags: string, payload: string])[] = [
    ["a user name without its flag", "02", "0002 'f1' 0001 'u'"],
    ["the flag without a user name", "82", "0002 'f1'"],
    ["a password without its flag", "82", "0002 'f1' 0001 'u' 0001 'p'"],
    ["the flag without a password", "c2", "0002 'f1' 0001 'u'"],
  ];
  for (const [, flags, payload] of bad) {
    const peer = await broker.open();
    peer.send(packet("10", `0004 'MQTT' 04 ${flags} 0000 ${payload}`));
    await peer.expectClosed();
  }
});

await test("a password without a user name closes the connection [MQTT-3.1.2-22]", async () => {
  const peer = await broker.open();
  peer.send(packet("10", "0004 'MQTT' 04 42 0000 0002 'p1' 0001 'p'"));
  await peer.expectClosed();
});

await test("the fields of the payload are read in their one order [MQTT-3.1.3-1]", async () => {
  const will = { topic: "order/will", payload: "gone", qos: 1 } as const;
  const watcher = await broker.connected({ id: "order-watcher" });
  watcher.send(subscribe(1, [["order/will", 1]]));
  await watcher.expect(suback(1, [1]));
  const peer = await broker.connected({ id: "order", will });
  await peer.cut();
  await watcher.expect(publish("order/will", "gone", { qos: 1, id: 1 }));

  const { user, password } = login;
  const swapped = Buffer.concat([field("order/will"), field("gone"), field("order")]);
  const rest = Buffer.concat([swapped, field(password), field(user)]);
  const other = await broker.open();
  other.send(packet("10", "0004 'MQTT' 04 ce 0000", rest));
  // Read in order this is a client id, a will topic, a will and a wrong user.
  await other.expect(connack(false, 4));
  await other.expectClosed();
});

await test("the client id names the session, and no other client's [MQTT-3.1.3-2]", async () => {
  const first = await broker.connected({ id: "name-1", clean: false });
  first.send(subscribe(1, [["name/1", 1]]));
  await first.expect(suback(1, [1]));
  await first.cut();
  const other = await broker.connected({ id: "name-2", clean: false });
  other.send(publish("name/1", "for 1", { qos: 1, id: 1 }));
  await other.expect(raw("40 02 0001"));
  await other.expectNothing();
  const again = await broker.connected({ id: "name-1", clean: false, present: true });
  await again.expect(publish("name/1", "for 1", { qos: 1, id: 1 }));
});

await test("a CONNECT without a client id field is malformed [MQTT-3.1.3-3]", async () => {
  const peer = await broker.open();
  peer.send(packet("10", "0004 'MQTT' 04 02 0000"));
  await peer.expectClosed();
});

await test("client id, will topic and user name are UTF-8, or the connection closes [MQTT-3.1.3-4] [MQTT-3.1.3-10] [MQTT-3.1.3-11]", async () => {
  const bad = [
    "02 0000 0002 c0af",
    "06 0000 0002 'u1' 0003 eda080 0000",
    "82 0000 0002 'u1' 0001 ff",
  ];
  for (const tail of bad) {
    const peer = await broker.open();
    peer.send(packet("10", `0004 'MQTT' 04 ${tail}`));
    await peer.expectClosed();
  }
});

await test("every client id of 1 to 23 digits and letters is taken [MQTT-3.1.3-5]", async () => {
  const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  const ids = [letters.slice(0, 1), letters.slice(0, 23), letters.slice(23, 46), letters.slice(46)];
  for (const id of ids) {
    const peer = await broker.connected({ id });
    await peer.cut();
  }
});

await test("clients without an id get one each [MQTT-3.1.3-6]", async (t) => {
  const first = await broker.connected({ id: "" });
  const second = await broker.connected({ id: "" });
  await first.expectNothing();
  await second.expectNothing();
  t.notOk(first.isClosed, "the second has not taken the place of the first");
});

await test("no client id and no clean session: return code 2 [MQTT-3.1.3-8]", async () => {
  const peer = await broker.open();
  peer.send(broker.connect({ id: "", clean: false }));
  await peer.expect(connack(false, 2));
  await peer.expectClosed();
});

await test("a client id that is refused gets return code 2 [MQTT-3.1.3-9]", async () => {
  const tooLong = await broker.open();
  tooLong.send(broker.connect({ id: "x".repeat(257) }));
  await tooLong.expect(connack(false, 2));
  await tooLong.expectClosed();

  const owner = await broker.connected({ id: "owned", clean: false });
  const other = await broker.newLogin([{ entity: "topics", patterns: [{ pub: "a", sub: "a" }] }]);
  const thief = await broker.open();
  thief.send(connect({ ...other, id: "owned", clean: true }));
  await thief.expect(connack(false, 2));
  await thief.expectClosed();
  await owner.expectNothing();
});

await test("a CONNECT that breaks its form closes the connection without CONNACK [MQTT-3.1.4-1]", async () => {
  const bad = [
    packet("10", ""),
    packet("10", "0004 'MQTT' 04 02 00"),
    packet("10", "0004 'MQTT' 04 02 0000 0002 'c1' 00"),
    packet("10", "0004 'MQTT' 04 02 0000 0009 'c1'"),
    packet("10", "0004 'MQTT' 04 0e 0000 0002 'c1' 0001 'w'"),
  ];
  for (const bytes of bad) {
    const peer = await broker.open();
    peer.send(bytes);
    await peer.expectClosed();
  }
});

await test("a client id that connects again ends the connection before [MQTT-3.1.4-2]", async () => {
  const first = await broker.connected({ id: "twice" });
  const second = await broker.connected({ id: "twice" });
  await first.expectClosed();
  await second.expectNothing();
});

await test("a CONNECT that is accepted is answered with return code 0 [MQTT-3.1.4-4]", async () => {
  const peer = await broker.open();
  peer.send(broker.connect({ id: "accepted" }));
  await peer.expect(connack(false, 0));
});

await test("nothing behind a refused CONNECT is looked at [MQTT-3.1.4-5]", async () => {
  const watcher = await broker.connected({ id: "behind-watcher" });
  watcher.send(subscribe(1, [["behind/#", 1]]));
  await watcher.expect(suback(1, [1]));
  const wrong = { ...login, password: "wrong" };
  const refused = [
    [4, connect({ ...wrong, id: "behind" })],
    [5, connect({ id: "behind" })],
    [2, broker.connect({ id: "", clean: false })],
    [1, packet("10", "0004 'MQTT' 05 02 0000 0000")],
  ] as const;
  for (const [code, bytes] of refused) {
    const peer = await broker.open();
    peer.send(bytes, publish("behind/a", "x", { qos: 1 }), PINGREQ);
    await peer.expect(connack(false, code));
    await peer.expectClosed();
  }
  await watcher.expectNothing();
});

await test("CONNACK is the first packet the gateway sends [MQTT-3.2.0-1]", async () => {
  const away = await broker.connected({ id: "first", clean: false });
  away.send(subscribe(1, [["first/a", 1]]));
  await away.expect(suback(1, [1]));
  await away.cut();
  const writer = await broker.connected({ id: "first-writer" });
  writer.send(publish("first/a", "waiting", { qos: 1 }));
  await writer.expect(raw("40 02 0001"));
  const back = await broker.open();
  back.send(broker.connect({ id: "first", clean: false }), PINGREQ);
  await back.expect(connack(true), publish("first/a", "waiting", { qos: 1 }), PINGRESP);
});

await test("a refusal says no session is present, though there is one [MQTT-3.2.2-4]", async () => {
  const peer = await broker.connected({ id: "refusal", clean: false });
  await peer.cut();
  const wrong = await broker.open();
  wrong.send(connect({ ...login, password: "wrong", id: "refusal", clean: false }));
  await wrong.expect(connack(false, 4));
  await wrong.expectClosed();
  await broker.connected({ id: "refusal", clean: false, present: true });
});

await test("after a return code other than 0 the connection is closed [MQTT-3.2.2-5]", async () => {
  const peer = await broker.open();
  peer.send(connect({ id: "no-login" }));
  await peer.expect(connack(false, 5));
  await peer.expectClosed();
});

await test("where no return code fits the connection is closed without CONNACK [MQTT-3.2.2-6]", async () => {
  const peer = await broker.open();
  // A CONNECT larger than limits.packet_bytes, of which only the length has come.
  peer.send(raw("10 ff ff ff 7f"));
  await peer.expectClosed();
});
