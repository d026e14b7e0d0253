import { t as file, test } from "tap";
import type { Packet } from "mqtt-packet";
import { packet, raw as bytes } from "../mqtt/packets.ts";
import { Client, connackCode } from "./client.ts";
import { connectPacket, publishPacket, RawClient, subscribePacket } from "./raw-client.ts";
import { Site, type Login } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file, {
  SLUICE_LIMITS__SESSIONS: "3",
  SLUICE_LIMITS__CONNECTIONS_PER_ADDRESS: "40",
});
await site.makeThing("boiler", BOILER);
const login = await site.makeDevice("boiler");
const other = await site.makeDevice("boiler");
const SET = "set/A/things/boiler/properties/target";

function connack(returnCode: number, sessionPresent = false): object {
  return { cmd: "connack", returnCode, sessionPresent };
}

await test("a CONNECT without a credential is refused with 5, with a wrong one with 4", async (t) => {
  const code = async (options: object) => connackCode(t, site, login, options);
  t.equal(await code({ username: undefined, password: undefined }), 5);
  t.equal(await code({ password: undefined }), 5);
  t.equal(await code({ password: "" }), 4);
  t.equal(await code({ password: `${login.password}x` }), 4);
  t.equal(await code({ username: "nobody" }), 4);
  t.equal(await code({ username: "" }), 4);
  t.equal(await code({ password: other.password }), 4);
  t.equal(await code({ password: "slu_0123456789abcdefghij" }), 4, "a token is no password");
  t.equal(await code({}), 0);
});

await test("a password a person chose works, with any bytes of UTF-8", async (t) => {
  for (const password of ["tröstlich geheim", "x", "a b:c\"d'e\\f", "🔑".repeat(20)]) {
    const chosen = await site.makeCredential([{ entity: "things", id: ["boiler"] }], { password });
    t.equal(chosen.password, password);
    t.equal(await connackCode(t, site, chosen), 0);
    t.equal(await connackCode(t, site, { ...chosen, password: `${password} ` }), 4);
  }
});

await test("nothing is taken before CONNECT: any other packet closes the connection", async (t) => {
  const early: readonly Packet[] = [
    publishPacket(SET, { target: 1 }, { qos: 1, id: 1 }),
    subscribePacket(1, { "#": 0 }),
    { cmd: "pingreq" },
    { cmd: "disconnect" },
  ];
  for (const first of early) {
    const client = await RawClient.open(t, site);
    client.send(first, connectPacket(login, { clientId: "late" }));
    t.same(await client.untilClosed(), [], first.cmd);
  }
});

await test("a second CONNECT closes the connection", async (t) => {
  const client = await RawClient.connect(t, site, login, { clientId: "twice" });
  client.send(connectPacket(login, { clientId: "twice" }));
  t.same(await client.untilClosed(), []);
});

await test("a client that sends no CONNECT is cut off after ten seconds", async (t) => {
  const silent = await RawClient.open(t, site);
  const half = await RawClient.open(t, site);
  half.send(bytes("10 20 0004 'MQ"));
  const live = await RawClient.connect(t, site, login, { clientId: "live" });
  site.clock.advance(9_900);
  live.send({ cmd: "pingreq" });
  t.match(await live.next(), { cmd: "pingresp" });
  site.clock.advance(200);
  t.same(await silent.untilClosed(), []);
  t.same(await half.untilClosed(), []);
  live.send({ cmd: "pingreq" });
  t.match(await live.next(), { cmd: "pingresp" }, "a client that is connected is not");
});

await test("keep alive is one and a half times what the client asked for", async (t) => {
  const client = await RawClient.open(t, site);
  client.send({ ...connectPacket(login, { clientId: "alive" }), keepalive: 10 } as Packet);
  t.match(await client.next(), connack(0));
  for (let time = 0; time < 3; time += 1) {
    site.clock.advance(14_000);
    client.send({ cmd: "pingreq" });
    t.match(await client.next(), { cmd: "pingresp" });
  }
  site.clock.advance(15_000);
  t.same(await client.untilClosed(), []);
});

await test("a CONNECT above the packet size closes the connection at its fixed header", async (t) => {
  const client = await RawClient.open(t, site);
  client.send(bytes("10 ffff7f"));
  t.same(await client.untilClosed(), []);
});

const PROTOCOLS: readonly (readonly [what: string, variable: string, answer: readonly object[]])[] =
  [
    ["MQTT 5", "0004 'MQTT' 05 02 003c 00 0002 'c1'", [connack(1)]],
    ["an unknown level", "0004 'MQTT' 09 02 003c 0002 'c1'", [connack(1)]],
    ["another protocol's name", "0004 'AMQP' 04 02 003c 0002 'c1'", []],
    ["a reserved flag", "0004 'MQTT' 04 03 003c 0002 'c1'", []],
    ["a password without a user", "0004 'MQTT' 04 42 003c 0002 'c1' 0001 'p'", []],
    ["an empty client id that is not clean", "0004 'MQTT' 04 00 003c 0000", [connack(2)]],
    ["bytes left over", "0004 'MQTT' 04 02 003c 0002 'c1' 00", []],
    ["bad UTF-8 in the client id", "0004 'MQTT' 04 02 003c 0002 c328", []],
    ["NUL in the client id", "0004 'MQTT' 04 02 003c 0001 00", []],
  ];

for (const [what, variable, answer] of PROTOCOLS) {
  const outcome = answer.length === 0 ? "closed without an answer" : "refused with its code";
  await test(`a CONNECT with ${what} is ${outcome}`, async (t) => {
    const client = await RawClient.open(t, site);
    client.send(packet("10", variable));
    t.match(await client.untilClosed(), answer);
  });
}

await test("MQTT 3.1 clients are served", async (t) => {
  const client = await RawClient.open(t, site);
  const user = Buffer.from(login.username);
  const password = Buffer.from(login.password);
  const field = (text: Buffer): Buffer => Buffer.concat([Buffer.of(0, text.length), text]);
  client.send(
    packet(
      "10",
      "0006 'MQIsdp' 03 c2 0000 0004 'old1'",
      Buffer.concat([field(user), field(password)]),
    ),
    publishPacket(SET, { target: 31 }, { qos: 1, id: 1 }),
  );
  t.match(await client.take(2), [connack(0), { cmd: "puback", messageId: 1 }]);
  t.same((await site.did("GET", "/A/things/boiler/properties/target")).json, { target: 31 });
});

await test("a clean client without an id gets one of its own", async (t) => {
  const clients = [1, 2, 3].map(async () => {
    const client = await RawClient.open(t, site);
    client.send(connectPacket(login, { clientId: "" }));
    t.match(await client.next(), connack(0));
    return client;
  });
  for (const client of await Promise.all(clients)) {
    client.send({ cmd: "pingreq" });
    t.match(await client.next(), { cmd: "pingresp" }, "none pushed another out");
  }
});

await test("a client id of 256 bytes is taken, a longer one refused with 2", async (t) => {
  t.equal(await connackCode(t, site, login, { clientId: "i".repeat(256) }), 0);
  t.equal(await connackCode(t, site, login, { clientId: "i".repeat(257) }), 2);
  t.equal(await connackCode(t, site, login, { clientId: "Gerät/+#🔥 1" }), 0);
});

await test("a credential bound to a client id connects with that one only", async (t) => {
  const bound = await site.makeCredential([{ entity: "things", id: ["boiler"] }], {
    client_id: "ESP32Client",
  });
  t.equal(await connackCode(t, site, bound, { clientId: "ESP32Client" }), 0);
  t.equal(await connackCode(t, site, bound, { clientId: "esp32client" }), 2);
  const anonymous = await RawClient.open(t, site);
  anonymous.send(connectPacket(bound, { clientId: "" }));
  t.match(await anonymous.untilClosed(), [connack(2)]);
});

await test("the same credential takes its client id over, and the connection before ends", async (t) => {
  const first = await Client.connect(t, site, login, { clientId: "shared" });
  const second = await Client.connect(t, site, login, { clientId: "shared" });
  await first.untilClosed();
  await second.publish(SET, { target: 32 });
});

await test("another credential's CONNECT with a client id is refused with 2 and the live one stays", async (t) => {
  const holder = await Client.connect(t, site, login, { clientId: "held" });
  for (const clean of [true, false]) {
    t.equal(await connackCode(t, site, other, { clientId: "held", clean }), 2);
  }
  await holder.publish(SET, { target: 33 });
  await holder.end();
  t.equal(await connackCode(t, site, other, { clientId: "held" }), 0, "a clean session has ended");
});

await test("a persistent session keeps its client id for its credential while it lives", async (t) => {
  const holder = await Client.connect(t, site, login, { clientId: "kept", clean: false });
  await holder.end();
  t.equal(await connackCode(t, site, other, { clientId: "kept" }), 2);
  await site.restart();
  t.equal(await connackCode(t, site, other, { clientId: "kept" }), 2);
  const back = await Client.connect(t, site, login, { clientId: "kept", clean: false });
  t.equal(back.sessionPresent, true);
  await back.end();
  t.equal(await connackCode(t, site, login, { clientId: "kept", clean: true }), 0);
  t.equal(await connackCode(t, site, other, { clientId: "kept" }), 0, "a clean CONNECT ended it");
});

await test("beyond limits.sessions a persistent session is refused with 3, a clean one not", async (t) => {
  for (const clientId of ["s1", "s2", "s3"]) {
    await (await Client.connect(t, site, login, { clientId, clean: false })).end();
  }
  t.equal(await connackCode(t, site, login, { clientId: "s4", clean: false }), 3);
  t.equal(await connackCode(t, site, login, { clientId: "s4", clean: true }), 0);
  t.equal(await connackCode(t, site, login, { clientId: "s3", clean: false }), 0);
  for (const clientId of ["s1", "s2", "s3"]) await connackCode(t, site, login, { clientId });
});

const WILLS: readonly (readonly [topic: string, code: number])[] = [
  [SET, 0],
  ["set/A/things/boiler/events/boot", 0],
  ["set/A/things/pump/properties/target", 5],
  ["status/A/things/boiler/properties/target", 5],
  ["set/A/things/boiler", 5],
  ["A/data/boiler", 5],
  ["free/topic", 5],
  ["$SYS/x", 5],
  [`${SET}${"/x".repeat(40)}`, 5],
];

for (const [topic, code] of WILLS) {
  await test(`a will to ${topic.slice(0, 50)} is answered with ${code}`, async (t) => {
    const will = { topic, payload: Buffer.from("{}"), qos: 1, retain: false } as const;
    t.equal(await connackCode(t, site, login, { will }), code);
  });
}

await test("a CONNECT and what follows it in the same segment is answered in its order", async (t) => {
  const client = await RawClient.open(t, site);
  client.send(
    connectPacket(login, { clientId: "eager" }),
    subscribePacket(1, { "status/A/things/boiler/properties/target": 0 }),
    publishPacket(SET, { target: 34 }, { qos: 1, id: 2 }),
    { cmd: "pingreq" },
  );
  const seen = await client.take(6);
  t.match(seen[0], connack(0));
  const kinds = seen.map(({ cmd }) => cmd);
  t.ok(kinds.indexOf("suback") < kinds.indexOf("puback"));
  t.equal(kinds.filter((kind) => kind === "publish").length, 2, "the current value, and the new");
});

await test("too many failed log-ins of an address are refused with 3 until a while later", async (t) => {
  const guarded = await Site.start(t, {
    SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "3",
  });
  await guarded.makeThing("boiler", BOILER);
  const good = await guarded.makeDevice("boiler");
  const bad = { ...good, password: "guess" };
  const codes: (number | undefined)[] = [];
  for (let guess = 0; guess < 5; guess += 1) codes.push(await connackCode(t, guarded, bad));
  t.same(codes, [4, 4, 4, 3, 3]);
  guarded.clock.advance(20_000);
  t.equal(await connackCode(t, guarded, good), 0);
});

await test("many log-ins at once, each with a password of its own, wait for each other and none is refused", async (t) => {
  const guarded = await Site.start(t, {
    SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "2",
  });
  await guarded.makeThing("boiler", BOILER);
  const logins: Login[] = [];
  for (let index = 0; index < 10; index += 1) {
    const chosen = { user: `device-${index}`, password: `a password ${index}` };
    logins.push(await guarded.makeCredential([{ entity: "things", id: ["boiler"] }], chosen));
  }
  await guarded.restart(); // What was checked before is forgotten.
  const codes = await Promise.all(
    logins.map(async (login, index) =>
      connackCode(t, guarded, login, { clientId: `storm-${index}` }),
    ),
  );
  t.same(
    codes,
    logins.map(() => 0),
  );
});

await test("too many connections of an address are closed, and after a while taken again", async (t) => {
  const guarded = await Site.start(t, {
    SLUICE_LIMITS__CONNECTIONS_PER_ADDRESS: "2",
    SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "60",
  });
  await guarded.makeThing("boiler", BOILER);
  const good = await guarded.makeDevice("boiler");
  const first = await Client.connect(t, guarded, good);
  await Client.connect(t, guarded, good);
  t.equal(await connackCode(t, guarded, good), undefined, "closed without a word");
  await first.end();
  t.equal(await connackCode(t, guarded, good), 0);
});

await test("more connections a minute of an address than allowed are closed, until a while later", async (t) => {
  const guarded = await Site.start(t, { SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "3" });
  await guarded.makeThing("boiler", BOILER);
  const good = await guarded.makeDevice("boiler");
  const codes: (number | undefined)[] = [];
  for (let connects = 0; connects < 4; connects += 1) {
    codes.push(await connackCode(t, guarded, good));
  }
  t.same(codes, [0, 0, 0, undefined], "closed without a word");
  guarded.clock.advance(20_000);
  t.equal(await connackCode(t, guarded, good), 0, "regained evenly over the minute");
  t.equal(await connackCode(t, guarded, good), undefined);
});
