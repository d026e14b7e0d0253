import { isDeepStrictEqual } from "node:util";
import { test } from "tap";
import type { ActionRequest } from "../../src/store/action-requests.ts";
import type { Credential } from "../../src/store/credentials.ts";
import { stateKey } from "../../src/store/keys.ts";
import { makeThing } from "../../src/store/things.ts";
import type { Client, Token } from "../../src/store/tokens.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { openTemporaryStore } from "./open-store.ts";

const hash = { kind: "sha256", salt: "c2FsdA", hash: "aGFzaA" } as const;

function thingOf(number: number, account: string, id: string, description: JsonObject = {}): Thing {
  const uid = `01J000000000000000000000${String(number).padStart(2, "0")}`;
  return makeThing({ number, uid, account, id, created: 1, modified: 2, revision: 3, description });
}

const ODD_NAMES = JSON.parse(
  '{"__proto__":{"type":"number"},"constructor":{},"a\\"b 💡":{"readOnly":true},"\u{10ffff}":{}}',
) as JsonObject;

await test("Things are found as before after a restart, by id and by uid", async (t) => {
  const opened = await openTemporaryStore(t);
  const { things } = opened.store;
  const boiler = thingOf(things.takeNumber(), "site", "boiler", {
    "@context": ["x", { y: "z" }],
    properties: ODD_NAMES,
    actions: { go: { input: { type: "integer" } } },
    events: { alarm: { data: { type: "string" } } },
  });
  const other = thingOf(things.takeNumber(), "other", "boiler");
  const gone = thingOf(things.takeNumber(), "site", "gone");
  for (const thing of [boiler, other, gone]) things.put(thing);
  things.delete(gone);
  await opened.reopen();
  const { things: now } = opened.store;
  // tap's comparison does not see a member `__proto__`.
  t.ok(isDeepStrictEqual(now.find("site", "boiler"), boiler));
  t.equal(now.find("site", boiler.uid), now.find("site", "boiler"));
  t.same([...boiler.properties.keys()], ["__proto__", "constructor", 'a"b 💡', "\u{10ffff}"]);
  t.equal(now.byUid(boiler.uid), now.byNumber(boiler.number));
  t.same([...now.ofAccount("site")], [now.byUid(boiler.uid)]);
  t.equal(now.find("other", boiler.uid), undefined, "a uid is of one account");
  t.equal(now.find("site", "gone"), undefined);
  t.equal(now.find("none", "boiler"), undefined);
  t.equal(now.count, 2);
  t.equal(now.countOfAccount("site"), 1);
  t.equal(now.countOfAccount("none"), 0);
  t.equal(now.takeNumber(), 4, "a number is not used again");
});

await test("an id wins over the uid of another Thing", async (t) => {
  const { store } = await openTemporaryStore(t);
  const first = thingOf(1, "site", "first");
  const second = thingOf(2, "site", first.uid);
  store.things.put(first);
  store.things.put(second);
  t.equal(store.things.find("site", first.uid), second);
  t.equal(store.things.byUid(first.uid), first);
});

await test("values of properties are there as before after a restart, whatever their names", async (t) => {
  const opened = await openTemporaryStore(t);
  const { properties } = opened.store;
  const values = [null, false, 0, -1.5e300, "", "💡\u0000", [1, [2]], { a: { "": null } }];
  const names = [...Object.keys(ODD_NAMES), "b", "c", "d", "e"];
  for (const [index, name] of names.entries()) {
    properties.set(7, name, { value: values[index] ?? null, at: index, sequence: index + 1 });
  }
  properties.set(8, "p", { value: 1, at: 1, sequence: 99 });
  properties.set(9, "p", { value: 1, at: 1, sequence: 99 });
  properties.delete(7, "e");
  properties.delete(7, "never there");
  properties.deleteThing(8);
  await opened.reopen();
  const { properties: now } = opened.store;
  t.ok(isDeepStrictEqual(now.ofThing(7), properties.ofThing(7)));
  t.equal(now.ofThing(7).size, names.length - 1);
  t.strictSame(now.get(7, "__proto__"), { value: null, at: 0, sequence: 1 });
  t.equal(now.get(7, "e"), undefined);
  t.equal(now.ofThing(8).size, 0);
  t.equal((await opened.rows("s:")).size, names.length);
  t.ok((await opened.rows("s:")).has(stateKey(9, "p")));
});

await test("action requests are there as before after a restart, and which have not finished", async (t) => {
  const opened = await openTemporaryStore(t);
  const { requests } = opened.store;
  const make = (thing: number, sequence: number, given: Partial<ActionRequest>): ActionRequest => ({
    thing,
    name: "go",
    moment: { at: 1_000 - sequence, sequence },
    status: "pending",
    revision: sequence,
    deadline: { timeToLiveMs: 5, bootId: "b", requestedMonotonicMs: 1.5, isSynced: false },
    ...given,
  });
  const pending = make(1, 1, { input: { "💡": null } });
  const running = make(1, 2, { status: "running", name: '"' });
  const done = make(1, 3, { status: "completed", output: null, error: { a: 1 }, completedAt: 9 });
  const finishing = make(2, 4, {});
  const removed = make(2, 5, {});
  for (const request of [pending, running, done, finishing, removed]) requests.put(request);
  const finished = { ...finishing, status: "failed", completedAt: 10 } as const;
  requests.put(finished);
  requests.delete(removed);
  t.equal(requests.countUnfinishedOf(1), 2);
  await opened.reopen();
  const { requests: now } = opened.store;
  for (const request of [pending, running, done, finished]) {
    t.strictSame(now.get(request.thing, request.name, request.moment), request);
  }
  t.strictSame([...now.unfinished()], [pending, running]);
  t.strictSame([...now.unfinishedOf(1)], [pending, running]);
  t.same([...now.unfinishedOf(2)], []);
  t.equal(now.get(2, "go", removed.moment), undefined);
  t.equal(now.get(1, "stop", pending.moment), undefined, "of another action");
  t.equal(now.get(1, "go", { ...pending.moment, at: 1 }), undefined, "of another time");
  t.equal((await opened.rows("o:")).size, 2);
});

await test("credentials are there as before after a restart, found by ULID and by user", async (t) => {
  const opened = await openTemporaryStore(t);
  const { credentials } = opened.store;
  const plain: Credential = {
    ulid: "01J00000000000000000000001",
    account: "site",
    username: "device",
    secret: hash,
    grants: [{ entity: "things", things: { all: true }, role: "device", definition: false }],
    enabled: true,
    created: 1,
    revision: 1,
  };
  const full: Credential = {
    ...plain,
    ulid: "01J00000000000000000000002",
    username: "full",
    secret: { ...hash, kind: "scrypt" },
    previous: { secret: hash, until: 99 },
    grants: [
      {
        entity: "things",
        things: { all: false, uids: new Set(["b", "a"]) },
        role: "consumer",
        definition: true,
      },
      { entity: "data", things: { all: false, uids: new Set(["a"]) } },
      { entity: "topics", patterns: [{ pub: "line/#", sub: "" }] },
    ],
    enabled: false,
    description: "💡",
    expiresAt: 5,
    clientId: "c",
    revision: 2,
  };
  const gone: Credential = { ...plain, ulid: "01J00000000000000000000003", username: "gone" };
  for (const credential of [full, plain, gone]) credentials.put(credential);
  credentials.put({ ...plain, username: "renamed" });
  t.equal(credentials.byUsername("device"), undefined, "the old name is free at once");
  credentials.delete(gone);
  await opened.reopen();
  const { credentials: now } = opened.store;
  t.strictSame(now.all(), [{ ...plain, username: "renamed" }, full]);
  t.strictSame(now.byUsername("renamed"), now.get(plain.ulid));
  t.equal(now.byUsername("device"), undefined, "the old name is free");
  t.equal(now.byUsername("gone"), undefined);
  t.equal(now.get(gone.ulid), undefined);
  t.strictSame(now.withDeadline(), [full]);
  t.equal(now.ofAccount("site").length, 2);
  t.same(now.ofAccount("none"), []);
  t.equal(now.count, 2);
});

await test("tokens, clients and accounts are there as before after a restart", async (t) => {
  const opened = await openTemporaryStore(t);
  const { tokens, clients, accounts } = opened.store;
  const box: Token = { ulid: "01B", digest: "d1", scopes: ["gateway.manage"], created: 1 };
  const full: Token = {
    ulid: "01A",
    digest: "d2",
    account: "site",
    scopes: ["thing.read", "data.read"],
    description: "d",
    created: 2,
    expiresAt: 3,
    client: "01C",
    owner: "anna",
  };
  const client: Client = { ulid: "01C", account: "site", secret: hash, scopes: [], created: 1 };
  for (const token of [box, full, { ...full, ulid: "01G", digest: "d3" }]) tokens.put(token);
  for (const one of [client, { ...client, ulid: "01D", description: "x" }]) clients.put(one);
  tokens.delete({ ...full, ulid: "01G", digest: "d3" });
  clients.delete({ ...client, ulid: "01D" });
  accounts.put({ name: "site", created: 1, revision: 1 });
  accounts.put({ name: "Site", description: "another", created: 1, revision: 7 });
  accounts.put({ name: "gone", created: 1, revision: 1 });
  accounts.delete("gone");
  await opened.reopen();
  const now = opened.store;
  t.strictSame(now.tokens.all(), [full, box]);
  t.strictSame(now.tokens.byDigest("d2"), now.tokens.get("01A"));
  t.equal(now.tokens.byDigest("d3"), undefined);
  t.equal(now.tokens.count, 2);
  t.strictSame(now.clients.ofAccount("site"), [client]);
  t.equal(now.clients.get("01D"), undefined);
  t.equal(now.clients.count, 1);
  t.strictSame(now.accounts.all(), [
    { name: "Site", description: "another", created: 1, revision: 7 },
    { name: "site", created: 1, revision: 1 },
  ]);
  t.equal(now.accounts.get("gone"), undefined);
  t.equal(now.accounts.count, 2);
});
