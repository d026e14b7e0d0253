import { test } from "tap";
import type { WillRow } from "../../src/mqtt/session-rows.ts";
import type { Credential } from "../../src/store/credentials.ts";
import {
  flushed,
  grantOn,
  makeBoiler,
  makeCredential,
  openEdge,
  reopenEdge,
  type Edge,
} from "./edge.ts";

const GRACE_MS = 60_000;

function willOf(credential: Credential, mode = "off"): WillRow {
  return {
    topic: "set/A/things/boiler/properties/mode",
    payload: Buffer.from(JSON.stringify({ mode })),
    qos: 1,
    retain: false,
    credential: credential.ulid,
  };
}

function device(edge: Edge): Credential {
  return makeCredential(edge, "device", [grantOn([makeBoiler(edge)])]);
}

function modes(edge: Edge): readonly unknown[] {
  return edge.published
    .filter(({ topic }) => topic.endsWith("/mode"))
    .map(({ payload }) => (JSON.parse(payload) as { mode: unknown }).mode);
}

/** As after a crash: nobody told the wills that the gateway ends. */
async function crashed(edge: Edge): Promise<Edge> {
  await flushed(edge);
  const again = await reopenEdge(edge);
  again.wills.start();
  return again;
}

await test("a will is published once, and the row goes in the same batch as what it changes", async (t) => {
  const edge = await openEdge(t);
  edge.wills.set("c", willOf(device(edge)));
  await flushed(edge);
  t.equal((await edge.opened.rows("!mqtt!w")).size, 1);
  const before = edge.deps.store.commit.written.batches;
  edge.wills.publish("c");
  edge.wills.publish("c");
  await flushed(edge);
  t.equal(edge.deps.store.commit.written.batches - before, 1);
  t.equal((await edge.opened.rows("!mqtt!w")).size, 0);
  t.same(modes(edge), ["off"]);
});

await test("a will that was dropped, or replaced by none, is not published", async (t) => {
  const edge = await openEdge(t);
  const will = willOf(device(edge));
  edge.wills.set("dropped", will);
  edge.wills.drop("dropped");
  edge.wills.set("replaced", will);
  edge.wills.set("replaced", undefined);
  for (const clientId of ["dropped", "replaced", "unknown"]) edge.wills.publish(clientId);
  t.same(modes(edge), []);
  t.equal((await edge.opened.rows("!mqtt!w")).size, 0);
});

await test("the will of the latest CONNECT counts", async (t) => {
  const edge = await openEdge(t);
  const credential = device(edge);
  edge.wills.set("c", willOf(credential, "off"));
  edge.wills.set("c", willOf(credential, "on"));
  edge.wills.publish("c");
  t.same(modes(edge), ["on"]);
});

await test("a stop leaves none to publish", async (t) => {
  const edge = await openEdge(t);
  edge.wills.set("c", willOf(device(edge)));
  edge.wills.stop();
  const again = await crashed(edge);
  again.opened.clock.advance(2 * GRACE_MS);
  t.same(modes(again), []);
});

await test("after a crash wills wait for their clients so long, and are then published once", async (t) => {
  const edge = await openEdge(t);
  const credential = device(edge);
  for (const clientId of ["away", "back", "again"]) edge.wills.set(clientId, willOf(credential));
  const after = await crashed(edge);
  after.wills.set("back", willOf(credential, "on"));
  after.wills.set("again", undefined);
  after.opened.clock.advance(GRACE_MS - 1);
  t.same(modes(after), []);
  after.opened.clock.advance(1);
  t.same(modes(after), ["off"]);
  after.opened.clock.advance(10 * GRACE_MS);
  t.same(modes(after), ["off"]);
  const last = await crashed(after);
  last.opened.clock.advance(2 * GRACE_MS);
  t.same(modes(last), ["on"], "only of the one that was there at the second crash");
});

await test("a will is published with the rights its credential has then", async (t) => {
  const edge = await openEdge(t);
  const credential = device(edge);
  const { credentials } = edge.deps.store;
  const rows: readonly (readonly [string, Partial<Credential>, number])[] = [
    ["as it was", {}, 1],
    ["disabled", { enabled: false }, 0],
    ["expired", { expiresAt: edge.opened.clock.wall - 1 }, 0],
    ["without the grant", { grants: [grantOn([])] }, 0],
  ];
  for (const [what, change, count] of rows) {
    edge.published.length = 0;
    credentials.put({ ...credential, ...change });
    edge.wills.set("c", willOf(credential));
    edge.wills.publish("c");
    t.equal(modes(edge).length, count, what);
  }
  credentials.delete(credential);
  edge.wills.set("c", willOf(credential));
  edge.wills.publish("c");
  t.same(modes(edge), []);
});
