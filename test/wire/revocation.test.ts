import { t as file, test, type Test } from "tap";
import { Client, connackCode } from "./client.ts";
import { Site, type Login } from "./site.ts";
import { BOILER } from "./things.ts";

const site = await Site.start(file);
await site.makeThing("boiler", BOILER);
await site.makeThing("pump", BOILER);
const EVENTS = "status/A/things/boiler/events/#";
const RESOURCES = [{ entity: "things", id: ["boiler"] }];

async function change(login: Login, json: object): Promise<Partial<Login>> {
  return (await site.did("PATCH", `/A/mqtt/${login.ulid}`, json)).json as Partial<Login>;
}

async function emit(data: string): Promise<void> {
  await site.did("POST", "/A/things/boiler/events/alarm", { alarm: { data } });
}

/** A live connection with a persistent session, and one that is away with something queued. */
async function inUse(
  t: Test,
  more: Readonly<Record<string, unknown>> = {},
): Promise<{ readonly login: Login; readonly live: Client; readonly id: string }> {
  const login = await site.makeCredential(RESOURCES, more);
  const id = login.username;
  const away = await Client.connect(t, site, login, { clientId: `${id}-away`, clean: false });
  await away.subscribe(EVENTS);
  await away.end();
  const live = await Client.connect(t, site, login, { clientId: `${id}-live`, clean: false });
  await live.subscribe(EVENTS);
  await emit("queued");
  await live.take();
  return { login, live, id };
}

async function sessionCount(): Promise<number> {
  const reply = await site.did("GET", "/gateway");
  const { broker } = reply.json as { broker: { sessions: { all: number } } };
  return broker.sessions.all;
}

const ENDINGS: readonly (readonly [what: string, end: (login: Login) => Promise<unknown>])[] = [
  ["deleted", async ({ ulid }) => site.did("DELETE", `/A/mqtt/${ulid}`)],
  ["disabled", async (login) => change(login, { enabled: false })],
  [
    "left without a Thing",
    async () => {
      await site.did("DELETE", "/A/things/boiler");
      await site.makeThing("boiler", BOILER);
    },
  ],
];

for (const [what, end] of ENDINGS) {
  await test(`a credential that is ${what} loses its connections and sessions at once`, async (t) => {
    const { login, live, id } = await inUse(t);
    const before = await sessionCount();
    await end(login);
    await live.untilClosed();
    t.ok((await sessionCount()) <= before - 2, "the one that was away, too");
    if (what === "disabled") {
      t.equal(await connackCode(t, site, login), 4);
      await change(login, { enabled: true });
    } else if (what === "deleted") {
      t.equal(await connackCode(t, site, login), 4);
      return;
    }
    for (const clientId of [`${id}-live`, `${id}-away`]) {
      const again = await Client.connect(t, site, login, { clientId, clean: false });
      t.equal(again.sessionPresent, false, "what it was owed is gone");
      t.same(await again.take(), []);
      await again.end();
    }
  });
}

await test("a credential that expires loses its connections and sessions within a second", async (t) => {
  const at = new Date(site.clock.wall + 60_000).toISOString();
  const { login, live, id } = await inUse(t, { expires_at: at });
  site.clock.advance(59_000);
  await live.fence();
  site.clock.advance(1_500);
  await live.untilClosed();
  t.equal(await connackCode(t, site, login), 4);
  await change(login, { expires_at: new Date(site.clock.wall + 60_000).toISOString() });
  const again = await Client.connect(t, site, login, { clientId: `${id}-away`, clean: false });
  t.equal(again.sessionPresent, false);
});

await test("an expiry set in the past ends the connection at once", async (t) => {
  const { login, live } = await inUse(t);
  await change(login, { expires_at: new Date(site.clock.wall - 1_000).toISOString() });
  site.clock.advance(1_000);
  await live.untilClosed();
});

await test("a new password closes the connections of the old one, and sessions stay", async (t) => {
  const { login, live, id } = await inUse(t);
  const { password } = await change(login, { password: "" });
  t.type(password, "string");
  await live.untilClosed();
  t.equal(await connackCode(t, site, login), 4);
  await emit("meanwhile");
  const changed = { ...login, password: password ?? "" };
  const again = await Client.connect(t, site, changed, { clientId: `${id}-live`, clean: false });
  t.equal(again.sessionPresent, true);
  t.match(await again.takeJson(), [[/alarm/, { alarm: { data: "meanwhile" } }]]);
  const away = await Client.connect(t, site, changed, { clientId: `${id}-away`, clean: false });
  t.equal((await away.take()).length, 2, "what was queued before and since");
});

await test("with overlap the old password works for so long, then its connections close", async (t) => {
  const { login, live, id } = await inUse(t);
  const { password } = await change(login, { password: "", overlap: 30 });
  const changed = { ...login, password: password ?? "" };
  const renewed = await Client.connect(t, site, changed, { clientId: "renewed" });
  await live.fence();
  t.equal(await connackCode(t, site, login), 0);
  site.clock.advance(29_000);
  await live.fence();
  site.clock.advance(1_500);
  await live.untilClosed();
  t.equal(await connackCode(t, site, login), 4);
  await renewed.fence();
  const again = await Client.connect(t, site, changed, { clientId: `${id}-live`, clean: false });
  t.equal(again.sessionPresent, true);
});

await test("changes that take nothing away close nothing", async (t) => {
  const { login, live } = await inUse(t);
  await change(login, { description: "in the cellar" });
  await change(login, { enabled: true });
  await change(login, { resources: [{ entity: "things", id: ["boiler", "pump"] }] });
  t.same(await live.subscribe("status/A/things/pump/properties/#"), [1], "new grants hold at once");
  await emit("still there");
  t.match(await live.takeJson(), [[/alarm/, { alarm: { data: "still there" } }]]);
});

await test("grants taken away hold at once, for publishing, subscribing and what is forwarded", async (t) => {
  const { login, live } = await inUse(t);
  await change(login, { resources: [{ entity: "things", id: ["pump"] }] });
  await emit("not for it");
  await live.publish("set/A/things/boiler/events/alarm", { alarm: { data: "not from it" } });
  t.same(await live.take(), []);
  t.same(await live.subscribe(EVENTS), [128]);
  const list = await site.did("GET", "/A/things/boiler/events/alarm?limit=1");
  t.match(list.json, { data: [{ alarm: { data: "not for it" } }] });
});

await test("what was queued under a grant that is gone since is not delivered", async (t) => {
  const { login, id } = await inUse(t);
  await change(login, { resources: [{ entity: "things", id: ["pump"] }] });
  const again = await Client.connect(t, site, login, { clientId: `${id}-away`, clean: false });
  t.same(await again.take(), []);
});

await test("another user name or client id closes what was connected with the one before", async (t) => {
  const renamed = await inUse(t);
  await change(renamed.login, { user: "a-new-name" });
  await renamed.live.untilClosed();
  t.equal(await connackCode(t, site, renamed.login), 4);
  t.equal(await connackCode(t, site, { ...renamed.login, username: "a-new-name" }), 0);
  const bound = await inUse(t);
  await change(bound.login, { client_id: `${bound.id}-live` });
  await bound.live.fence();
  await change(bound.login, { client_id: "another" });
  await bound.live.untilClosed();
});

await test("deleting a credential while its password is checked lets nobody in", async (t) => {
  const login = await site.makeCredential(RESOURCES, { password: "slow to check" });
  const [code] = await Promise.all([
    connackCode(t, site, login, { clientId: "race" }),
    site.did("DELETE", `/A/mqtt/${login.ulid}`),
  ]);
  t.ok(code === 4 || code === 5 || code === undefined, String(code));
  t.equal(await connackCode(t, site, login), 4);
});

await test("a revoked client's will is not published", async (t) => {
  const watching = await Client.connect(t, site, await site.makeDevice("boiler"));
  await watching.subscribe(EVENTS);
  const login = await site.makeDevice("boiler");
  const topic = "set/A/things/boiler/events/boot";
  const will = { topic, payload: Buffer.from('{"boot":{}}'), qos: 1, retain: false } as const;
  const client = await Client.connect(t, site, login, { will });
  await site.did("DELETE", `/A/mqtt/${login.ulid}`);
  await client.untilClosed();
  t.same(await watching.take(), []);
});

await test("revocation outlives a restart", async (t) => {
  const { login } = await inUse(t);
  await site.did("DELETE", `/A/mqtt/${login.ulid}`);
  const before = await sessionCount();
  await site.crash();
  t.equal(await connackCode(t, site, login), 4);
  t.ok((await sessionCount()) <= before);
});
