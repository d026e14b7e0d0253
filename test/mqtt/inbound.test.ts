import { test } from "tap";
import type { Message } from "../../src/mqtt/message.ts";
import {
  dataGrantOn,
  flushed,
  grantOn,
  makeBoiler,
  makeCredential,
  openEdge,
  publishAs,
  subscriberOf,
  toldErrors,
  topicsGrant,
} from "./edge.ts";

const ULID = "01ARZ3NDEKTSV4RRFFQ69G5FAV";
const T = "set/A/things/boiler";

/** Payloads as JSON text where a value says so: members twice, no JSON. */
const REFUSED: readonly (readonly [topic: string, payload: string | undefined, code: string])[] = [
  [`${T}/properties/target`, undefined, "too-large"],
  [`${T}/properties/target${"/x".repeat(40)}`, "{}", "too-many-levels"],
  [`${T}/properties/target${"/x".repeat(40)}`, undefined, "too-many-levels"],
  [`${T}/nothing`, "{}", "unknown-topic"],
  [`${T}/properties/target/x`, "{}", "unknown-topic"],
  ["set/A/things/other/properties/target", '{"target":1}', "forbidden"],
  ["set/A/things/other/properties/target", undefined, "forbidden"],
  [`${T}/properties/target`, "", "not-json"],
  [`${T}/properties/target`, '{"mode":"on"}', "malformed"],
  [`${T}/properties/nothing`, '{"nothing":1}', "unknown-affordance"],
  [`${T}/properties/target`, '{"target":91}', "schema-violation"],
  [`${T}/properties`, '{"target":91}', "schema-violation"],
  [`${T}/properties`, "{}", "malformed"],
  [`${T}/actions/purge`, '{"purge":{"status":"running"}}', "malformed"],
  [`${T}/actions/purge`, '{"purge":{"href":5,"status":"running"}}', "malformed"],
  [`${T}/actions/purge`, `{"purge":{"href":"${ULID}","status":"x"}}`, "unknown-action-request"],
  [`${T}/actions/purge`, `{"${ULID}":{"status":"running"}}`, "unknown-action-request"],
  [`${T}/actions/purge`, `{"${ULID}":{},"x":1}`, "unknown-member"],
  [`${T}/actions/purge`, '{"reset":{}}', "malformed"],
  [`${T}/actions/purge`, '{"purge":{"input":5}}', "schema-violation"],
  [`${T}/actions/purge`, "[]", "malformed"],
  [`${T}/actions/nothing`, '{"nothing":{}}', "unknown-affordance"],
  [`${T}/events/alarm`, '{"alarm":{"data":5}}', "schema-violation"],
  [`${T}/events/alarm`, '{"alarm":{},"boot":{}}', "unknown-member"],
  [T, "[]", "description-invalid"],
  ["A/data/boiler", "[]", "malformed"],
];

await test("what is refused changes nothing and is counted by its reason", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  makeBoiler(edge, "A", "other");
  const device = makeCredential(edge, "device", [
    grantOn([boiler], { definition: true }),
    dataGrantOn([boiler]),
  ]);
  const before = edge.deps.store.changes.sequence;
  for (const [topic, payload, code] of REFUSED) {
    const counted = edge.refusals.counts[code] ?? 0;
    publishAs(edge, device, topic, payload === undefined ? undefined : Buffer.from(payload));
    t.equal((edge.refusals.counts[code] ?? 0) - counted, 1, `${topic} ${payload ?? ""}: ${code}`);
  }
  t.equal(edge.deps.store.changes.sequence, before);
  const all = Object.values(edge.refusals.counts).reduce((sum, count) => sum + count, 0);
  t.equal(all, REFUSED.length, "each once");
});

await test("an error that is none of ours is not taken for a refusal", async (t) => {
  const edge = await openEdge(t);
  const device = makeCredential(edge, "device", [grantOn([makeBoiler(edge)])]);
  edge.deps.store.changes.appendValues = () => {
    throw new TypeError("a broken invariant");
  };
  const publish = (): void => publishAs(edge, device, `${T}/properties/target`, { target: 1 });
  t.throws(publish, TypeError);
});

await test("a payload is copied where it outlives its turn", async (t) => {
  const edge = await openEdge(t);
  const free = makeCredential(edge, "free", [topicsGrant("line1/#", "line1/#")]);
  const device = makeCredential(edge, "device", [dataGrantOn([makeBoiler(edge)])]);
  const line = subscriberOf(edge, free, { "line1/#": 1 });
  const data = subscriberOf(edge, device, { "A/data/+": 1 });
  const chunk = Buffer.from('{"a":1}');
  publishAs(edge, free, "line1/x", chunk, { retain: true });
  publishAs(edge, device, "A/data/boiler", chunk);
  chunk.fill("!"); // The socket's buffer is used again.
  await flushed(edge);
  t.same(line.outbox.payloads, ['{"a":1}']);
  t.same(data.outbox.payloads, ['{"a":1}']);
  const kept: Pick<Message, "payload">[] = [];
  edge.retained.match("line1/x", (message) => kept.push(message));
  t.equal(kept[0]?.payload.toString(), '{"a":1}');
});

await test("the retain flag counts on free topics only", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  const both = makeCredential(edge, "both", [
    grantOn([boiler], { definition: true }),
    dataGrantOn([boiler]),
    topicsGrant("line1/#", "line1/#"),
  ]);
  publishAs(edge, both, `${T}/properties/target`, { target: 1 }, { retain: true });
  publishAs(edge, both, `${T}/events/boot`, { boot: {} }, { retain: true });
  publishAs(edge, both, "A/data/boiler", {}, { retain: true });
  t.equal(edge.retained.counts.messages, 0);
  publishAs(edge, both, "line1/x", 1, { retain: true });
  t.equal(edge.retained.counts.messages, 1);
});

await test("a free publish that cannot be retained is refused as a whole", async (t) => {
  const edge = await openEdge(t, { retained_messages: 0 });
  const free = makeCredential(edge, "free", [topicsGrant("line1/#", "line1/#")]);
  const { outbox } = subscriberOf(edge, free, { "line1/#": 1 });
  publishAs(edge, free, "line1/x", 1, { retain: true });
  publishAs(edge, free, "line1/x", 2);
  await flushed(edge);
  t.same(outbox.payloads, ["2"]);
  t.same(edge.refusals.counts, { "limit-reached": 1 });
});

await test("refusals are told thirty a minute and publisher, to Things the publisher has a grant on", async (t) => {
  const edge = await openEdge(t);
  const boiler = makeBoiler(edge);
  const pump = makeBoiler(edge, "A", "pump");
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  const other = makeCredential(edge, "other", [grantOn([boiler])]);
  const stranger = makeCredential(edge, "stranger", [grantOn([pump])]);
  const bad = Buffer.from("{");
  for (let time = 0; time < 35; time += 1) {
    publishAs(edge, device, `${T}/properties/target`, bad, { clientId: `c${time}` });
  }
  t.equal(toldErrors(edge).length, 30, "however many client ids it uses");
  publishAs(edge, other, `${T}/properties/target`, bad);
  t.equal(toldErrors(edge).length, 31);
  publishAs(edge, stranger, `${T}/properties/target`, bad);
  t.equal(toldErrors(edge).length, 31);
  edge.opened.clock.advance(60_000);
  publishAs(edge, device, `${T}/properties/target`, bad);
  t.equal(toldErrors(edge).length, 32);
  t.equal(edge.refusals.counts["not-json"], 37);
  t.equal(edge.refusals.counts["forbidden"], 1);
  const logged = edge.logged.filter(([event]) => event === "mqtt.publish_refused");
  t.equal(logged.length, 33, "and the log is bounded by the same rate");
});
