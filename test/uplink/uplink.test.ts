import type { IConnectPacket, IPublishPacket, Packet } from "mqtt-packet";
import { test, type Test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { rowOfApi } from "../../src/interactions/kept-uplinks.ts";
import { updateProperty } from "../../src/interactions/property-update.ts";
import type { UplinkLine } from "../../src/interactions/uplinks.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import { UplinkEdge } from "../../src/uplink/uplinks.ts";
import { ACCOUNT, ADMIN, makeBoiler, startHarness, type Harness } from "../interactions/harness.ts";
import { within } from "../wire/within.ts";
import { startFakeBroker, type FakeBroker, type Peer } from "./fake-broker.ts";
import { settingsOf } from "./shape-samples.ts";

// The loop that keeps a line, against a broker that does what the test says, in the test's own time.

const NAME = "up";

class Loop {
  readonly harness: Harness;
  readonly broker: FakeBroker;
  readonly edge: UplinkEdge;
  readonly logged: string[] = [];
  /** PUBLISH packets that came, in order. */
  readonly came: IPublishPacket[] = [];

  private constructor(harness: Harness, broker: FakeBroker) {
    this.harness = harness;
    this.broker = broker;
    const note = (event: string): void => void this.logged.push(event);
    const log = { error: note, warn: note, info: note, debug: () => undefined };
    const interactions = { ...harness.deps, log };
    const onFatal = (error: unknown): void => void this.logged.push(String(error));
    const fileUplinks = new Map<string, never>();
    this.edge = new UplinkEdge({ interactions, fileUplinks, version: "0", onFatal });
  }

  static async start(t: Test, given: JsonObject = {}): Promise<Loop> {
    const harness = await startHarness(t);
    makeBoiler(harness);
    const loop = new Loop(harness, await startFakeBroker(t, 5));
    loop.put(given);
    loop.edge.start();
    t.teardown(async () => loop.stop());
    return loop;
  }

  put(given: JsonObject): void {
    const settings = settingsOf({ url: this.broker.url, ...given });
    this.harness.store.outboxes.put(NAME, rowOfApi(settings));
    this.edge.calls.uplinkChanged(NAME);
  }

  write(...values: readonly number[]): void {
    for (const target of values) {
      const at = { principal: ADMIN, account: ACCOUNT, thing: "boiler" };
      updateProperty(this.harness.deps, {
        ...{ ...at, name: "target", others: "refuse" },
        body: { target },
      });
    }
  }

  get line(): UplinkLine {
    const line = this.edge.calls.uplinkLine(NAME);
    if (line === undefined) throw new Error("there is no line");
    return line;
  }

  /** Lets time go on, a little at a time, until something is so. */
  async until(what: string, isSo: () => boolean, stepMs = 50): Promise<void> {
    const waiting = (async (): Promise<void> => {
      while (!isSo()) await this.tick(stepMs);
    })();
    await within(what, waiting);
  }

  /** What is on the wire gets its turn. */
  async tick(ms = 0): Promise<void> {
    this.harness.clock.advance(ms);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }

  /** The next connection, which may take a back-off. */
  async peer(): Promise<Peer> {
    let peer: Peer | undefined;
    void this.broker.peer().then((one) => (peer = one));
    await this.until("a connection", () => peer !== undefined);
    return peer!;
  }

  /** Takes the next connection as a broker should, and answers what comes as `answer` says. */
  async serve(
    answer: (packet: IPublishPacket, peer: Peer) => void = acknowledge,
    properties: object = {},
  ): Promise<{ readonly peer: Peer; readonly connect: IConnectPacket; readonly asked: Packet[] }> {
    const peer = await this.peer();
    const connect = await peer.connack(properties);
    const asked: Packet[] = [];
    peer.onPacket((packet) => {
      if (packet.cmd === "publish") {
        this.came.push(packet);
        answer(packet, peer);
        return;
      }
      asked.push(packet);
      const { messageId = 0 } = packet;
      if (packet.cmd === "subscribe") {
        const granted = packet.subscriptions.map(({ topic }) =>
          topic.includes("refused") ? 0x87 : 1,
        );
        peer.send({ cmd: "suback", messageId, granted });
      } else if (packet.cmd === "unsubscribe") {
        peer.send({ cmd: "unsuback", messageId, granted: packet.unsubscriptions.map(() => 0) });
      } else if (packet.cmd === "pingreq") peer.send({ cmd: "pingresp" });
    });
    return { peer, connect, asked };
  }

  get owed(): number {
    return this.harness.store.outboxes.get(NAME)?.state.depth.rows ?? 0;
  }

  get values(): readonly number[] {
    return this.came
      .filter(({ topic }) => topic.endsWith("/target"))
      .map(({ payload }) => (JSON.parse(payload.toString()) as { target: number }).target);
  }

  /** Time goes on while it stops; quicker than it does for others, who then have no time to answer. */
  async stop(stepMs = 100): Promise<void> {
    let isStopped = false;
    void this.edge.stop().then(() => (isStopped = true));
    await this.until("the stop", () => isStopped, stepMs);
  }
}

function acknowledge({ messageId = 0 }: IPublishPacket, peer: Peer): void {
  if (messageId > 0) peer.send({ cmd: "puback", messageId, reasonCode: 0 });
}

/** A step of time that is as long as it takes: who is waited for has all the time there is to answer. */
const AS_IT_IS_MS = 1;

const isTarget = ({ topic }: IPublishPacket): boolean => topic.endsWith("/target");

await test("a refused CONNECT is shown with its reason, and tried again until it is taken", async (t) => {
  const loop = await Loop.start(t);
  for (let nth = 0; nth < 3; nth += 1) {
    const peer = await loop.peer();
    await peer.next("connect");
    peer.send({ cmd: "connack", sessionPresent: false, reasonCode: 0x86 });
    await loop.until("refused", () => loop.line.state === "refused");
    t.equal(loop.line.lastError?.detail, "user name or password is wrong");
  }
  await loop.serve();
  await loop.until("connected", () => loop.line.state === "connected");
  t.same(loop.logged, ["uplink.refused", "uplink.connected"], "logged when it changes");
});

await test("what is owed goes up, and a lost line sends again what was not acknowledged", async (t) => {
  const loop = await Loop.start(t);
  const first = await loop.serve((packet, peer) => {
    if (loop.values.length <= 2 || !isTarget(packet)) acknowledge(packet, peer);
  });
  await loop.until("connected", () => loop.line.state === "connected");
  loop.write(1, 2, 3, 4);
  await loop.until("all sent", () => loop.values.length === 4);
  const ids = loop.came.filter(isTarget).map(({ messageId }) => messageId);
  await loop.tick();
  first.peer.close();
  const peer = await loop.peer();
  await peer.next("connect");
  peer.send({ cmd: "connack", sessionPresent: true, reasonCode: 0 });
  const again: IPublishPacket[] = [];
  peer.onPacket((packet) => {
    if (packet.cmd === "publish" && isTarget(packet)) again.push(packet);
  });
  await loop.until("again", () => again.length === 2);
  t.same(
    again.map(({ messageId, dup, payload }) => [messageId, dup, payload.toString()]),
    [
      [ids[2], true, '{"target":3}'],
      [ids[3], true, '{"target":4}'],
    ],
  );
});

await test("a line that acknowledges nothing is called stalled, and the next one waits longer", async (t) => {
  const loop = await Loop.start(t);
  const { uplinkStallMs } = FIXED_LIMITS;
  const mute = (packet: IPublishPacket, peer: Peer): void => {
    if (!isTarget(packet)) acknowledge(packet, peer);
  };
  const first = await loop.serve();
  await loop.until("connected", () => loop.line.state === "connected");
  await loop.until("nothing owed", () => loop.owed === 0);
  first.peer.close();
  loop.write(1);
  for (const factor of [1, 2]) {
    const served = await loop.serve(mute);
    await loop.until("sent", () => loop.values.length >= factor);
    // What is acknowledged of the rest has come.
    for (let nth = 0; nth < 30; nth += 1) await loop.tick();
    const beganMs = loop.harness.clock.monotonicMs();
    await loop.until("stalled", () => served.peer.hasEnded, 500);
    const tookMs = loop.harness.clock.monotonicMs() - beganMs;
    t.ok(Math.abs(tookMs - factor * uplinkStallMs) < 0.3 * uplinkStallMs, `${tookMs} ms`);
    await loop.until("shown", () => loop.line.state === "stalled");
    t.match(loop.line.lastError?.detail, /no acknowledgement for \d+ s/);
  }
  await loop.serve();
  await loop.until("connected", () => loop.line.state === "connected");
  t.equal(loop.values.at(-1), 1);
});

await test("a message over which lines end again and again is found and named", async (t) => {
  const loop = await Loop.start(t);
  const poison = (packet: IPublishPacket, peer: Peer): void => {
    if (packet.payload.toString() === '{"target":2}') peer.close();
    else if (!isTarget(packet) || packet.payload.toString() === '{"target":1}') {
      acknowledge(packet, peer);
    }
  };
  await loop.serve(poison);
  await loop.until("connected", () => loop.line.state === "connected");
  loop.write(1, 2, 3);
  for (let nth = 0; nth < 2; nth += 1) await loop.serve(poison);
  await loop.until("named", () => loop.line.lastError?.detail.includes("each time") === true);
  t.match(
    loop.line.lastError?.detail,
    /each time message \d+ is sent \(status\/site\/things\/boiler\/properties\/target, about \d+ bytes\)/,
  );
  const before = loop.values.length;
  const last = await loop.serve(poison);
  await loop.until("alone", () => last.peer.hasEnded);
  t.same(loop.values.slice(before), [2], "one at a time");
  await loop.serve();
  await loop.until("all", () => loop.values.at(-1) === 3);
});

await test("what is not wanted any more is unsubscribed, what is wanted is subscribed", async (t) => {
  const loop = await Loop.start(t);
  const first = await loop.serve();
  await loop.until("asked", () => first.asked.length === 1);
  t.match(first.asked, [{ cmd: "subscribe", subscriptions: [{ topic: "set/site/things/#" }] }]);
  loop.put({ prefix: "plant/" });
  const second = await loop.serve();
  await loop.until("asked", () => second.asked.length === 2);
  t.match(second.asked, [
    { cmd: "unsubscribe", unsubscriptions: ["set/site/things/#"] },
    { cmd: "subscribe", subscriptions: [{ topic: "plant/set/site/things/#" }] },
  ]);
  loop.harness.store.accounts.put({ name: "annex", created: 2, revision: 1 });
  await loop.until("a new account", () => second.asked.length === 3, 500);
  t.match(second.asked[2], { subscriptions: [{ topic: "plant/set/annex/things/#" }] });
});

await test("a subscription that is refused is shown, and what is owed goes up all the same", async (t) => {
  const loop = await Loop.start(t, { prefix: "refused/" });
  await loop.serve();
  await loop.until("connected", () => loop.line.state === "connected");
  loop.write(1);
  await loop.until("sent", () => loop.values.length === 1);
  await loop.until("shown", () => loop.line.lastError !== undefined);
  t.match(loop.line, {
    state: "connected",
    lastError: {
      detail: "upstream refused to let us subscribe to refused/set/site/things/#: not authorized",
    },
  });
});

await test("a broker without retained messages is asked without", async (t) => {
  const loop = await Loop.start(t);
  const peer = await loop.peer();
  t.equal((await peer.next("connect")).will?.retain, true);
  peer.send({ cmd: "connack", sessionPresent: false, reasonCode: 0x9a });
  const { connect } = await loop.serve(acknowledge, { retainAvailable: false });
  t.match(connect.will, { retain: false, qos: 1 });
  loop.write(1);
  await loop.until("sent", () => loop.values.length === 1);
  t.same(
    loop.came.filter(({ retain }) => retain),
    [],
  );
});

await test("pause takes leave and stays away, resume comes back, and a stop says goodbye", async (t) => {
  const loop = await Loop.start(t);
  const { outboxes } = loop.harness.store;
  const first = await loop.serve();
  await loop.until("connected", () => loop.line.state === "connected");
  outboxes.pause(NAME, true);
  loop.edge.calls.uplinkChanged(NAME);
  const hasLeft = (): boolean => loop.line.state === "paused" && first.peer.hasEnded;
  await loop.until("paused", hasLeft, AS_IT_IS_MS);
  t.equal(first.asked.at(-1)?.cmd, "disconnect");
  const stateOf = ({ payload }: IPublishPacket): unknown =>
    (JSON.parse(payload.toString()) as JsonObject)["state"];
  const presence = loop.came.filter(({ topic }) => topic.includes("/gateways/"));
  t.same(presence.map(stateOf), ["online", "offline"]);
  loop.write(5);
  await loop.tick(120_000);
  t.equal(loop.broker.waiting, 0, "nobody knocks");
  outboxes.pause(NAME, false);
  loop.edge.calls.uplinkChanged(NAME);
  const second = await loop.serve();
  await loop.until("sent", () => loop.values.at(-1) === 5);
  await loop.stop(AS_IT_IS_MS);
  await loop.until("upstream's end", () => second.peer.hasEnded);
  t.equal(second.asked.at(-1)?.cmd, "disconnect");
  t.equal(stateOf(loop.came.at(-1)!), "offline");
});

await test("the epoch grows with each line, whatever is changed between them", async (t) => {
  const loop = await Loop.start(t);
  const epochs: number[] = [];
  const serve = async (): Promise<Peer> => {
    const { peer, connect } = await loop.serve();
    const { epoch } = JSON.parse(String(connect.will?.payload)) as { epoch: number };
    epochs.push(epoch);
    return peer;
  };
  (await serve()).close();
  await serve();
  loop.put({ window: 7 });
  await serve();
  loop.harness.store.outboxes.delete(NAME);
  loop.put({});
  await serve();
  t.ok(
    epochs.every((epoch, nth) => nth === 0 || epoch > epochs[nth - 1]!),
    epochs.join(", "),
  );
});

await test("a deleted uplink takes leave, and its name may be used anew", async (t) => {
  const loop = await Loop.start(t);
  const first = await loop.serve();
  await loop.until("connected", () => loop.line.state === "connected");
  loop.harness.store.outboxes.delete(NAME);
  loop.edge.calls.uplinkChanged(NAME);
  t.equal(loop.edge.calls.uplinkLine(NAME), undefined);
  loop.put({});
  await loop.until("gone", () => first.peer.hasEnded);
  await loop.serve();
  await loop.until("connected", () => loop.edge.calls.uplinkLine(NAME)?.state === "connected");
});

await test("a test connects beside the line, under another client id and without a session", async (t) => {
  const loop = await Loop.start(t);
  const { connect } = await loop.serve();
  await loop.until("connected", () => loop.line.state === "connected");
  const testing = loop.edge.calls.testUplink(NAME);
  const peer = await loop.peer();
  t.match(await peer.connack({ receiveMaximum: 7 }), {
    clientId: `${connect.clientId}-test`,
    clean: true,
    will: undefined,
  });
  await peer.next("disconnect");
  peer.close();
  t.match(await testing, { isReached: true, detail: /MQTT 5; the broker takes 7 publishes/ });
  const failing = loop.edge.calls.testUplink(NAME);
  const other = await loop.peer();
  await other.next("connect");
  other.send({ cmd: "connack", sessionPresent: false, reasonCode: 0x87 });
  t.match(await failing, { isReached: false, detail: "not authorized" });
  t.equal(loop.line.state, "connected");
});
