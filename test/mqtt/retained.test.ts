import { test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import { RetainedMessages } from "../../src/mqtt/retained.ts";
import { readMqttRows } from "../../src/mqtt/session-rows.ts";
import { flushed, openEdge, reopenEdge, type Edge } from "./edge.ts";

function keep(edge: Edge, topic: string, payload: string | Buffer, qos: 0 | 1 | 2 = 1): void {
  edge.retained.keep({ topic, payload: Buffer.from(payload), qos });
}

function kept(edge: Edge, filter: string): readonly string[] {
  const found: string[] = [];
  edge.retained.match(filter, ({ topic, payload, qos }) => {
    found.push(`${topic} ${payload.toString()} ${qos}`);
  });
  return found.sort();
}

await test("a topic keeps its last message until an empty one takes it away", async (t) => {
  const edge = await openEdge(t);
  keep(edge, "a/b", "1");
  keep(edge, "a/b", "2", 2);
  keep(edge, "a", "3", 0);
  t.same(kept(edge, "#"), ["a 3 0", "a/b 2 2"]);
  t.same(edge.retained.counts, { messages: 2, bytes: "a/b2a3".length });
  keep(edge, "a/b", "");
  keep(edge, "a/c", "");
  t.same(kept(edge, "#"), ["a 3 0"]);
  t.same(edge.retained.counts, { messages: 1, bytes: 2 });
});

await test("what was kept is there after a restart, any bytes of it", async (t) => {
  const edge = await openEdge(t);
  const bytes = Buffer.of(0, 0xff, 0xfe, 0x80);
  keep(edge, "a/bytes", bytes);
  keep(edge, "a/ü", "ü");
  keep(edge, "a/gone", "x");
  keep(edge, "a/gone", "");
  await flushed(edge);
  const again = await reopenEdge(edge);
  const found = new Map<string, Buffer>();
  again.retained.match("#", ({ topic, payload }) => found.set(topic, payload));
  t.same([...found.keys()].sort(), ["a/bytes", "a/ü"]);
  t.ok(bytes.equals(found.get("a/bytes") ?? Buffer.alloc(0)));
  t.equal(again.retained.counts.bytes, edge.retained.counts.bytes);
});

for (const [limit, fill] of [
  ["retained_messages", { retained_messages: 2 }],
  ["retained_bytes", { retained_bytes: 10 }],
] as const) {
  await test(`beyond limits.${limit} a new message is refused and what is there stays`, async (t) => {
    const edge = await openEdge(t, fill);
    keep(edge, "a", "1234");
    keep(edge, "b", "1234");
    t.throws(() => keep(edge, "c", "1"), { code: "limit-reached" });
    t.same(kept(edge, "#"), ["a 1234 1", "b 1234 1"]);
    keep(edge, "a", "4321");
    keep(edge, "b", "");
    keep(edge, "c", "1");
    t.same(kept(edge, "#"), ["a 4321 1", "c 1 1"]);
    if (limit === "retained_bytes") {
      t.throws(() => keep(edge, "c", "1234567"), GatewayError, "a larger one in its place, too");
      t.same(kept(edge, "c"), ["c 1 1"]);
    }
  });
}

await test("lower limits than before keep what is on disk", async (t) => {
  const edge = await openEdge(t);
  for (const topic of ["a", "b", "c"]) keep(edge, topic, "x");
  await flushed(edge);
  const { database, commit } = edge.deps.store;
  const rows = await readMqttRows(database, commit);
  const limits = { retained_messages: 1, retained_bytes: 1 };
  const retained = new RetainedMessages({ commit, limits }, rows.retained);
  t.equal(retained.counts.messages, 3);
});
