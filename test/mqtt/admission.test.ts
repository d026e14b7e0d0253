import { test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { systemRandom } from "../../src/clock.ts";
import { LoginTurns } from "../../src/login-turns.ts";
import { admit, recheck } from "../../src/mqtt/admission.ts";
import type { ConnectFrame, Will } from "../../src/mqtt/frame-kinds.ts";
import { hashChosen } from "../../src/secrets.ts";
import type { Credential } from "../../src/store/credentials.ts";
import { topicLevels } from "../../src/thing/topics.ts";
import { countStretches } from "../stretches.ts";
import { ManualClock } from "../store/manual-clock.ts";
import {
  grantOn,
  makeBoiler,
  makeCredential,
  openEdge,
  PASSWORD,
  topicsGrant,
  type Edge,
} from "./edge.ts";

function connect(change: Partial<ConnectFrame> = {}): ConnectFrame {
  return {
    kind: "connect",
    bytes: Buffer.alloc(0),
    protocolLevel: 4,
    clean: true,
    keepalive: 0,
    clientId: "c",
    username: "device",
    password: Buffer.from(PASSWORD),
    will: undefined,
    ...change,
  };
}

function willTo(topic: string): Will {
  return { topic, levels: topicLevels(topic), payload: Buffer.alloc(0), qos: 0, retain: false };
}

const isClaimed = (): boolean => true;
const logins = new LoginTurns(new AddressRate(0, new ManualClock()), 1);

/** The CONNACK code. */
async function codeOf(edge: Edge, change: Partial<ConnectFrame> = {}): Promise<number> {
  const { deps: interactions, sessions } = edge;
  const of = { interactions, sessions, logins, isClaimed };
  const admission = await admit(of, connect(change), { address: "" });
  return admission.ok ? 0 : admission.code;
}

async function withDevice(
  t: Parameters<typeof openEdge>[0],
  change: Partial<Credential> = {},
  limits: Parameters<typeof openEdge>[1] = {},
): Promise<Edge> {
  const edge = await openEdge(t, limits);
  makeCredential(edge, "device", [grantOn([makeBoiler(edge)])], change);
  return edge;
}

await test("who has no credential is refused with 5, who has a wrong one with 4", async (t) => {
  const edge = await withDevice(t);
  t.equal(await codeOf(edge), 0);
  t.equal(await codeOf(edge, { username: undefined, password: undefined }), 5);
  t.equal(await codeOf(edge, { password: undefined }), 5);
  t.equal(await codeOf(edge, { password: Buffer.from("wrong") }), 4);
  t.equal(await codeOf(edge, { username: "nobody" }), 4);
});

for (const [what, change] of [
  ["disabled", { enabled: false }],
  ["expired", { expiresAt: 0 }],
] as const) {
  await test(`a credential that is ${what} is refused with 4`, async (t) => {
    t.equal(await codeOf(await withDevice(t, change)), 4);
  });
}

await test("the password before works until its overlap ends", async (t) => {
  const edge = await withDevice(t);
  const { store, random } = edge.deps;
  const before = store.credentials.byUsername("device")!;
  const until = edge.opened.clock.wall + 10_000;
  const secret = await hashChosen("new", random);
  store.credentials.put({ ...before, secret, previous: { secret: before.secret, until } });
  t.equal(await codeOf(edge), 0);
  t.equal(await codeOf(edge, { password: Buffer.from("new") }), 0);
  edge.opened.clock.advance(10_000);
  t.equal(await codeOf(edge), 4);
  t.equal(await codeOf(edge, { password: Buffer.from("new") }), 0);
});

await test("a client id belongs to the credential whose session lives under it", async (t) => {
  const edge = await withDevice(t);
  const own = edge.deps.store.credentials.byUsername("device")!;
  for (const clean of [true, false]) {
    const session = edge.sessions.open("c", "another", clean);
    t.equal(await codeOf(edge), 2);
    t.equal(await codeOf(edge, { clientId: "d" }), 0);
    edge.sessions.discard(session);
    t.equal(await codeOf(edge), 0);
  }
  edge.sessions.open("c", own.ulid, false);
  t.equal(await codeOf(edge), 0, "its own it may take over");
});

await test("a credential bound to a client id comes with that one only", async (t) => {
  const edge = await withDevice(t, { clientId: "ESP32" });
  t.equal(await codeOf(edge, { clientId: "ESP32" }), 0);
  t.equal(await codeOf(edge, { clientId: "esp32" }), 2);
  t.equal(await codeOf(edge, { clientId: "" }), 2);
});

await test("beyond limits.sessions a new persistent session is refused with 3", async (t) => {
  const edge = await withDevice(t, {}, { sessions: 1 });
  const own = edge.deps.store.credentials.byUsername("device")!;
  edge.sessions.open("kept", own.ulid, false);
  t.equal(await codeOf(edge, { clean: false }), 3);
  t.equal(await codeOf(edge, { clean: true }), 0);
  t.equal(await codeOf(edge, { clientId: "kept", clean: false }), 0);
  edge.sessions.open("c", own.ulid, true);
  t.equal(await codeOf(edge, { clean: false }), 3, "a clean one in its place is none");
});

await test("a will has to lie within the grant, and within the topic levels", async (t) => {
  const edge = await openEdge(t, { topic_levels: 8 });
  const grants = [grantOn([makeBoiler(edge)]), topicsGrant("line1/#", "")];
  makeCredential(edge, "device", grants);
  const rows = [
    ["set/A/things/boiler/properties/mode", 0],
    ["set/A/things/boiler/events/boot", 0],
    ["line1/gone", 0],
    ["set/A/things/boiler", 5],
    ["set/A/things/pump/properties/mode", 5],
    ["status/A/things/boiler/properties/mode", 5],
    ["line2/gone", 5],
    ["$SYS/gone", 5],
    [`line1${"/x".repeat(7)}`, 0],
    [`line1${"/x".repeat(8)}`, 5],
  ] as const;
  for (const [topic, code] of rows)
    t.equal(await codeOf(edge, { will: willTo(topic) }), code, topic);
});

await test("what changes while a password is checked is seen before the session opens", async (t) => {
  const edge = await withDevice(t);
  const { deps: interactions, sessions } = edge;
  const { credentials } = interactions.store;
  const of = { interactions, sessions, logins, isClaimed };
  const admission = await admit(of, connect(), { address: "" });
  if (!admission.ok) throw new Error("refused");
  const again = () => recheck({ interactions, sessions, isClaimed }, connect(), admission.as);
  t.equal(again().ok, true);
  edge.sessions.open("c", "another", true);
  t.match(again(), { ok: false, code: 2 });
  edge.sessions.discard(edge.sessions.get("c")!);
  credentials.delete(admission.as.credential);
  t.match(again(), { ok: false, code: 5 });
});

await test("a box that is nobody's refuses everybody with 5, and checks no password", async (t) => {
  const edge = await withDevice(t, { secret: await hashChosen(PASSWORD, systemRandom) });
  const { deps: interactions, sessions } = edge;
  const box = { isClaimed: false };
  const deps = { interactions, sessions, logins, isClaimed: () => box.isClaimed };
  const { count } = await countStretches(async () => {
    for (const change of [{}, { password: Buffer.from("wrong") }, { username: undefined }]) {
      const admission = await admit(deps, connect(change), { address: "" });
      t.match(admission, { ok: false, code: 5, reason: /claimed/ });
    }
  });
  t.equal(count, 0);
  box.isClaimed = true;
  const admission = await admit(deps, connect(), { address: "" });
  if (!admission.ok) throw new Error(admission.reason);
  box.isClaimed = false;
  t.match(recheck(deps, connect(), admission.as), { ok: false, code: 5 }, "released meanwhile");
});
