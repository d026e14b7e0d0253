import { test } from "tap";
import type { Qos } from "../../src/mqtt/frame-kinds.ts";
import type { RequestReference } from "../../src/mqtt/message.ts";
import { Bench } from "./session-bench.ts";

const REQUEST: RequestReference = { thing: 1, name: "purge", moment: { at: 1, sequence: 1 } };

await test("a message goes out when its batch is on disk and not before", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  bench.offer("a", "1");
  t.same(outbox.packets, []);
  bench.sync();
  t.same(outbox.texts, ["a 1"]);
  t.end();
});

await test("an acknowledgement does not let out what is not on disk yet", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  bench.offer("a", "1");
  bench.sync();
  bench.offer("a", "2");
  bench.queue.acknowledge(outbox.publishes[0]!.messageId!);
  t.same(outbox.payloads, ["1"]);
  bench.sync();
  t.same(outbox.payloads, ["1", "2"]);
  t.end();
});

await test("messages go out in the order they were offered, whatever their QoS", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  const qos: readonly Qos[] = [1, 0, 2, 1, 0, 2];
  qos.forEach((each, index) => bench.offer("a", String(index), { qos: each }));
  bench.sync();
  bench.offer("a", "6");
  bench.sync();
  t.same([...outbox.payloads].sort(), ["0", "1", "2", "3", "4", "5", "6"]);
  const ofQos = (wanted: Qos): string[] =>
    outbox.publishes.filter((packet) => packet.qos === wanted).map((p) => p.payload.toString());
  t.same(ofQos(0), ["1", "4"]);
  t.same(ofQos(1), ["0", "3", "6"], "the order holds for each QoS [MQTT-4.6.0-6]");
  t.same(ofQos(2), ["2", "5"]);
  t.equal(new Set(outbox.publishes.filter((p) => p.qos > 0).map((p) => p.messageId)).size, 5);
  t.end();
});

await test("no more than the window is in flight, and an acknowledgement opens it", (t) => {
  const bench = new Bench({ inflight: 2 });
  const outbox = bench.attach();
  for (const payload of ["1", "2", "3", "4"]) bench.offer("a", payload);
  bench.sync();
  t.same(outbox.payloads, ["1", "2"]);
  const [first, second] = outbox.publishes;
  bench.queue.acknowledge(second!.messageId!);
  t.same(outbox.payloads, ["1", "2", "3"]);
  bench.queue.acknowledge(second!.messageId!);
  bench.queue.acknowledge(4711);
  t.same(outbox.payloads, ["1", "2", "3"], "an id that is not in flight opens nothing");
  bench.queue.acknowledge(first!.messageId!);
  t.same(outbox.payloads, ["1", "2", "3", "4"]);
  t.end();
});

await test("QoS 2 out is PUBLISH, PUBREC, PUBREL, PUBCOMP, each state on disk before the packet", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  bench.offer("a", "1", { qos: 2 });
  bench.sync();
  const { messageId } = outbox.publishes[0]!;
  t.equal(outbox.publishes[0]?.qos, 2);
  bench.queue.acknowledge(messageId!);
  t.equal(bench.queue.depth.messages, 1, "PUBACK is no answer to QoS 2");
  bench.queue.receive(messageId!);
  t.equal(outbox.packets.length, 1, "PUBREL waits for the disk");
  bench.sync();
  t.match(outbox.packets[1], { cmd: "pubrel", messageId });
  bench.queue.receive(messageId!);
  t.match(outbox.packets[2], { cmd: "pubrel", messageId }, "a repeated PUBREC is answered again");
  bench.queue.complete(messageId!);
  bench.sync();
  t.same(bench.queue.depth, { messages: 0, bytes: 0 });
  t.equal(bench.rows, 0);
  t.end();
});

await test("a PUBREC for an id that is not known gets its PUBREL, or the client asked for ever", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  bench.queue.receive(99);
  t.match(outbox.packets, [{ cmd: "pubrel", messageId: 99 }]);
  t.end();
});

await test("what was in flight is sent again first, with DUP and its id, after a reconnect", (t) => {
  const bench = new Bench({ inflight: 3 });
  const before = bench.attach();
  bench.offer("a", "1");
  bench.offer("a", "2", { qos: 2 });
  bench.offer("a", "3", { qos: 2 });
  bench.offer("a", "4");
  bench.sync();
  const [first, second, third] = before.publishes;
  bench.queue.receive(third!.messageId!);
  bench.sync();
  bench.queue.detach();
  bench.offer("a", "5");
  bench.sync();
  const after = bench.attach();
  bench.sync();
  t.match(after.packets, [
    { cmd: "publish", payload: Buffer.from("1"), dup: true, messageId: first!.messageId, qos: 1 },
    { cmd: "publish", payload: Buffer.from("2"), dup: true, messageId: second!.messageId, qos: 2 },
    { cmd: "pubrel", messageId: third!.messageId },
  ]);
  t.equal(after.packets.length, 3, "the window is full");
  bench.queue.acknowledge(first!.messageId!);
  t.match(after.packets[3], { payload: Buffer.from("4"), dup: false });
  t.end();
});

await test("after a restart the queue is there in its order, and what was in flight keeps its ids", (t) => {
  const bench = new Bench();
  const before = bench.attach();
  for (const payload of ["1", "2"]) bench.offer("a", payload);
  bench.offer("a", "3", { qos: 2 });
  bench.offer("a", "4", { qos: 2 });
  bench.sync();
  const [first, second, third, fourth] = before.publishes;
  bench.queue.receive(fourth!.messageId!);
  bench.queue.detach();
  for (let index = 5; index < 45; index += 1) bench.offer("a", String(index));
  bench.sync();
  bench.restart();
  const after = bench.attach();
  t.match(after.packets.slice(0, 5), [
    { cmd: "publish", payload: Buffer.from("1"), dup: true, messageId: first!.messageId },
    { cmd: "publish", payload: Buffer.from("2"), dup: true, messageId: second!.messageId },
    { cmd: "publish", payload: Buffer.from("3"), dup: true, messageId: third!.messageId },
    { cmd: "pubrel", messageId: fourth!.messageId },
    { cmd: "publish", payload: Buffer.from("5"), dup: false },
  ]);
  t.same(
    after.payloads.slice(3),
    Array.from({ length: 40 }, (_, i) => `${i + 5}`),
  );
  const ids = after.publishes.map(({ messageId }) => messageId);
  t.equal(new Set([...ids, fourth!.messageId]).size, ids.length + 1, "no id is in use twice");
  for (const id of ids) bench.queue.acknowledge(id!);
  bench.queue.complete(third!.messageId!);
  bench.queue.complete(fourth!.messageId!);
  bench.sync();
  t.equal(bench.rows, 0, "and nothing is left on disk");
  t.end();
});

await test("after a crash what may have been sent goes with the id it had, and with DUP", (t) => {
  const bench = new Bench({ inflight: 3 });
  const before = bench.attach();
  for (const payload of ["1", "2", "3", "4"]) bench.offer("a", payload);
  bench.sync();
  const [first, second, third] = before.publishes.map(({ messageId }) => messageId!);
  bench.queue.acknowledge(first!);
  bench.sync();
  bench.restart(true);
  const after = bench.attach();
  const [, , , fourth] = before.publishes.map(({ messageId }) => messageId!);
  t.match(after.publishes, [
    { payload: Buffer.from("2"), dup: true, messageId: second },
    { payload: Buffer.from("3"), dup: true, messageId: third },
    { payload: Buffer.from("4"), dup: true, messageId: fourth },
  ]);
  bench.offer("a", "5");
  bench.sync();
  bench.queue.acknowledge(second!);
  t.match(after.publishes[3], { payload: Buffer.from("5"), dup: false });
  t.end();
});

await test("a payload that is no text comes out of the disk as it went in", (t) => {
  const bench = new Bench();
  const payloads = [Buffer.of(0xff, 0, 0xc3), Buffer.from("\uFFFD"), Buffer.from("ü"), Buffer.of()];
  for (const payload of payloads) {
    bench.queue.offer(
      { topic: "ü/b", payload, qos: 1, retain: false, isState: false, request: undefined },
      1,
    );
  }
  bench.sync();
  bench.restart();
  const outbox = bench.attach();
  t.same(
    outbox.publishes.map(({ topic, payload }) => [topic, payload]),
    payloads.map((payload) => ["ü/b", payload]),
  );
  t.end();
});

await test("QoS 0 is not kept for a client that is away, nor through a disconnect", (t) => {
  const bench = new Bench();
  t.equal(bench.offer("a", "1", { qos: 0 }), false);
  bench.attach();
  t.equal(bench.offer("a", "2", { qos: 0 }), true);
  bench.queue.detach();
  bench.sync();
  t.same(bench.attach().packets, []);
  t.same(bench.queue.depth, { messages: 0, bytes: 0 });
  t.end();
});

await test("QoS 0 is dropped while the socket is clogged, QoS 1 is not", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  outbox.clogged = true;
  bench.offer("a", "1", { qos: 0 });
  bench.offer("a", "2");
  bench.sync();
  t.same(outbox.payloads, ["2"]);
  t.same(bench.dropped, ["clogged"]);
  t.end();
});

await test("past the bound a state keeps its latest message, once a topic", (t) => {
  const bench = new Bench({ session_queue_messages: 4 });
  for (const payload of ["1", "2", "3"]) bench.offer("t", payload, { isState: true });
  bench.offer("e", "x");
  for (const payload of ["4", "5", "6"]) bench.offer("t", payload, { isState: true });
  bench.offer("p", "1", { isState: true });
  bench.sync();
  t.same(bench.attach().texts, ["e x", "t 6", "p 1"]);
  t.same(bench.dropped, Array(5).fill("superseded"));
  t.end();
});

await test("past the bound any other message is refused, newest first", (t) => {
  const bench = new Bench({ session_queue_messages: 3 });
  const taken = ["1", "2", "3", "4", "5"].map((payload) => bench.offer("e", payload));
  t.same(taken, [true, true, true, false, false]);
  t.same(bench.dropped, ["queue-full", "queue-full"]);
  t.equal(bench.offer("t", "1", { isState: true }), true, "a state finds room");
  bench.sync();
  t.equal(bench.rows, 4);
  t.same(bench.attach().texts, ["e 1", "e 2", "e 3", "t 1"]);
  t.end();
});

await test("another message takes the room of states that newer ones replaced", (t) => {
  const bench = new Bench({ session_queue_messages: 3 });
  for (const payload of ["1", "2", "3"]) bench.offer("t", payload, { isState: true });
  t.equal(bench.offer("e", "x"), true);
  bench.sync();
  t.same(bench.attach().texts, ["t 3", "e x"]);
  t.end();
});

await test("a full queue takes a message in the same time, however many wait in it", (t) => {
  const count = 40_000;
  const fill = (bench: Bench, topics: number): number => {
    const before = process.hrtime.bigint();
    for (let index = 0; index < count; index += 1) {
      bench.offer(`t/${index % topics}`, "1", { isState: true });
    }
    return Number(process.hrtime.bigint() - before) / 1e6;
  };
  const few = new Bench({ session_queue_messages: 10 });
  const many = new Bench({ session_queue_messages: 10 });
  fill(new Bench(), count);
  const [msOfFew, msOfMany] = [fill(few, 10), fill(many, count)];
  t.equal(few.queue.depth.messages, 10);
  t.equal(many.queue.depth.messages, count);
  t.ok(msOfMany < 20 * msOfFew + 500, `${msOfMany} ms beside ${msOfFew} ms`);
  t.end();
});

await test("the bound counts bytes too", (t) => {
  const bench = new Bench({ session_queue_bytes: 1_000 });
  const large = "x".repeat(400);
  t.same(
    [1, 2, 3].map(() => bench.offer("e", large)),
    [true, true, false],
  );
  t.equal(bench.offer("e", "small"), true, "what fits is taken");
  bench.sync();
  const outbox = bench.attach();
  for (const { messageId } of outbox.publishes) bench.queue.acknowledge(messageId!);
  t.same(bench.queue.depth, { messages: 0, bytes: 0 });
  t.equal(bench.offer("e", large), true, "and what is acknowledged makes room");
  t.end();
});

await test("what is in flight is not replaced by a newer state", (t) => {
  const bench = new Bench({ session_queue_messages: 2, inflight: 1 });
  const outbox = bench.attach();
  for (const payload of ["1", "2", "3", "4"]) {
    bench.offer("t", payload, { isState: true });
    bench.sync();
  }
  t.same(outbox.payloads, ["1"]);
  bench.queue.acknowledge(outbox.publishes[0]!.messageId!);
  t.same(outbox.payloads, ["1", "4"]);
  t.end();
});

await test("an action request goes out only while it is pending", (t) => {
  const bench = new Bench();
  bench.offer("a", "request", { request: REQUEST });
  bench.offer("a", "expired");
  bench.sync();
  bench.deliverability = "never";
  t.same(bench.attach().payloads, ["expired"]);
  t.same(bench.dropped, ["expired"]);
  bench.queue.detach();
  bench.sync();
  t.equal(bench.rows, 1);
  t.end();
});

await test("an action request in flight is not sent again once it has expired", (t) => {
  const bench = new Bench();
  t.equal(bench.attach().packets.length, 0);
  bench.offer("a", "request", { request: REQUEST });
  bench.sync();
  bench.queue.detach();
  bench.deliverability = "never";
  t.same(bench.attach().packets, []);
  bench.sync();
  t.equal(bench.rows, 0);
  t.equal(bench.queue.depth.messages, 0);
  t.end();
});

await test("a request that waits for the clock lets others pass and goes when it is known", (t) => {
  const bench = new Bench();
  bench.offer("a", "request", { request: REQUEST });
  bench.offer("b", "other");
  bench.sync();
  bench.restart();
  bench.deliverability = "wait";
  const outbox = bench.attach();
  t.same(outbox.texts, ["b other"]);
  bench.deliverability = "deliver";
  bench.queue.pump();
  t.same(outbox.texts, ["b other", "a request"]);
  t.end();
});

await test("a clean session writes nothing and loses all with its connection", (t) => {
  const bench = new Bench({}, false);
  const outbox = bench.attach();
  bench.offer("a", "1");
  bench.offer("a", "2", { qos: 2 });
  t.same(outbox.payloads, ["1", "2"], "and nothing has to wait for the disk");
  bench.queue.discard();
  bench.sync();
  t.same([...bench.commit.stored], []);
  t.end();
});

await test("a session that ends leaves no row", (t) => {
  const bench = new Bench({ inflight: 2 });
  bench.attach();
  for (const qos of [1, 2, 1, 2] as const) bench.offer("a", "x", { qos });
  bench.sync();
  t.equal(bench.rows, 4);
  bench.queue.discard();
  bench.sync();
  t.equal(bench.rows, 0);
  t.end();
});

await test("packet ids go round without one that is in flight", (t) => {
  const bench = new Bench({ inflight: 3 }, false);
  const outbox = bench.attach();
  bench.offer("a", "slow", { qos: 1 });
  const slow = outbox.publishes[0]!.messageId!;
  const seen: number[] = [];
  for (let index = 0; index < 66_000; index += 1) {
    bench.offer("a", "");
    const { messageId } = outbox.packets.pop() as { messageId: number };
    seen.push(messageId);
    bench.queue.acknowledge(messageId);
  }
  t.equal(seen.includes(slow), false);
  t.ok(seen.every((id) => id >= 1 && id <= 0xffff));
  t.equal(new Set(seen).size, 0xffff - 1);
  t.end();
});
