import { parser, type IConnectPacket } from "mqtt-packet";
import { test } from "tap";
import { connectPacket } from "../../src/uplink/line-connect.ts";
import { lineSettings } from "./line-site.ts";

/** Of one packet and nothing behind it. */
function parsed(bytes: Buffer): IConnectPacket {
  const read = parser();
  const packets: IConnectPacket[] = [];
  read.on("packet", (packet) => packets.push(packet as IConnectPacket));
  const left = read.parse(bytes);
  if (left !== 0 || packets.length !== 1)
    throw new Error(`${packets.length} packets, ${left} left`);
  return packets[0]!;
}

await test("MQTT 5: a password without a user name is sent as just that", (t) => {
  const will = { topic: "w", payload: Buffer.from("gone"), retain: true, qos: 1 } as const;
  const given = { clientId: "me", will };
  // Packets whose length takes one byte, two and three, with the edges between them.
  for (const bytes of [1, ...Array.from({ length: 70 }, (_, nth) => 60 + nth), 300, 20_000]) {
    const password = "é".repeat(bytes);
    const { username, ...packet } = parsed(
      connectPacket(lineSettings("mqtt://a", { ...given, password })),
    );
    t.equal(username, undefined);
    t.match(packet, { ...given, protocolVersion: 5, password: Buffer.from(password) });
  }
  const both = connectPacket(lineSettings("mqtt://a", { ...given, username: "-", password: "x" }));
  t.match(parsed(both), { ...given, username: "-", password: Buffer.from("x") });
  t.end();
});
