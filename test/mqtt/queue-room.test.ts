import { test } from "tap";
import { QueueRoom } from "../../src/mqtt/queue-room.ts";
import { Bench } from "./session-bench.ts";

/** Queues of so many sessions that share a bound. */
function sharing(bound: number, sessions: number): { room: QueueRoom; benches: readonly Bench[] } {
  const room = new QueueRoom({ queued_messages: bound }, () => sessions);
  return { room, benches: Array.from({ length: sessions }, () => new Bench({}, true, room)) };
}

function fill(bench: Bench | undefined, count: number): number {
  let taken = 0;
  for (let offered = 0; offered < count; offered += 1) {
    if (bench?.offer("e", "x") === true) taken += 1;
  }
  return taken;
}

await test("one session may use all the room, and another still has its share then", (t) => {
  const { room, benches } = sharing(100, 4);
  t.equal(fill(benches[0], 150), 100);
  t.equal(fill(benches[1], 150), 25);
  t.equal(fill(benches[2], 150), 25);
  t.equal(fill(benches[0], 1), 0);
  t.equal(room.messages, 150, "so the bound is passed by the shares of the others at the most");
  t.equal(benches[1]?.dropped.length, 125);
  t.end();
});

await test("where the room is gone a state keeps its latest message, as in a full queue", (t) => {
  const { room, benches } = sharing(10, 1);
  const [bench] = benches;
  fill(bench, 10);
  for (const value of ["1", "2", "3"]) t.ok(bench?.offer("p", value, { isState: true }));
  t.equal(room.messages, 11);
  t.end();
});

await test("room comes back however a message leaves", (t) => {
  const { room, benches } = sharing(10, 2);
  const [bench, other] = benches;
  fill(bench, 6);
  fill(other, 4);
  bench?.sync();
  const outbox = bench?.attach();
  bench?.queue.acknowledge(outbox?.publishes[0]?.messageId ?? 0);
  t.equal(room.messages, 9);
  bench?.oweRetained(["a"])();
  t.equal(room.messages, 10, "a retained one counts while it is in flight");
  bench?.queue.discard();
  t.equal(room.messages, 4);
  other?.queue.keepOnly(() => false);
  t.equal(room.messages, 0);
  t.end();
});

await test("what is found on disk takes room", (t) => {
  const { room, benches } = sharing(10, 1);
  const [bench] = benches;
  fill(bench, 3);
  bench?.sync();
  bench?.restart();
  t.equal(room.messages, 6, "the first queue has not given back its own");
  t.end();
});
