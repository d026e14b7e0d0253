import { test } from "tap";
import { Bench } from "./session-bench.ts";

await test("a retained message goes with its flag, also when it is sent again, and is not stored", (t) => {
  const bench = new Bench();
  bench.attach();
  bench.oweRetained(["a"])();
  bench.sync();
  t.equal(bench.rows, 0);
  bench.queue.detach();
  const again = bench.attach();
  t.match(again.publishes, [{ retain: true, dup: true, payload: Buffer.from("retained") }]);
  t.end();
});

await test("retained messages stand behind what was queued before, ahead of what comes later", (t) => {
  const bench = new Bench({ inflight: 2 });
  bench.offer("t", "before");
  const admit = bench.oweRetained(["a", "b", "c"]);
  bench.offer("t", "after");
  bench.sync();
  const outbox = bench.attach();
  t.same(outbox.texts, ["t before"], "the SUBACK has not left");
  admit();
  for (let sent = 0; sent < 5; sent += 1) {
    bench.queue.acknowledge(outbox.publishes[sent]!.messageId!);
  }
  t.same(outbox.texts, ["t before", "a retained", "b retained", "c retained", "t after"]);
  t.end();
});

await test("retained messages of any number come, whatever the bound of the queue", (t) => {
  const bench = new Bench({ session_queue_messages: 3, inflight: 2 });
  const outbox = bench.attach();
  const topics = Array.from({ length: 500 }, (_, index) => `t/${index}`);
  bench.oweRetained(topics)();
  t.equal(outbox.publishes.length, 2, "no more than the window");
  t.equal(bench.queue.depth.messages, 2, "and they take no room");
  t.ok(bench.offer("e", "an event"));
  bench.sync();
  for (let sent = 0; sent < 501; sent += 1) {
    bench.queue.acknowledge(outbox.publishes[sent]!.messageId!);
  }
  t.same(
    outbox.publishes.map(({ topic }) => topic),
    [...topics, "e"],
  );
  t.same(bench.dropped, []);
  t.same(bench.queue.depth, { messages: 0, bytes: 0 });
  t.end();
});

await test("retained messages at QoS 0 wait for the socket, and end with the connection", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  outbox.clogged = true;
  bench.oweRetained(["a", "b"], 0)();
  t.same(outbox.packets, []);
  outbox.clogged = false;
  outbox.drained();
  t.same(outbox.texts, ["a retained", "b retained"]);
  outbox.clogged = true;
  bench.oweRetained(["c"], 0)();
  bench.queue.detach();
  t.same(bench.attach().packets, []);
  t.end();
});

await test("of a topic that is owed twice the newer copy goes, in its place", (t) => {
  const bench = new Bench();
  bench.oweRetained(["a", "b"])();
  bench.offer("a", "between");
  bench.oweRetained(["a"])();
  bench.sync();
  t.same(bench.attach().texts, ["b retained", "a between", "a retained"]);
  t.end();
});

await test("retained messages are delivered when all that was owed is acknowledged", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  bench.oweRetained(["a", "b"])();
  const admit = bench.oweRetained(["c"]);
  const acknowledge = (sent: number): void =>
    bench.queue.acknowledge(outbox.publishes[sent]!.messageId!);
  acknowledge(0);
  acknowledge(1);
  t.equal(bench.retainedDelivered, 0, "another subscription waits for its SUBACK");
  admit();
  bench.oweRetained(["d"])();
  acknowledge(2);
  t.equal(bench.retainedDelivered, 0, "one is in flight");
  acknowledge(3);
  t.equal(bench.retainedDelivered, 1);
  bench.oweRetained([])();
  t.equal(bench.retainedDelivered, 2, "nothing is delivered at once");
  t.end();
});

await test("retained messages that may not be received any more are not sent", (t) => {
  const bench = new Bench();
  bench.oweRetained(["a", "b"])();
  bench.queue.keepOnly((topic) => topic === "b");
  t.same(bench.attach().texts, ["b retained"]);
  t.end();
});

await test("a retained message at QoS 2 keeps its id over a crash", (t) => {
  const bench = new Bench();
  const outbox = bench.attach();
  bench.oweRetained(["a"], 2)();
  bench.sync();
  bench.restart(true);
  const again = bench.attach();
  const { messageId } = outbox.publishes[0]!;
  t.match(again.publishes, [{ topic: "a", qos: 2, dup: true, retain: true, messageId }]);
  t.end();
});
