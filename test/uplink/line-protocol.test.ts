import { generate, type IPublishPacket } from "mqtt-packet";
import { test, type Test } from "tap";
import { InboundSession } from "../../src/uplink/line-inbound.ts";
import { openLine, type Line } from "../../src/uplink/line.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { startFakeBroker, type FakeBroker, type Peer } from "./fake-broker.ts";
import { connectLine, failureOf, lineSettings, type Site } from "./line-site.ts";

// One line, against a broker that does what no good broker does, or what few do.

type Pair = Site & { readonly peer: Peer; readonly broker: FakeBroker };

async function connected(t: Test, protocol: 4 | 5 = 5, properties: object = {}): Promise<Pair> {
  const broker = await startFakeBroker(t, protocol);
  const connecting = connectLine(t, lineSettings(broker.url, { protocol }));
  const peer = await broker.peer();
  await peer.connack(properties);
  return { ...(await connecting), peer, broker };
}

function publish(messageId: number, more: Partial<IPublishPacket> = {}): IPublishPacket {
  const { qos = 1 } = more;
  const id = qos === 0 ? {} : { messageId };
  return {
    cmd: "publish",
    topic: "a",
    payload: "x",
    dup: false,
    retain: false,
    ...more,
    qos,
    ...id,
  };
}

const message = { topic: "a", payload: Buffer.from("x"), retain: false };

await test("CONNECT asks for our session and says what we take", async (t) => {
  for (const protocol of [4, 5] as const) {
    const broker = await startFakeBroker(t, protocol);
    const will = { topic: "w", payload: Buffer.from("gone"), qos: 1, retain: true } as const;
    const login = { clientId: "me", username: "u", password: "p" };
    void connectLine(t, lineSettings(broker.url, { protocol, will, ...login }));
    const connect = await (await broker.peer()).connack();
    t.match(connect, {
      protocolVersion: protocol,
      clean: false,
      keepalive: 60,
      ...login,
      password: Buffer.from("p"),
      will: { topic: "w", payload: Buffer.from("gone"), qos: 1, retain: true },
    });
    const { uplinkPacketBytesMax, uplinkReceiveMax } = FIXED_LIMITS;
    const properties = {
      sessionExpiryInterval: 3_600,
      receiveMaximum: uplinkReceiveMax,
      maximumPacketSize: uplinkPacketBytesMax,
    };
    t.same(connect.properties, protocol === 4 ? undefined : properties);
  }
});

const REFUSALS: readonly (readonly [protocol: 4 | 5, code: number, words: RegExp])[] = [
  [4, 1, /does not speak this version of MQTT/],
  [4, 2, /does not take the client id/],
  [4, 3, /not available now/],
  [4, 4, /user name or password is wrong/],
  [4, 5, /has no right/],
  [4, 9, /refused the connection \(code 9\)/],
  [5, 0x85, /does not take the client id/],
  [5, 0x86, /user name or password is wrong/],
  [5, 0x87, /not authorized.*user name, password or certificate is wrong/],
  [5, 0x8a, /we are banned/],
  [5, 0x9f, /connections come too often/],
];

await test("a refused CONNECT is told in plain words", async (t) => {
  for (const [protocol, code, words] of REFUSALS) {
    const broker = await startFakeBroker(t, protocol);
    const failing = failureOf(connectLine(t, lineSettings(broker.url, { protocol })));
    const peer = await broker.peer();
    await peer.next("connect");
    const answer = protocol === 4 ? { returnCode: code } : { reasonCode: code };
    peer.send({ cmd: "connack", sessionPresent: false, ...answer });
    const failure = await failing;
    t.match(failure, { kind: "refused", code });
    t.match(failure.message, words);
  }
});

await test("a broker without MQTT 5 is recognised by its answer, or by none", async (t) => {
  const broker = await startFakeBroker(t, 4);
  const refused = failureOf(connectLine(t, lineSettings(broker.url)));
  (await broker.peer()).send(Buffer.from([0x20, 2, 0, 1]));
  t.match(await refused, { kind: "refused", message: /does not speak MQTT 5: set "protocol": 4/ });
  const silent = failureOf(connectLine(t, lineSettings(broker.url)));
  (await broker.peer()).close();
  t.match(await silent, { kind: "closed", message: /without an answer.*set "protocol": 4/ });
});

await test("a broker that can acknowledge nothing is refused by us", async (t) => {
  const broker = await startFakeBroker(t, 5);
  const failing = failureOf(connectLine(t, lineSettings(broker.url)));
  await (await broker.peer()).connack({ maximumQoS: 0 });
  t.match(await failing, { kind: "refused", message: /QoS 0 only/ });
});

await test("a try that takes too long is ended, and one that is not wanted any more", async (t) => {
  const broker = await startFakeBroker(t, 5);
  const clock = new ManualClock();
  const events = { onMessage: () => 0, onTooLarge: () => 0, onClosed: () => 0 };
  const deps = { clock, session: new InboundSession() };
  const late = failureOf(
    openLine(lineSettings(broker.url), events, deps, new AbortController().signal),
  );
  await (await broker.peer()).next("connect");
  clock.advance(FIXED_LIMITS.uplinkConnectMsMax);
  t.match(await late, { kind: "timeout", message: /our CONNECT was not answered within 30 s/ });
  const unwanted = new AbortController();
  const ended = failureOf(openLine(lineSettings(broker.url), events, deps, unwanted.signal));
  const peer = await broker.peer();
  await peer.next("connect");
  unwanted.abort();
  t.equal((await ended).kind, "ended");
  await peer.ended;
});

/** What breaks the standard, beginning behind the CONNACK. */
const BROKEN: readonly (readonly [what: string, protocols: readonly (4 | 5)[], bytes: number[]])[] =
  [
    ["a reserved type", [4, 5], [0x00, 0]],
    ["a packet of a client", [4, 5], [0xc0, 0]],
    ["a second CONNACK", [4, 5], [0x20, 2, 0, 0, 0]],
    ["a DISCONNECT, which is MQTT 5", [4], [0xe0, 0]],
    ["AUTH, which was not asked for", [5], [0xf0, 2, 0x18, 0]],
    ["PUBREC, though nothing went at QoS 2", [4, 5], [0x50, 2, 0, 1]],
    ["wrong flags", [4, 5], [0x41, 2, 0, 1]],
    ["PUBREL with wrong flags", [4, 5], [0x60, 2, 0, 1]],
    ["PUBACK with packet id 0", [4, 5], [0x40, 2, 0, 0]],
    ["PUBACK that is too long", [4], [0x40, 3, 0, 1, 0]],
    ["PINGRESP with a body", [4, 5], [0xd0, 1, 0]],
    ["a length of five bytes", [4, 5], [0x30, 0xff, 0xff, 0xff, 0xff, 1]],
    ["PUBLISH of QoS 3", [4, 5], [0x36, 5, 0, 1, 97, 0, 1]],
    ["PUBLISH of QoS 1 with packet id 0", [4], [0x32, 5, 0, 1, 97, 0, 0]],
    ["PUBLISH of QoS 0 with DUP", [4], [0x38, 3, 0, 1, 97]],
    ["PUBLISH without a topic", [4, 5], [0x30, 3, 0, 0, 0]],
    ["a topic with a wildcard", [4], [0x30, 3, 0, 1, 0x2b]],
    ["a topic with NUL", [4], [0x30, 3, 0, 1, 0]],
    ["a topic that is not UTF-8", [4], [0x30, 4, 0, 2, 0xed, 0xa0]],
    ["a topic that ends behind its packet", [4, 5], [0x30, 3, 0, 9, 97]],
    ["a topic alias", [5], [0x30, 7, 0, 1, 97, 3, 0x23, 0, 1]],
    ["a property twice", [5], [0x30, 14, 0, 1, 97, 10, 2, 0, 0, 0, 1, 2, 0, 0, 0, 1]],
    ["an unknown property", [5], [0x30, 6, 0, 1, 97, 2, 0x7f, 1]],
    ["SUBACK with an unknown code", [4, 5], [0x90, 4, 0, 1, 0, 0x77]],
  ];

await test("what breaks the standard ends the line, and is told", async (t) => {
  for (const [what, protocols, bytes] of BROKEN) {
    for (const protocol of protocols) {
      const { peer, closed } = await connected(t, protocol);
      peer.send(Buffer.from(bytes));
      const failure = await closed();
      t.match(failure, { kind: "protocol" }, `${what}, MQTT ${protocol}`);
      if (protocol === 5) t.equal((await peer.next("disconnect")).reasonCode, 0x82);
      await peer.ended;
    }
  }
});

await test("a DISCONNECT of the broker is told in its words and ours", async (t) => {
  const { peer, closed } = await connected(t);
  const reasonString = "maintenance\u0007 at noon";
  peer.send({ cmd: "disconnect", reasonCode: 0x8b, properties: { reasonString } });
  t.match(await closed(), {
    kind: "closed",
    code: 0x8b,
    message:
      "the broker ended the connection: the broker is shutting down (“maintenance  at noon”)",
  });
  const other = await connected(t);
  other.peer.send({ cmd: "disconnect", reasonCode: 0x8e });
  t.match((await other.closed()).message, /another client has connected with our client id/);
});

await test("messages are acknowledged in the order in which they came", async (t) => {
  const { peer, next } = await connected(t);
  peer.send(publish(5), publish(6, { qos: 2 }), publish(7));
  const [first, second, third] = [await next("5"), await next("6"), await next("7")];
  third.acknowledge();
  second.acknowledge();
  peer.send({ cmd: "pubrel", messageId: 99 });
  t.equal((await peer.next("pubcomp")).messageId, 99, "nothing was acknowledged yet");
  first.acknowledge();
  t.equal((await peer.next("puback")).messageId, 5);
  t.equal((await peer.next("pubrec")).messageId, 6);
  t.equal((await peer.next("puback")).messageId, 7);
});

await test("a message of QoS 2 that is sent twice comes once", async (t) => {
  for (const protocol of [4, 5] as const) {
    const { peer, next, line } = await connected(t, protocol);
    peer.send(publish(9, { qos: 2 }), publish(9, { qos: 2, dup: true }));
    (await next("the message")).acknowledge();
    await peer.next("pubrec");
    await peer.next("pubrec");
    peer.send({ cmd: "pubrel", messageId: 9 });
    await peer.next("pubcomp");
    peer.send(publish(9, { qos: 2, payload: "another" }));
    t.equal((await next("the next one")).payload.toString(), "another");
    await line.close();
  }
});

await test("MQTT 3.1.1: a message larger than we take is acknowledged and told", async (t) => {
  const { peer, next, tooLarge } = await connected(t, 4);
  const payload = Buffer.alloc(FIXED_LIMITS.uplinkPacketBytesMax);
  peer.send(publish(1, { payload, topic: "large" }), publish(2, { payload: "small" }));
  const small = await next("the one behind it");
  t.equal(small.payload.toString(), "small");
  t.equal((await peer.next("puback")).messageId, 1);
  t.same(tooLarge, [["large", payload.length + 13]]);
});

await test("more than we hold is not read until some of it is handled", async (t) => {
  const { peer, next } = await connected(t, 4);
  const { uplinkInboundMessagesMax: most } = FIXED_LIMITS;
  const all = Array.from({ length: most }, (_, nth) => publish(nth + 1));
  peer.send(...all);
  const first = await next("a message");
  for (let nth = 1; nth < most; nth += 1) await next("a message");
  // What is sent now stays in the socket: nobody answers it.
  peer.send({ cmd: "pubrel", messageId: 60_000 });
  first.acknowledge();
  t.equal((await peer.next("puback")).messageId, 1, "the acknowledgement goes first");
  t.equal((await peer.next("pubcomp")).messageId, 60_000);
});

await test("what is sent again has the id it had, and DUP", async (t) => {
  const { peer, line } = await connected(t);
  const sent = [
    line.send(message, { packetId: 7 }, () => 0),
    line.send(message, { packetId: 7 }, () => 0),
    line.send(message, { packetId: 8, dup: true }, () => 0),
  ];
  const came = [await peer.next("publish"), await peer.next("publish"), await peer.next("publish")];
  t.same(
    came.map(({ messageId }) => messageId),
    sent,
  );
  t.same([sent[0], sent[2]], [7, 8]);
  t.not(sent[1], 7, "two at once never share an id [MQTT-2.3.1-2]");
  t.same(
    came.map(({ dup, qos }) => [dup, qos]),
    [
      [false, 1],
      [false, 1],
      [true, 1],
    ],
  );
});

await test("a reason code of 0x80 and more is a refusal of that message", async (t) => {
  const { peer, line } = await connected(t);
  const refused = line.publish(message).catch((error: unknown) => error);
  const { messageId = 0 } = await peer.next("publish");
  const properties = { reasonString: "full" };
  peer.send({ cmd: "puback", messageId, reasonCode: 0x97, properties });
  t.match(await refused, {
    code: 0x97,
    message: "the broker refused: a quota is used up (“full”)",
  });
  const taken = line.publish(message);
  const { messageId: second = 0 } = await peer.next("publish");
  peer.send({ cmd: "puback", messageId: 12_345, reasonCode: 0 });
  peer.send({ cmd: "puback", messageId: second, reasonCode: 0x10 });
  await taken;
});

await test("SUBSCRIBE tells what was granted of each filter", async (t) => {
  const { peer, line } = await connected(t);
  const asking = line.subscribe([
    { filter: "a/#", qos: 1, retainHandling: 1 },
    { filter: "b", qos: 2, noLocal: true },
  ]);
  const { messageId = 0, subscriptions } = await peer.next("subscribe");
  t.match(subscriptions, [
    { topic: "a/#", qos: 1, rh: 1, nl: false },
    { topic: "b", qos: 2, rh: 0, nl: true },
  ]);
  peer.send({ cmd: "suback", messageId, granted: [1, 0x87] });
  t.same(await asking, [1, 0x87]);
});

/** A line whose time a test moves. */
async function timed(
  t: Test,
  properties: object = {},
): Promise<{ line: Line; peer: Peer; clock: ManualClock; closed: Promise<unknown> }> {
  const broker = await startFakeBroker(t, 5);
  const clock = new ManualClock();
  let onClosed: (reason: unknown) => void = () => undefined;
  const closed = new Promise<unknown>((resolve) => (onClosed = resolve));
  const events = {
    onMessage: (_message: unknown, acknowledge: () => void) => acknowledge(),
    onTooLarge: () => 0,
    onClosed,
  };
  const opening = openLine(
    lineSettings(broker.url, { stallMs: 20_000 }),
    events,
    { clock, session: new InboundSession() },
    new AbortController().signal,
  );
  const peer = await broker.peer();
  await peer.connack(properties);
  const line = await opening;
  t.teardown(async () => {
    const closing = line.close();
    clock.advance(FIXED_LIMITS.uplinkLeaveMsMax);
    await closing;
  });
  return { line, peer, clock, closed };
}

await test("an idle line is asked whether it lives, at half of the keep alive", async (t) => {
  const { peer, clock, closed } = await timed(t);
  clock.advance(29_000);
  t.same(peer.unread, []);
  clock.advance(2_000);
  await peer.next("pingreq");
  clock.advance(23_000);
  t.match(await closed, { kind: "stalled", message: /no answer to a ping for \d+ s/ });
});

await test("the broker's keep alive takes the place of ours", async (t) => {
  const { peer, clock } = await timed(t, { serverKeepAlive: 10 });
  clock.advance(8_000);
  await peer.next("pingreq");
});

await test("a broker that answers pings and acknowledges nothing has stalled", async (t) => {
  const { line, peer, clock, closed } = await timed(t, { serverKeepAlive: 10 });
  const lost = failureOf(line.publish(message));
  await peer.next("publish");
  for (let nth = 0; nth < 2; nth += 1) {
    clock.advance(8_000);
    await peer.next("pingreq");
    // It has read the one when it answers the other.
    peer.send({ cmd: "pingresp" }, publish(1));
    await peer.next("puback");
  }
  clock.advance(8_000);
  t.match(await closed, {
    kind: "stalled",
    message: /no acknowledgement for 2\d s, of 1 messages/,
  });
  t.equal((await lost).kind, "stalled");
});

await test("a slow broker that acknowledges now and then is waited for", async (t) => {
  const { line, peer, clock } = await timed(t);
  const all = Array.from({ length: 5 }, async () => line.publish(message));
  for (const one of all) {
    clock.advance(15_000);
    const { messageId = 0 } = await nextPublish(peer);
    peer.send({ cmd: "puback", messageId });
    await one;
  }
  t.equal(line.lastProgressMs, clock.monotonicMs());
});

/** A ping may come between. */
async function nextPublish(peer: Peer): Promise<IPublishPacket> {
  while (peer.unread[0]?.cmd === "pingreq") await peer.next("pingreq");
  return peer.next("publish");
}

await test("a packet in pieces is the packet", async (t) => {
  const { peer, next } = await connected(t, 5);
  const payload = "x".repeat(300);
  const properties = { userProperties: { a: ["1", "2"] }, contentType: "text/plain" };
  const bytes = generate(publish(3, { payload, properties }), { protocolVersion: 5 });
  for (const byte of bytes) peer.send(Buffer.of(byte));
  const came = await next("the message");
  t.equal(came.payload.toString(), payload);
  t.same(came.properties, { userProperties: { a: "1" }, contentType: "text/plain" });
});
