import { test, type Test } from "tap";
import { uplinkObject } from "../../src/interactions/uplink-object.ts";
import {
  adoptFileUplinks,
  deleteUplink,
  findUplink,
  listUplinks,
  pauseUplink,
  putUplink,
  testUplink,
  type UplinkDeps,
  type UplinkLine,
} from "../../src/interactions/uplinks.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import { GIVEN_UPLINK } from "../../src/uplink-members.ts";
import type { UplinkSettings } from "../../src/uplink-settings.ts";
import { settingsOf } from "../uplink/shape-samples.ts";
import { ADMIN, makeBoiler, refusalOf, startHarness, tokenOf, type Harness } from "./harness.ts";

type Site = {
  readonly harness: Harness;
  readonly told: string[];
  readonly lines: Map<string, UplinkLine>;
  readonly deps: (file?: Readonly<Record<string, UplinkSettings>>) => UplinkDeps;
};

/** The interactions, with what they told the uplink side written down. */
async function startSite(t: Test): Promise<Site> {
  const harness = await startHarness(t);
  const told: string[] = [];
  const lines = new Map<string, UplinkLine>();
  const deps = (file: Readonly<Record<string, UplinkSettings>> = {}): UplinkDeps => ({
    ...harness.deps,
    fileUplinks: new Map(Object.entries(file)),
    uplinkChanged: (name) => told.push(name),
    uplinkLine: (name) => lines.get(name),
    uplinkCounts: () => undefined,
    testUplink: async (name) =>
      Promise.resolve({ isReached: true, detail: `reached ${name}`, tookMs: 7 }),
  });
  return { harness, told, lines, deps };
}

function put(deps: UplinkDeps, name: string, given: JsonObject = {}) {
  const parsed = GIVEN_UPLINK.parse({ url: "mqtt://upstream", ...given });
  return putUplink(deps, { principal: ADMIN, name, given: parsed });
}

const on = (name: string) => ({ principal: ADMIN, name });

await test("an uplink that was PUT is there after a restart, secrets and all", async (t) => {
  const { harness, told, deps } = await startSite(t);
  const { created } = put(deps(), "cloud", { username: "u", password: "secret", window: 9 });
  t.ok(created);
  t.same(told, ["cloud"], "the uplink side was told");
  t.ok((await harness.rows("")).size > 0, "it is written");
  await harness.restart();
  const { uplink } = findUplink(deps(), on("cloud"));
  t.match(uplink.settings, { settings: { username: "u", password: "secret", window: 9 } });
  t.notMatch(JSON.stringify(uplinkObject(deps(), findUplink(deps(), on("cloud")))), /secret/);
});

await test("a change keeps the secrets it leaves out, and what is owed", async (t) => {
  const { harness, told, deps } = await startSite(t);
  const before = put(deps(), "cloud", { username: "u", password: "secret" }).outbox;
  makeBoiler(harness);
  const { outbox, created } = put(deps(), "cloud", { username: "v", url: "mqtt://other" });
  t.notOk(created);
  t.equal(outbox, before, "the outbox is the same");
  t.match(outbox.uplink, {
    revision: 2,
    settings: { settings: { username: "v", password: "secret", url: "mqtt://other" } },
  });
  t.ok(outbox.state.depth.rows > 0);
  t.equal(put(deps(), "cloud", { username: "v", url: "mqtt://other" }).outbox.uplink.revision, 2);
  t.same(told, ["cloud", "cloud"], "the same settings again are no change");
});

await test("pausing outlasts a restart and a change", async (t) => {
  const { harness, told, lines, deps } = await startSite(t);
  const stateOf = (name: string) => uplinkObject(deps(), findUplink(deps(), on(name)))["state"];
  put(deps(), "cloud");
  t.equal(stateOf("cloud"), "connecting", "there is no line yet");
  const since = harness.clock.wall;
  lines.set("cloud", { opened: 1, failed: 2, state: "connected", since });
  t.equal(stateOf("cloud"), "connected");
  pauseUplink(deps(), { ...on("cloud"), isPaused: true });
  t.equal(stateOf("cloud"), "paused", "though the line is not closed yet");
  pauseUplink(deps(), { ...on("cloud"), isPaused: true });
  t.same(told, ["cloud", "cloud"], "twice is as once");
  put(deps(), "cloud", { window: 3 });
  await harness.restart();
  const { outboxes } = harness.deps.store;
  t.ok(outboxes.get("cloud")?.uplink.isPaused);
  pauseUplink(deps(), { ...on("cloud"), isPaused: false });
  t.notOk(outboxes.get("cloud")?.uplink.isPaused);
});

await test("a deleted uplink is gone, and a new one of its name begins anew", async (t) => {
  const { harness, told, deps } = await startSite(t);
  const { number } = put(deps(), "cloud").outbox.uplink;
  deleteUplink(deps(), on("cloud"));
  t.same(told, ["cloud", "cloud"]);
  t.equal(refusalOf(() => findUplink(deps(), on("cloud"))).code, "not-found");
  await harness.restart();
  t.same(listUplinks(deps(), ADMIN), []);
  t.not(put(deps(), "cloud").outbox.uplink.number, number);
});

await test("the file's uplinks are read-only, but for pause and test", async (t) => {
  const { told, deps } = await startSite(t);
  const file = deps({ plant: settingsOf({ password: "secret" }) });
  adoptFileUplinks(file);
  const refused = refusalOf(() => put(file, "plant"));
  t.equal(refused.code, "conflict");
  t.match(refused.message, /configuration file: change it there/);
  t.equal(refusalOf(() => deleteUplink(file, on("plant"))).code, "conflict");
  t.ok(pauseUplink(file, { ...on("plant"), isPaused: true }).uplink.isPaused);
  t.same(told, ["plant"]);
  t.match(await testUplink(file, on("plant")), { isReached: true });
  t.match(uplinkObject(file, findUplink(file, on("plant"))), {
    origin: "file",
    has_password: true,
  });
});

await test("what the file says now takes the place of what was PUT, and keeps what is owed", async (t) => {
  const { harness, deps } = await startSite(t);
  const { number } = put(deps(), "plant", { password: "secret" }).outbox.uplink;
  makeBoiler(harness);
  await harness.restart();
  const file = deps({ plant: settingsOf({ url: "mqtt://plant", username: "u", password: "new" }) });
  adoptFileUplinks(file);
  const { uplink, state } = findUplink(file, on("plant"));
  t.equal(uplink.number, number);
  t.ok(state.depth.rows > 0);
  t.notMatch(JSON.stringify(uplink), /secret|new/, "its password stays in the file");
  const { revision } = uplink;
  adoptFileUplinks(file);
  t.equal(findUplink(file, on("plant")).uplink.revision, revision, "the same again is no change");
});

await test("an uplink gone from the file waits for somebody to decide", async (t) => {
  const { harness, lines, deps } = await startSite(t);
  adoptFileUplinks(deps({ plant: settingsOf({ username: "u", password: "secret" }) }));
  await harness.restart();
  const without = deps();
  adoptFileUplinks(without);
  lines.set("plant", { opened: 1, failed: 2, state: "connecting", since: 1 });
  t.match(uplinkObject(without, findUplink(without, on("plant"))), {
    ...{ origin: "api", state: "paused", last_error: /does not name it any more/ },
    ...{ url: "mqtt://upstream", has_password: false },
  });
  t.match(await testUplink(without, on("plant")), { isReached: false });
  put(without, "plant", { username: "u", password: "other" });
  t.match(uplinkObject(without, findUplink(without, on("plant"))), { state: "connecting" });
  deleteUplink(without, on("plant"));
  t.same(listUplinks(without, ADMIN), []);
});

await test("settings that do not go together are refused, and nothing is changed", async (t) => {
  const { told, deps } = await startSite(t);
  const wrong = refusalOf(() => put(deps(), "cloud", { shape: "peer", order: "live-first" }));
  t.match(wrong, { code: "malformed", pointers: ["/order"] });
  t.equal(refusalOf(() => put(deps(), "a.b")).code, "malformed");
  t.same(listUplinks(deps(), ADMIN), []);
  t.same(told, []);
});

await test("there is a bound on uplinks", async (t) => {
  const { deps } = await startSite(t);
  for (let index = 0; index < FIXED_LIMITS.uplinksMax; index += 1) put(deps(), `u${index}`);
  t.equal(refusalOf(() => put(deps(), "one-more")).code, "limit-reached");
  t.notOk(put(deps(), "u0", { window: 2 }).created, "those there are can be changed");
});

await test("uplinks take a token of the box", async (t) => {
  const { deps } = await startSite(t);
  put(deps(), "cloud");
  const reader = tokenOf(undefined, "gateway.read");
  const manager = tokenOf(undefined, "gateway.manage");
  const ofAccount = tokenOf("site", "gateway.read", "gateway.manage");
  const given = GIVEN_UPLINK.parse({ url: "mqtt://upstream" });
  const calls = {
    find: (principal = ADMIN) => findUplink(deps(), { principal, name: "cloud" }),
    list: (principal = ADMIN) => listUplinks(deps(), principal),
    put: (principal = ADMIN) => putUplink(deps(), { principal, name: "cloud", given }),
    pause: (principal = ADMIN) => pauseUplink(deps(), { principal, name: "cloud", isPaused: true }),
    delete: (principal = ADMIN) => {
      deleteUplink(deps(), { principal, name: "cloud" });
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    const isRead = name === "find" || name === "list";
    t.equal(refusalOf(() => call(isRead ? manager : reader)).code, "forbidden", name);
    t.equal(refusalOf(() => call(ofAccount)).code, "forbidden", `${name}, of an account`);
  }
  await t.rejects(testUplink(deps(), { principal: reader, name: "cloud" }), { code: "forbidden" });
  t.doesNotThrow(() => calls.find(reader));
  t.doesNotThrow(() => calls.delete(manager));
});

await test("how an uplink stands is shown with times, ages and losses", async (t) => {
  const { harness, lines, deps } = await startSite(t);
  const { outbox } = put(deps(), "cloud", { bounds: { property: { rows: 5 } } });
  lines.set("cloud", {
    opened: 1,
    failed: 2,
    state: "refused",
    since: Date.UTC(2026, 0, 1),
    lastError: { detail: "not authorized", at: Date.UTC(2026, 0, 2) },
  });
  makeBoiler(harness);
  t.match(uplinkObject(deps(), outbox), {
    ...{ name: "cloud", origin: "api", url: "mqtt://upstream", shape: "mirror" },
    bounds: { property: { rows: 5 } },
    ...{ state: "refused", since: "2026-01-01T00:00:00.000Z" },
    ...{ last_error: "not authorized", last_error_at: "2026-01-02T00:00:00.000Z" },
    ...{ acked_seq: 0, acked_age_s: null, snapshot_done: Boolean, drops: [] },
    up: { owed: 1, acknowledged: 0, lines: 1, failures: 2 },
    down: { applied: 0, unchanged: 0, lost: 0, repeated: 0, refused: {} },
    depth: { rows: Number, bytes: Number, oldest_age_s: Number },
    ...{ full_in_s: null, empty_in_s: null, in_per_s: Number, out_per_s: Number },
  });
});

await test("pause and resume are shown at once, however far the line is behind", async (t) => {
  const { lines, deps } = await startSite(t);
  const { outbox } = put(deps(), "cloud");
  const connected = { ...{ opened: 1, failed: 0 }, state: "connected", since: 1 } as const;
  lines.set("cloud", connected);
  pauseUplink(deps(), { ...on("cloud"), isPaused: true });
  const { modified, state, since } = uplinkObject(deps(), outbox);
  t.same([state, since], ["paused", modified]);
  lines.set("cloud", { ...connected, state: "paused", since: 2 });
  pauseUplink(deps(), { ...on("cloud"), isPaused: false });
  t.equal(uplinkObject(deps(), outbox)["state"], "connecting");
});
