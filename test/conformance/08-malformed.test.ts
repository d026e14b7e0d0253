import { t as root, test } from "tap";
import { packet, raw } from "../mqtt/packets.ts";
import { startBroker } from "./broker.ts";
import {
  PINGREQ,
  PINGRESP,
  puback,
  pubcomp,
  publish,
  pubrec,
  pubrel,
  suback,
  subscribe,
  unsuback,
  unsubscribe,
} from "./wire.ts";

const broker = await startBroker(root);

/** Each of these packets closes the connection that sends it. */
async function closes(packets: readonly Buffer[]): Promise<void> {
  for (const bytes of packets) {
    const peer = await broker.connected({ id: "bad" });
    peer.send(bytes);
    await peer.expectClosed();
  }
}

/** Packets with this field in each place where text may stand after CONNECT. */
const withText = (text: string): readonly Buffer[] => [
  packet("30", `${text} 'x'`),
  packet("82", `0001 ${text} 00`),
  packet("a2", `0001 ${text}`),
];

await test("text that is not well-formed UTF-8 closes the connection [MQTT-1.5.3-1]", async () => {
  const texts = [
    "0003 eda080",
    "0003 edbfbf",
    "0002 c0af",
    "0001 80",
    "0004 f4908080",
    "0002 e282",
  ];
  await closes(texts.flatMap(withText));
  for (const text of texts) {
    const peer = await broker.open();
    peer.send(packet("10", `0004 'MQTT' 04 02 0000 ${text}`));
    await peer.expectClosed();
  }
});

await test("a NUL in text closes the connection [MQTT-1.5.3-2]", async () => {
  await closes(["0001 00", "0003 'a' 00 'b'", "0002 'a' 00"].flatMap(withText));
  const peer = await broker.open();
  peer.send(packet("10", "0004 'MQTT' 04 02 0000 0002 'a' 00"));
  await peer.expectClosed();
});

await test("a byte order mark is a character like any other [MQTT-1.5.3-3]", async () => {
  const peer = await broker.connected({ id: "bom" });
  const marked = "\uFEFFbom/\uFEFFa";
  peer.send(subscribe(1, [[marked, 0]]));
  await peer.expect(suback(1, [0]));
  peer.send(publish("bom/a", "without"), publish("\uFEFFbom/a", "half"), publish(marked, "with"));
  await peer.expect(packet("30", "000b efbbbf 'bom/' efbbbf 'a' 'with'"));
  await peer.expectNothing();
});

await test("every packet of the gateway has the flags of its type [MQTT-2.2.2-1]", async (t) => {
  const peer = await broker.open();
  peer.send(
    broker.connect({ id: "flags" }),
    subscribe(1, [["flags", 2]]),
    publish("flags", "y", { qos: 2, id: 3 }),
    publish("flags", "x", { qos: 1, id: 2 }),
    pubrel(3),
    PINGREQ,
    unsubscribe(4, ["flags"]),
  );
  const seen = new Set<string>();
  while (seen.size < 8) {
    const bytes = await peer.next();
    if (bytes === undefined) throw new Error("the connection was closed");
    const [first = 0] = bytes;
    if (first >> 4 !== 3) seen.add(first.toString(16));
    else if (first === 0x34) peer.send(pubrec(bytes.readUInt16BE(9)));
  }
  t.same([...seen].sort(), ["20", "40", "50", "62", "70", "90", "b0", "d0"]);
});

await test("flags a packet may not have close the connection [MQTT-2.2.2-2]", async () => {
  const body: Readonly<Record<number, string>> = { 4: "0001", 5: "0001", 6: "0001", 7: "0001" };
  const allowed: Readonly<Record<number, number>> = { 6: 2, 8: 2, 10: 2 };
  const packets: Buffer[] = [];
  for (const type of [4, 5, 6, 7, 8, 10, 12, 14]) {
    for (let flags = 0; flags < 16; flags += 1) {
      if (flags === (allowed[type] ?? 0)) continue;
      const payload = body[type] ?? (type === 8 ? "0001 0001 'a' 00" : "0001 0001 'a'");
      const first = ((type << 4) | flags).toString(16);
      packets.push(packet(first, type >= 12 ? "" : payload));
    }
  }
  await closes(packets);
  const peer = await broker.open();
  peer.send(packet("11", "0004 'MQTT' 04 02 0000 0001 'f'"));
  await peer.expectClosed();
});

await test("PUBREL with other flags than 0010 closes the connection [MQTT-3.6.1-1]", async () => {
  await closes(["60", "61", "63", "64", "66", "6a", "6f"].map((first) => packet(first, "0001")));
});

await test("DISCONNECT with flags closes the connection as an error, its will is published [MQTT-3.14.1-1]", async () => {
  const watcher = await broker.connected({ id: "bye-watcher" });
  watcher.send(subscribe(1, [["bye/will", 0]]));
  await watcher.expect(suback(1, [0]));
  const peer = await broker.connected({ id: "bye", will: { topic: "bye/will", payload: "gone" } });
  peer.send(raw("e1 00"));
  await peer.expectClosed();
  await watcher.expect(publish("bye/will", "gone"));
});

await test("a violation of the protocol closes the connection it came by, and no other [MQTT-4.8.0-1]", async () => {
  const bystander = await broker.connected({ id: "bystander" });
  await closes([
    raw("00 00"),
    raw("f0 00"),
    raw("20 02 0000"),
    raw("90 03 0001 00"),
    raw("b0 02 0001"),
    raw("d0 00"),
    raw("40 00"),
    raw("40 01 00"),
    raw("40 03 0001 00"),
    raw("40 02 0000"),
    raw("50 02 0000"),
    raw("62 02 0000"),
    raw("70 02 0000"),
    raw("c0 01 00"),
    raw("e0 01 00"),
    raw("30 ff ff ff ff 01"),
    raw("30 80 80 80 80 00"),
    raw("82 05 0001 0001 'a'"),
    raw("82 05 0001 0002 'a'"),
    raw("a2 04 0001 0001"),
  ]);
  bystander.send(PINGREQ);
  await bystander.expect(PINGRESP);
});

await test("answers to nothing are taken without a word: late ones are no violation [MQTT-4.8.0-1]", async () => {
  const peer = await broker.connected({ id: "late" });
  peer.send(puback(5), pubcomp(6), PINGREQ);
  await peer.expect(PINGRESP);
  peer.send(pubrec(7));
  await peer.expect(pubrel(7));
  peer.send(pubrel(8));
  await peer.expect(pubcomp(8));
  peer.send(unsubscribe(9, ["late"]));
  await peer.expect(unsuback(9));
});
