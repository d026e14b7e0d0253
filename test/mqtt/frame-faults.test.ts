import { test } from "tap";
import { FrameReader } from "../../src/mqtt/frames.ts";
import { CONNECT, CONNECT_31, framesOf, inChunksOf, packet, raw } from "./packets.ts";

/** Why, the clause, what is wrong, the bytes, and the CONNACK where one is owed. */
type Illegal = readonly [
  reason: string,
  clause: string,
  what: string,
  bytes: Buffer,
  connackCode?: number,
];

const NUL = "0003 'a' 00 'b'";
const SURROGATE = "0003 eda080";
const OVERLONG = "0002 c0af";
const CUT_OFF = "0002 'a' e2";
const CONTROL = "0003 'a' 1f 'b'";
const DELETE = "0003 'a' 7f 'b'";
const C1_CONTROL = "0003 'a' c29f";
const NO_CHARACTER = "0004 'a' efbfbf";
const TOO_HIGH = "0004 f4908080";

const BEFORE_CONNECT: readonly Illegal[] = [
  ["connect-missing", "MQTT-3.1.0-1", "PUBLISH", packet("30", "0001 'a'")],
  ["connect-missing", "MQTT-3.1.0-1", "PINGREQ", packet("c0")],
  ["connect-missing", "MQTT-3.1.0-1", "type 0", packet("00")],
  ["connect-missing", "MQTT-3.1.0-1", "type 15", packet("f0")],
  ["connect-missing", "MQTT-3.1.0-1", "an HTTP request", raw("'GET / HTTP/1.1'")],
  ["tls-hello", "MQTT-3.1.0-1", "a TLS hello", raw("16 03 01 0100")],
  ["header-flags", "MQTT-2.2.2-2", "flags", packet("11", "0004 'MQTT' 04 02 003c 0002 'c1'")],
  ["length", "MQTT-4.8.0-1", "a remaining length of five bytes", raw("10 ff ff ff ff 01")],
  ["too-large", "MQTT-4.8.0-1", "a remaining length of 256 MiB", raw("10 ff ff ff 7f")],
  ["too-large", "MQTT-4.8.0-1", "a length of one byte too many", raw("10 fe 07")],
];

const CONNECTS: readonly Illegal[] = [
  ["protocol-level", "MQTT-3.1.2-2", "MQTT 5", packet("10", "0004 'MQTT' 05 02 003c 00 0000"), 1],
  ["protocol-level", "MQTT-3.1.2-2", "level 3 of MQTT", packet("10", "0004 'MQTT' 03"), 1],
  ["protocol-level", "MQTT-3.1.2-2", "level 4 of MQIsdp", packet("10", "0006 'MQIsdp' 04"), 1],
  ["protocol-level", "MQTT-3.1.2-2", "a bridge's bit", packet("10", "0004 'MQTT' 84 02"), 1],
  ["protocol-name", "MQTT-3.1.2-1", "another name", packet("10", "0004 'MQTX' 04 02")],
  ["protocol-name", "MQTT-3.1.2-1", "a name in lower case", packet("10", "0004 'mqtt' 04")],
  ["protocol-name", "MQTT-3.1.2-1", "an empty name", packet("10", "0000 04")],
  ["length", "MQTT-3.1.4-1", "nothing in it", packet("10")],
  ["length", "MQTT-3.1.4-1", "a name longer than itself", packet("10", "0014 'MQTT' 04")],
  ["length", "MQTT-3.1.4-1", "no level", packet("10", "0004 'MQTT'")],
  ["length", "MQTT-3.1.4-1", "no flags", packet("10", "0004 'MQTT' 04")],
  ["length", "MQTT-3.1.4-1", "half a keepalive", packet("10", "0004 'MQTT' 04 02 00")],
  ["length", "MQTT-3.1.4-1", "no client id", packet("10", "0004 'MQTT' 04 02 003c")],
  ["length", "MQTT-3.1.4-1", "half a client id", connect("02", "0003 'c1'")],
  ["length", "MQTT-3.1.4-1", "a byte too many", connect("02", "0002 'c1' 00")],
  [
    "length",
    "MQTT-3.1.4-1",
    "will bytes without the flag",
    connect("02", "0002 'c1' 0001 'w' 0000"),
  ],
  ["length", "MQTT-3.1.4-1", "a user name without the flag", connect("02", "0002 'c1' 0002 'jo'")],
  [
    "length",
    "MQTT-3.1.4-1",
    "a password without the flag",
    connect("82", "0000 0002 'jo' 0001 'p'"),
  ],
  ["length", "MQTT-3.1.4-1", "the will flag without a will", connect("06", "0002 'c1'")],
  ["length", "MQTT-3.1.4-1", "a will without a payload", connect("06", "0002 'c1' 0001 'w'")],
  ["length", "MQTT-3.1.4-1", "the flag without a user name", connect("82", "0002 'c1'")],
  ["length", "MQTT-3.1.4-1", "the flag without a password", connect("c2", "0002 'c1' 0002 'jo'")],
  ["connect-flags", "MQTT-3.1.2-3", "the reserved flag", connect("03", "0002 'c1'")],
  ["connect-flags", "MQTT-3.1.2-13", "will QoS 1 without a will", connect("0a", "0002 'c1'")],
  ["connect-flags", "MQTT-3.1.2-13", "will QoS 3 without a will", connect("1a", "0002 'c1'")],
  ["connect-flags", "MQTT-3.1.2-14", "will QoS 3", connect("1e", "0002 'c1' 0001 'w' 0000")],
  ["connect-flags", "MQTT-3.1.2-15", "will retain without a will", connect("22", "0002 'c1'")],
  ["connect-flags", "MQTT-3.1.2-22", "a password and no user name", connect("42", "0000 0001 'p'")],
  ["client-id", "MQTT-3.1.3-8", "no client id, persistent", connect("00", "0000"), 2],
  [
    "client-id",
    "MQTT-3.1.3-8",
    "no client id in 3.1",
    packet("10", "0006 'MQIsdp' 03 02 0000 0000"),
    2,
  ],
  ["client-id", "MQTT-3.1.3-9", "a client id of 257 bytes", longClientId(257), 2],
  ["text", "MQTT-1.5.3-2", "NUL in the client id", connect("02", NUL)],
  ["text", "MQTT-1.5.3-1", "a surrogate in the client id", connect("02", SURROGATE)],
  ["text", "MQTT-1.5.3-1", "an overlong form in the client id", connect("02", OVERLONG)],
  ["text", "MQTT-1.5.3-1", "half a character in the client id", connect("02", CUT_OFF)],
  ["text", "MQTT-1.5.3-1", "a code point above 10FFFF", connect("02", TOO_HIGH)],
  ["text", "MQTT-1.5.3-2", "NUL in the user name", connect("82", `0002 'c1' ${NUL}`)],
  ["text", "MQTT-1.5.3-1", "a surrogate in the user name", connect("82", `0002 'c1' ${SURROGATE}`)],
  ["text", "MQTT-1.5.3-2", "NUL in the will topic", connect("06", `0002 'c1' ${NUL} 0000`)],
  ["text", "MQTT-1.5.3-1", "a surrogate in it", connect("06", `0002 'c1' ${SURROGATE} 0000`)],
  ["text", "MQTT-1.5.3", "a control character in the client id", connect("02", CONTROL)],
  ["text", "MQTT-1.5.3", "DEL in the user name", connect("82", `0002 'c1' ${DELETE}`)],
  ["text", "MQTT-1.5.3", "U+FFFF in it", connect("06", `0002 'c1' ${NO_CHARACTER} 0000`)],
  ["topic-name", "MQTT-4.7.3-1", "an empty will topic", connect("06", "0002 'c1' 0000 0000")],
  ["topic-name", "MQTT-3.3.2-2", "# in the will topic", connect("06", "0002 'c1' 0001 '#' 0000")],
  ["topic-name", "MQTT-3.3.2-2", "+ in the will topic", connect("06", "0002 'c1' 0001 '+' 0000")],
];

const AFTER_CONNECT: readonly Illegal[] = [
  ["connect-repeated", "MQTT-3.1.0-2", "a second CONNECT", CONNECT],
  ["packet-type", "MQTT-4.8.0-1", "type 0", packet("00")],
  ["packet-type", "MQTT-4.8.0-1", "CONNACK", packet("20", "0000")],
  ["packet-type", "MQTT-4.8.0-1", "SUBACK", packet("90", "0001 00")],
  ["packet-type", "MQTT-4.8.0-1", "UNSUBACK", packet("b0", "0001")],
  ["packet-type", "MQTT-4.8.0-1", "PINGRESP", packet("d0")],
  ["packet-type", "MQTT-4.8.0-1", "type 15", packet("f0")],
  ["header-flags", "MQTT-2.2.2-2", "PUBACK with flags", packet("41", "0001")],
  ["header-flags", "MQTT-2.2.2-2", "PUBREC with flags", packet("52", "0001")],
  ["header-flags", "MQTT-2.2.2-2", "PUBREL without flags", packet("60", "0001")],
  ["header-flags", "MQTT-2.2.2-2", "PUBREL with DUP", packet("6a", "0001")],
  ["header-flags", "MQTT-2.2.2-2", "PUBCOMP with flags", packet("78", "0001")],
  ["header-flags", "MQTT-2.2.2-2", "SUBSCRIBE without flags", packet("80", "0001 0001 'a' 00")],
  ["header-flags", "MQTT-2.2.2-2", "SUBSCRIBE with DUP", packet("8a", "0001 0001 'a' 00")],
  ["header-flags", "MQTT-2.2.2-2", "UNSUBSCRIBE without flags", packet("a0", "0001 0001 'a'")],
  ["header-flags", "MQTT-2.2.2-2", "PINGREQ with flags", packet("c1")],
  ["header-flags", "MQTT-2.2.2-2", "DISCONNECT with flags", packet("e8")],
  ["header-flags", "MQTT-3.3.1-2", "DUP at QoS 0", packet("38", "0001 'a'")],
  ["qos", "MQTT-3.3.1-4", "PUBLISH of QoS 3", packet("36", "0001 'a' 0001")],
  ["length", "MQTT-4.8.0-1", "a remaining length of five bytes", raw("30 80 80 80 80 00")],
  ["length", "MQTT-4.8.0-1", "PUBACK without a packet id", packet("40")],
  ["length", "MQTT-4.8.0-1", "PUBACK of three bytes", packet("40", "0001 00")],
  ["length", "MQTT-4.8.0-1", "PUBREC of one byte", packet("50", "01")],
  ["length", "MQTT-4.8.0-1", "PUBREL of three bytes", packet("62", "0001 00")],
  ["length", "MQTT-4.8.0-1", "PUBCOMP of 4 MiB", raw("70 80 80 80 02")],
  ["length", "MQTT-4.8.0-1", "PINGREQ with a byte", packet("c0", "00")],
  ["length", "MQTT-4.8.0-1", "DISCONNECT with a byte", packet("e0", "00")],
  ["length", "MQTT-3.3.2-1", "PUBLISH with nothing in it", packet("30")],
  ["length", "MQTT-3.3.2-1", "PUBLISH with half a topic length", packet("30", "00")],
  ["length", "MQTT-4.8.0-1", "a topic longer than its packet", packet("30", "0005 'a/b'")],
  ["length", "MQTT-4.8.0-1", "no packet id at QoS 1", packet("32", "0003 'a/b'")],
  ["length", "MQTT-4.8.0-1", "half a packet id at QoS 2", packet("34", "0003 'a/b' 00")],
  ["topic-name", "MQTT-4.7.3-1", "an empty topic", packet("30", "0000 'x'")],
  ["topic-name", "MQTT-3.3.2-2", "# in a topic", packet("30", "0003 'a/#'")],
  ["topic-name", "MQTT-3.3.2-2", "+ in a topic", packet("30", "0005 '+/é/'")],
  ["text", "MQTT-1.5.3-2", "NUL in a topic", packet("30", NUL)],
  ["text", "MQTT-1.5.3-1", "a surrogate in a topic", packet("30", SURROGATE)],
  ["text", "MQTT-1.5.3-1", "an overlong slash in a topic", packet("30", OVERLONG)],
  ["text", "MQTT-1.5.3-1", "half a character in a topic", packet("30", CUT_OFF)],
  ["text", "MQTT-1.5.3-1", "a code point above 10FFFF in a topic", packet("30", TOO_HIGH)],
  ["text", "MQTT-1.5.3", "a control character in a topic", packet("30", CONTROL)],
  ["text", "MQTT-1.5.3", "DEL in a topic", packet("30", DELETE)],
  ["text", "MQTT-1.5.3", "U+009F in a topic", packet("30", C1_CONTROL)],
  ["text", "MQTT-1.5.3", "U+FFFF in a topic", packet("30", NO_CHARACTER)],
  ["text", "MQTT-1.5.3", "U+FDD0 in a topic", packet("30", "0003 efb790")],
  ["text", "MQTT-1.5.3", "U+10FFFE in a topic", packet("30", "0004 f48fbfbe")],
  ["text", "MQTT-1.5.3", "a control character in a filter", packet("82", `0001 ${CONTROL} 00`)],
  ["packet-id", "MQTT-2.3.1-1", "packet id 0 at QoS 1", packet("32", "0001 'a' 0000")],
  ["packet-id", "MQTT-2.3.1-1", "packet id 0 at QoS 2", packet("34", "0001 'a' 0000")],
  ["packet-id", "MQTT-2.3.1-1", "PUBACK of 0", packet("40", "0000")],
  ["packet-id", "MQTT-2.3.1-1", "PUBREC of 0", packet("50", "0000")],
  ["packet-id", "MQTT-2.3.1-1", "PUBREL of 0", packet("62", "0000")],
  ["packet-id", "MQTT-2.3.1-1", "PUBCOMP of 0", packet("70", "0000")],
  ["packet-id", "MQTT-2.3.1-1", "SUBSCRIBE with 0", packet("82", "0000 0001 'a' 00")],
  ["packet-id", "MQTT-2.3.1-1", "UNSUBSCRIBE with 0", packet("a2", "0000 0001 'a'")],
  ["filter-missing", "MQTT-3.8.3-3", "SUBSCRIBE without a filter", packet("82", "0001")],
  ["filter-missing", "MQTT-3.10.3-2", "UNSUBSCRIBE without a filter", packet("a2", "0001")],
  ["length", "MQTT-4.8.0-1", "SUBSCRIBE without a packet id", packet("82", "00")],
  ["length", "MQTT-4.8.0-1", "UNSUBSCRIBE without a packet id", packet("a2")],
  ["length", "MQTT-4.8.0-1", "a filter without a QoS", packet("82", "0001 0001 'a'")],
  ["length", "MQTT-4.8.0-1", "a filter cut short", packet("82", "0001 0005 'a' 00")],
  ["length", "MQTT-4.8.0-1", "half a second filter", packet("a2", "0001 0001 'a' 00")],
  ["qos", "MQTT-3-8.3-4", "requested QoS 3", packet("82", "0001 0001 'a' 03")],
  ["qos", "MQTT-3-8.3-4", "a reserved bit", packet("82", "0001 0001 'a' 01 0001 'b' 80")],
  ["qos", "MQTT-3-8.3-4", "an option of MQTT 5", packet("82", "0001 0001 'a' 04")],
  ["topic-filter", "MQTT-4.7.3-1", "an empty filter", packet("82", "0001 0000 00")],
  ["topic-filter", "MQTT-4.7.3-1", "an empty filter to leave", packet("a2", "0001 0000")],
  ["topic-filter", "MQTT-4.7.1-2", "# not last", packet("82", "0001 0005 'a/#/b' 00")],
  ["topic-filter", "MQTT-4.7.1-2", "# not alone", packet("82", "0001 0002 'a#' 00")],
  ["topic-filter", "MQTT-4.7.1-2", "# before more", packet("a2", "0001 0002 '#a'")],
  ["topic-filter", "MQTT-4.7.1-3", "+ not alone", packet("82", "0001 0005 'ab/+e' 00")],
  ["topic-filter", "MQTT-4.7.1-3", "+ after more", packet("82", "0001 0004 'a+/#' 00")],
  ["topic-filter", "MQTT-4.7.1-3", "two + in a level", packet("a2", "0001 0002 '++'")],
  ["text", "MQTT-1.5.3-2", "NUL in a filter", packet("82", `0001 ${NUL} 00`)],
  ["text", "MQTT-1.5.3-1", "a surrogate in a filter", packet("82", `0001 ${SURROGATE} 00`)],
  ["text", "MQTT-1.5.3-1", "a surrogate in a filter to leave", packet("a2", `0001 ${SURROGATE}`)],
  ["too-large", "MQTT-4.8.0-1", "SUBSCRIBE", raw("82 fe 07")],
  ["too-large", "MQTT-4.8.0-1", "UNSUBSCRIBE", raw("a2 fe 07")],
  ["too-large", "MQTT-4.8.0-1", "a topic alone", raw("32 ff 7f 03fa")],
  ["length", "MQTT-4.8.0-1", "a topic longer than a large packet", raw("30 fe 07 03ff")],
  ["topic-name", "MQTT-3.3.2-2", "# in a large packet", raw("30 ff 7f 0001 '#'")],
  ["packet-id", "MQTT-2.3.1-1", "packet id 0 in a large one", raw("32 ff 7f 0001 'a' 0000")],
];

const AFTER_CONNECT_31: readonly Illegal[] = [
  ["header-flags", "MQTT-2.2.2-2", "PUBREL of QoS 2", packet("64", "0001")],
  ["header-flags", "MQTT-2.2.2-2", "PUBACK with DUP", packet("48", "0001")],
];

const nothing = Buffer.alloc(0);
const FAMILIES: readonly (readonly [string, Buffer, readonly Illegal[]])[] = [
  ["before CONNECT", nothing, BEFORE_CONNECT],
  ["in CONNECT", nothing, CONNECTS],
  ["after CONNECT", CONNECT, AFTER_CONNECT],
  ["after CONNECT of 3.1", CONNECT_31, AFTER_CONNECT_31],
];

for (const [where, before, illegals] of FAMILIES) {
  for (const [reason, clause, what, bytes, connackCode] of illegals) {
    await test(`is a fault and the last frame: ${what}, ${where} [${clause}]`, (t) => {
      const expected = { kind: "fault", reason, clause, connackCode };
      const next = before === nothing ? CONNECT : packet("c0");
      for (const size of [1, 2, 3, 7, 10_000]) {
        const frames = framesOf(inChunksOf(Buffer.concat([before, bytes, next]), size));
        t.strictSame(frames.slice(before === nothing ? 0 : 1), [expected]);
      }
      t.end();
    });
  }
}

await test("a packet too large is refused as soon as its length is known", (t) => {
  const reader = new FrameReader({ packetBytesMax: 256 });
  reader.push(raw("10 ff"));
  t.equal(reader.next(), undefined);
  reader.push(raw("02"));
  t.match(reader.next(), { kind: "fault", reason: "too-large" });
  t.equal(reader.bufferedBytes, 0);
  t.end();
});

await test("a first byte that is no CONNECT is refused at once", (t) => {
  const reader = new FrameReader({ packetBytesMax: 256 });
  reader.push(raw("47"));
  t.match(reader.next(), { kind: "fault", reason: "connect-missing" });
  t.end();
});

function connect(flags: string, payload: string): Buffer {
  return packet("10", `0004 'MQTT' 04 ${flags} 003c ${payload}`);
}

function longClientId(length: number): Buffer {
  const size = length.toString(16).padStart(4, "0");
  return packet("10", `0004 'MQTT' 04 02 003c ${size}`, Buffer.alloc(length, "a"));
}
