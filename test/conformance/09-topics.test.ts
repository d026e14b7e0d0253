import { t as root, test } from "tap";
import { packet } from "../mqtt/packets.ts";
import { startBroker } from "./broker.ts";
import { puback, publish, suback, subscribe } from "./wire.ts";

const broker = await startBroker(root);
const writer = await broker.connected({ id: "writer" });

/** Which of the topics reach a subscription with the filter, in the order they are published. */
async function reached(filter: string, topics: readonly string[]): Promise<readonly string[]> {
  const peer = await broker.connected({ id: "reader" });
  peer.send(subscribe(1, [[filter, 0]]));
  await peer.expect(suback(1, [0]));
  for (const topic of topics) writer.send(publish(topic, "", { qos: 1, id: 1 }));
  await writer.expect(...topics.map(() => puback(1)));
  const last = `last/${filter.length}`;
  peer.send(subscribe(2, [[last, 0]]), publish(last, "end"));
  const found: string[] = [];
  for (;;) {
    const bytes = await peer.next();
    if (bytes === undefined) throw new Error("the connection was closed");
    if (bytes.readUInt8(0) !== 0x30) continue;
    const topic = bytes.toString("utf8", 4, 4 + bytes.readUInt16BE(2));
    if (topic === last) return found;
    found.push(topic);
  }
}

async function refused(packets: readonly Buffer[]): Promise<void> {
  for (const bytes of packets) {
    const peer = await broker.connected({ id: "refused" });
    peer.send(bytes);
    await peer.expectClosed();
  }
}

await test("wildcards stand in filters, never in a topic name [MQTT-4.7.1-1]", async (t) => {
  t.same(await reached("w/+/#", ["w/a", "w/a/b", "w"]), ["w/a", "w/a/b"]);
  await refused(["+", "#", "w/+", "w/#", "w/a+", "w#"].map((topic) => publish(topic, "x")));
});

await test("# stands alone or behind a slash, and last [MQTT-4.7.1-2]", async (t) => {
  t.same(await reached("m/#", ["m", "m/", "m/a", "m/a/b", "ma", "n"]), ["m", "m/", "m/a", "m/a/b"]);
  t.same(await reached("#", ["any", "/", "a/b"]), ["any", "/", "a/b"]);
  await refused(["m#", "m/#/a", "#/", "m/a#", "##"].map((filter) => subscribe(1, [[filter, 0]])));
});

await test("+ stands for one whole level, also an empty one, at any place [MQTT-4.7.1-3]", async (t) => {
  t.same(await reached("+", ["s", "/s", "s/", "s/t"]), ["s"]);
  t.same(await reached("s/+", ["s", "s/a", "s/", "s/a/b"]), ["s/a", "s/"]);
  t.same(await reached("+/+", ["/s", "s/", "/", "s"]), ["/s", "s/", "/"]);
  t.same(await reached("/+", ["/s", "s", "/"]), ["/s", "/"]);
  t.same(await reached("s/+/+/d", ["s/b/c/d", "s///d", "s/b/d"]), ["s/b/c/d", "s///d"]);
  await refused(["s+", "+s", "s/+t/u", "++", "s/#+"].map((filter) => subscribe(1, [[filter, 0]])));
});

await test("a filter that begins with a wildcard gets nothing of a topic that begins with $ [MQTT-4.7.2-1]", async (t) => {
  const dollar = ["$SYS/a", "$SYS", "$own/a", "$share/g/a"];
  t.same(await reached("#", [...dollar, "plain"]), ["plain"]);
  t.same(await reached("+/a", [...dollar, "plain/a"]), ["plain/a"]);
  t.same(await reached("+", [...dollar, "plain"]), ["plain"]);
});

await test("an empty topic name or filter closes the connection [MQTT-4.7.3-1]", async () => {
  await refused([publish("", "x"), subscribe(1, [["", 0]]), packet("a2", "0001 0000")]);
});

await test("a NUL in a topic name or filter closes the connection [MQTT-4.7.3-2]", async () => {
  await refused([publish("a\0b", "x"), subscribe(1, [["a/\0", 0]]), packet("a2", "0001 0001 00")]);
});

await test("a topic name of 65,535 bytes is taken, also past the levels that are forwarded [MQTT-4.7.3-3]", async () => {
  const peer = await broker.connected({ id: "long" });
  const long = "x".repeat(65_535);
  peer.send(subscribe(1, [[long, 0]]));
  await peer.expect(suback(1, [0]));
  peer.send(publish(long, "!", { qos: 1, id: 2 }));
  await peer.expect(publish(long, "!"), puback(2));
  // limits.topic_levels: acknowledged and refused, not closed.
  peer.send(publish("/".repeat(65_535), "!", { qos: 1, id: 3 }));
  await peer.expect(puback(3));
});

await test("topics are compared as they are: case, accents, spaces and slashes count [MQTT-4.7.3-4]", async (t) => {
  const all = ["T/é", "T/e\u0301", "t/é", "T/É", "T//é", "/T/é", "T/é/", "T/é ", " T/é"];
  for (const filter of all) t.same(await reached(filter, all), [filter]);
  t.same(await reached("T/é", ["T/\u00e9", "T/\u0065\u0301", "T/\u212b"]), ["T/é"]);
});
