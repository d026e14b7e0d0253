import { test } from "tap";
import type { Qos } from "../../src/mqtt/frame-kinds.ts";
import { readMqttRows } from "../../src/mqtt/session-rows.ts";
import type { Session } from "../../src/mqtt/sessions.ts";
import {
  flushed,
  makeCredential,
  openEdge,
  publishAs,
  reopenEdge,
  subscriberOf,
  topicsGrant,
  type Edge,
} from "./edge.ts";
import { Outbox } from "./outbox.ts";

const CREDENTIAL = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

function open(edge: Edge, clientId: string, clean = false): Session {
  return edge.sessions.open(clientId, CREDENTIAL, clean);
}

function subscribe(edge: Edge, session: Session, filters: Readonly<Record<string, Qos>>): void {
  const granted = Object.entries(filters).map(([filter, qos]) => {
    return { filter, matching: filter, qos };
  });
  edge.sessions.subscribe(session, granted);
}

/** Who gets what is published to the topic, and at which QoS. */
function matched(edge: Edge, topic: string): Readonly<Record<string, Qos>> {
  return Object.fromEntries(
    edge.sessions.match(topic).map(({ session, qos }) => [session.clientId, qos]),
  );
}

async function rows(edge: Edge): Promise<readonly string[]> {
  const stored = await edge.opened.rows("!mqtt!");
  return [...stored.keys()].map((key) => key.slice("!mqtt!".length, "!mqtt!x".length)).sort();
}

await test("a session gets a topic once, at the highest QoS of the filters that match", async (t) => {
  const edge = await openEdge(t);
  subscribe(edge, open(edge, "one"), { "a/#": 0, "a/+": 2, "a/b": 1, "b/#": 1 });
  subscribe(edge, open(edge, "two"), { "a/b": 0 });
  t.same(matched(edge, "a/b"), { one: 2, two: 0 });
  t.same(matched(edge, "a/b/c"), { one: 0 });
  t.same(matched(edge, "c"), {});
});

await test("subscribing again changes the QoS, and unsubscribing leaves the other filters", async (t) => {
  const edge = await openEdge(t);
  const session = open(edge, "one");
  subscribe(edge, session, { "a/#": 1, "a/b": 0 });
  subscribe(edge, session, { "a/b": 2 });
  t.same(matched(edge, "a/b"), { one: 2 });
  edge.sessions.unsubscribe(session, ["a/b", "never/had"]);
  t.same(matched(edge, "a/b"), { one: 1 }, "a/# still holds");
  edge.sessions.unsubscribe(session, ["a/#"]);
  t.same(matched(edge, "a/b"), {});
  t.equal(edge.sessions.counts.subscriptions, 0);
});

await test("a filter of free topics gets nothing of the reserved trees, and the other way round", async (t) => {
  const edge = await openEdge(t);
  subscribe(edge, open(edge, "wide"), { "#": 1, "+/+/#": 1 });
  subscribe(edge, open(edge, "status"), { "status/A/things/+/#": 1, "A/data/+": 1 });
  t.same(matched(edge, "status/A/things/boiler/errors"), { status: 1 });
  t.same(matched(edge, "A/data/boiler"), { status: 1 });
  t.same(matched(edge, "any/where"), { wide: 1 });
});

await test("sessions and subscriptions are there after a restart, clean ones are not", async (t) => {
  const edge = await openEdge(t);
  subscribe(edge, open(edge, "kept"), { "a/#": 1, "ü/+": 2 });
  open(edge, "empty");
  subscribe(edge, open(edge, "clean", true), { "a/#": 1 });
  edge.sessions.rememberIncoming(edge.sessions.get("kept")!, 7);
  await flushed(edge);
  const again = await reopenEdge(edge);
  t.same(matched(again, "a/b"), { kept: 1 });
  t.same(matched(again, "ü/b"), { kept: 2 });
  t.match(again.sessions.counts, { all: 2, persistent: 2, subscriptions: 2 });
  t.equal(again.sessions.get("clean"), undefined);
  t.same([...again.sessions.get("kept")!.incoming], [7]);
});

await test("a session is resumed from its second CONNECT on, and never one that was clean", async (t) => {
  const edge = await openEdge(t);
  t.equal(open(edge, "c").isResumed, false);
  edge.sessions.leave(edge.sessions.get("c")!);
  t.equal(open(edge, "c").isResumed, true);
  t.equal(open(edge, "c", true).isResumed, false);
  t.equal(open(edge, "c").isResumed, false, "a clean session is not resumed");
  await flushed(edge);
  const again = await reopenEdge(edge);
  t.equal(open(again, "c").isResumed, true);
});

await test("a session that ends leaves no row and no subscription", async (t) => {
  const edge = await openEdge(t);
  const session = open(edge, "c");
  subscribe(edge, session, { "a/#": 1 });
  edge.sessions.rememberIncoming(session, 1);
  const payload = Buffer.from("x");
  const message = { topic: "a/b", payload, qos: 1 as const, retain: false, isState: false };
  session.queue.offer({ ...message, request: undefined }, 1);
  t.same(await rows(edge), ["i", "m", "q", "s"]);
  edge.sessions.discard(session);
  t.same(await rows(edge), ["m"]);
  t.same(matched(edge, "a/b"), {});
  t.match(edge.sessions.counts, { all: 0, persistent: 0, subscriptions: 0 });
  edge.sessions.discard(session);
  t.equal(edge.sessions.counts.persistent, 0, "ending it again changes nothing");
});

await test("a session number is never used again, so that no row can come to another", async (t) => {
  const edge = await openEdge(t);
  const first = open(edge, "a").number;
  edge.sessions.discard(edge.sessions.get("a")!);
  await flushed(edge);
  const again = await reopenEdge(edge);
  t.not(open(again, "b").number, first);
});

await test("leaving twice, or after a takeover, does not touch the session that is there now", async (t) => {
  const edge = await openEdge(t);
  const before = open(edge, "c", true);
  const after = open(edge, "c", true);
  subscribe(edge, after, { a: 1 });
  edge.sessions.leave(before);
  t.equal(edge.sessions.get("c"), after);
  t.same(matched(edge, "a"), { c: 1 });
});

await test("a session expires so long after it was left, never while it is connected", async (t) => {
  const edge = await openEdge(t, { session_expiry_s: 100 });
  open(edge, "here");
  edge.sessions.leave(open(edge, "gone"));
  edge.opened.clock.advance(99_000);
  edge.sessions.expire();
  t.ok(edge.sessions.get("gone"));
  edge.opened.clock.advance(1_000);
  edge.sessions.expire();
  t.equal(edge.sessions.get("gone"), undefined);
  t.ok(edge.sessions.get("here"));
});

await test("time with the power off does not expire a session, nor does a step of the clock", async (t) => {
  const edge = await openEdge(t, { session_expiry_s: 100 });
  edge.sessions.leave(open(edge, "gone"));
  edge.opened.clock.wall += 365 * 86_400_000;
  edge.sessions.expire();
  t.ok(edge.sessions.get("gone"));
  await flushed(edge);
  edge.opened.clock.reboot({ wall: edge.opened.clock.wall + 86_400_000, synced: true });
  const again = await reopenEdge(edge);
  again.sessions.expire();
  t.ok(again.sessions.get("gone"));
});

await test("one that was connected when the gateway ended expires by running time, over restarts", async (t) => {
  let edge = await openEdge(t, { session_expiry_s: 3_000 });
  open(edge, "c");
  await flushed(edge);
  // Nobody writes anything, and each life ends without a stop.
  for (const isThere of [true, true, true, true, true, false]) {
    edge = await reopenEdge(edge);
    edge.sessions.startExpiry();
    edge.sessions.expire();
    t.equal(edge.sessions.get("c") !== undefined, isThere);
    edge.opened.clock.advance(700_000);
    await edge.deps.store.retention.sweep();
    await flushed(edge);
  }
});

await test("what a cut-off client may have been sent goes with DUP, also after a second end", async (t) => {
  let edge = await openEdge(t);
  const credential = makeCredential(edge, "free", [topicsGrant("a/#", "a/#")]);
  const { session } = subscriberOf(edge, credential, { "a/#": 1 });
  publishAs(edge, credential, "a/b", "x");
  await flushed(edge);
  for (let ends = 0; ends < 2; ends += 1) {
    edge = await reopenEdge(edge);
    edge.sessions.startExpiry();
    await flushed(edge);
  }
  const again = edge.sessions.open(session.clientId, credential.ulid, false);
  const outbox = new Outbox();
  again.queue.attach(outbox);
  t.match(outbox.publishes, [{ topic: "a/b", dup: true }]);
});

await test("the sessions of a credential are found, whichever kind", async (t) => {
  const edge = await openEdge(t);
  open(edge, "a");
  open(edge, "b", true);
  edge.sessions.open("c", "01BX5ZZKBKACTAV9WEVGEMMVRZ", false);
  const found = edge.sessions.ofCredential(CREDENTIAL).map(({ clientId }) => clientId);
  t.same(found.sort(), ["a", "b"]);
});

await test("a client id and a filter may hold whatever MQTT lets them hold", async (t) => {
  const edge = await openEdge(t);
  const names = ["a/b+#", "!mqtt!s:", "\u{1F525}", "x".repeat(256), "__proto__", "\uffff"];
  for (const name of names) subscribe(edge, open(edge, name), { [`t/${name.length}`]: 1 });
  await flushed(edge);
  const { database, commit } = edge.deps.store;
  const stored = await readMqttRows(database, commit);
  t.same(
    stored.sessions.map(({ row }) => row.clientId),
    names,
  );
});
