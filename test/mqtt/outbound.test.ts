import { test } from "tap";
import { requestAction } from "../../src/interactions/action-invocation.ts";
import { findActionRequest } from "../../src/interactions/action-invocation.ts";
import type { Qos } from "../../src/mqtt/frame-kinds.ts";
import {
  ADMIN,
  flushed,
  grantOn,
  makeBoiler,
  makeCredential,
  openEdge,
  publishAs,
  reopenEdge,
  subscriberOf,
  topicsGrant,
} from "./edge.ts";
import { Outbox } from "./outbox.ts";

const SET = "set/A/things/boiler/properties";
const STATUS = "status/A/things/boiler";

await test("nothing is sent before the batch of what it tells is on disk", async (t) => {
  const edge = await openEdge(t);
  const device = makeCredential(edge, "device", [grantOn([makeBoiler(edge)])]);
  const { outbox } = subscriberOf(edge, device, { [`${STATUS}/#`]: 1 });
  const free = makeCredential(edge, "free", [topicsGrant("line1/#", "line1/#")]);
  const line = subscriberOf(edge, free, { "line1/#": 1 });
  await flushed(edge);
  publishAs(edge, device, `${SET}/target`, { target: 1 });
  publishAs(edge, free, "line1/x", "hello");
  t.same([...outbox.packets, ...line.outbox.packets], []);
  await flushed(edge);
  t.same(outbox.texts, [`${STATUS}/properties/target {"target":1}`]);
  t.same(line.outbox.texts, ['line1/x "hello"']);
});

await test("the state and what a persistent session is owed of it are in one batch", async (t) => {
  const edge = await openEdge(t);
  const device = makeCredential(edge, "device", [grantOn([makeBoiler(edge)])]);
  subscriberOf(edge, device, { [`${STATUS}/#`]: 1 }).session.queue.detach();
  await flushed(edge);
  const { written } = edge.deps.store.commit;
  publishAs(edge, device, `${SET}/target`, { target: 1 });
  await flushed(edge);
  t.equal(edge.deps.store.commit.written.batches - written.batches, 1);
  t.equal((await edge.opened.rows("!mqtt!q")).size, 1);
});

await test("a message goes at the lower of the QoS it was published at and the one asked for", async (t) => {
  const edge = await openEdge(t);
  const free = makeCredential(edge, "free", [topicsGrant("line1/#", "line1/#")]);
  for (const asked of [0, 1, 2] as const) {
    const { outbox } = subscriberOf(edge, free, { "line1/#": asked }, { clientId: `c${asked}` });
    for (const qos of [0, 1, 2] as const) publishAs(edge, free, "line1/x", qos, { qos });
    await flushed(edge);
    await flushed(edge); // The id of a QoS 2 message has a batch of its own.
    const expected = ([0, 1, 2] as const).map((qos): Qos => (qos < asked ? qos : asked));
    t.same(outbox.publishes.map(({ qos }) => qos).sort(), expected);
  }
});

await test("a credential that is gone gets nothing more", async (t) => {
  const edge = await openEdge(t);
  const device = makeCredential(edge, "device", [grantOn([makeBoiler(edge)])]);
  const { outbox } = subscriberOf(edge, device, { [`${STATUS}/#`]: 1 });
  edge.deps.store.credentials.delete(device);
  publishAs(edge, device, `${SET}/target`, { target: 1 });
  await flushed(edge);
  t.same(outbox.packets, []);
});

await test("current values go to a new subscription by its filter, retained and not stored", async (t) => {
  const edge = await openEdge(t);
  const things = [makeBoiler(edge), makeBoiler(edge, "A", "pump")];
  makeBoiler(edge, "B", "boiler");
  const device = makeCredential(edge, "device", [grantOn(things)]);
  for (const id of ["boiler", "pump"]) {
    publishAs(edge, device, `set/A/things/${id}/properties`, { target: 1, mode: "on", pin: "1" });
  }
  await flushed(edge);
  const rows: readonly (readonly [string, readonly string[]])[] = [
    [`${STATUS}/properties/target`, ["boiler/properties/target"]],
    [`${STATUS}/properties/#`, ["boiler/properties/target", "boiler/properties/mode"]],
    [`${STATUS}/#`, ["boiler/properties/target", "boiler/properties/mode"]],
    [`${STATUS}/+/mode`, ["boiler/properties/mode"]],
    ["status/A/things/+/properties/target", ["boiler/properties/target", "pump/properties/target"]],
    [`${STATUS}/events/#`, []],
    [`${STATUS}/properties/temperature`, []],
    [`${STATUS}/properties/pin`, []],
    ["status/A/things/nothing/#", []],
    ["#", []],
  ];
  for (const [filter, expected] of rows) {
    const { session, outbox } = subscriberOf(edge, device, { [filter]: 1 }, { clientId: filter });
    edge.outbound.oweRetained(session, [{ filter, matching: filter, qos: 1 }])();
    await flushed(edge);
    t.same(
      outbox.publishes.map(({ topic }) => topic.replace("status/A/things/", "")).sort(),
      [...expected].sort(),
      filter,
    );
    t.ok(outbox.publishes.every(({ retain, qos }) => retain && qos === 1));
  }
  t.equal((await edge.opened.rows("!mqtt!q")).size, 0);
});

await test("current values of Things that are no longer granted are not sent", async (t) => {
  const edge = await openEdge(t);
  const [boiler, pump] = [makeBoiler(edge), makeBoiler(edge, "A", "pump")];
  const both = makeCredential(edge, "device", [grantOn([boiler, pump])]);
  for (const id of ["boiler", "pump"]) {
    publishAs(edge, both, `set/A/things/${id}/properties`, { target: 1 });
  }
  const filter = "status/A/things/+/properties/#";
  const { session, outbox } = subscriberOf(edge, both, { [filter]: 1 });
  edge.deps.store.credentials.put({ ...both, grants: [grantOn([pump])], revision: 2 });
  edge.outbound.oweRetained(session, [{ filter, matching: filter, qos: 1 }])();
  await flushed(edge);
  t.same(outbox.texts, ['status/A/things/pump/properties/target {"target":1}']);
});

await test("what a SUBACK promises of retained messages is owed after a crash too, until it is acknowledged", async (t) => {
  let edge = await openEdge(t);
  const device = makeCredential(edge, "device", [
    grantOn([makeBoiler(edge)]),
    topicsGrant("line1/#", "line1/#"),
  ]);
  publishAs(edge, device, `${SET}/target`, { target: 1 });
  publishAs(edge, device, "line1/a", "old", { retain: true });
  const filters = { [`${STATUS}/#`]: 1, "line1/#": 1, "line1/nothing": 0 } as const;
  const { session } = subscriberOf(edge, device, filters);
  const granted = Object.entries(filters).map(([filter, qos]) => {
    return { filter, matching: filter, qos };
  });
  edge.outbound.oweRetained(session, granted);
  edge.sessions.unsubscribe(session, ["line1/nothing"]);
  await flushed(edge); // SUBACK has left, and the process ends.
  for (const attempt of ["not acknowledged", "acknowledged"]) {
    edge = await reopenEdge(edge);
    const outbox = new Outbox();
    const again = edge.sessions.open(session.clientId, device.ulid, false);
    again.queue.attach(outbox);
    t.same(
      [...outbox.texts].sort(),
      ['line1/a "old"', `${STATUS}/properties/target {"target":1}`],
      attempt,
    );
    t.ok(outbox.publishes.every(({ retain }) => retain));
    if (attempt === "acknowledged") {
      for (const { messageId } of outbox.publishes) again.queue.acknowledge(messageId!);
    }
    await flushed(edge);
  }
  edge = await reopenEdge(edge);
  const outbox = new Outbox();
  edge.sessions.open(session.clientId, device.ulid, false).queue.attach(outbox);
  t.same(outbox.texts, [], "and no longer");
});

const REQUEST = { principal: ADMIN, account: "A", thing: "boiler", name: "reset", body: {} };

/** A device that is away with room for nothing more, and whoever else listens. */
async function fullDevice(
  t: Parameters<typeof openEdge>[0],
  others: "nobody" | "consumer" | "device",
) {
  const edge = await openEdge(t, { session_queue_messages: 1 });
  const boiler = makeBoiler(edge);
  const device = makeCredential(edge, "device", [grantOn([boiler])]);
  subscriberOf(edge, device, { [`${STATUS}/#`]: 1 }).session.queue.detach();
  publishAs(edge, device, "set/A/things/boiler/events/boot", { boot: {} });
  if (others !== "nobody") {
    const other = makeCredential(edge, "other", [grantOn([boiler], { role: others })]);
    subscriberOf(edge, other, { [`${STATUS}/actions/#`]: 1 });
  }
  const { request } = requestAction(edge.deps, REQUEST);
  const id = edge.deps.store.ids.ofMoment(request.moment);
  return findActionRequest(edge.deps, { ...REQUEST, id }).request;
}

await test("a request that no device has room for fails with queue-full", async (t) => {
  t.match(await fullDevice(t, "nobody"), {
    status: "failed",
    error: { type: "/problems/queue-full" },
  });
});

await test("that a consumer watches does not keep such a request pending", async (t) => {
  t.match(await fullDevice(t, "consumer"), { status: "failed" });
});

await test("a request that another device has taken stays pending", async (t) => {
  t.match(await fullDevice(t, "device"), { status: "pending" });
});

await test("a request that no session is subscribed to stays pending, to be read over HTTP", async (t) => {
  const edge = await openEdge(t);
  makeBoiler(edge);
  t.match(requestAction(edge.deps, REQUEST).request, { status: "pending" });
});
