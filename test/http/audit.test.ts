import { test, type Test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { makeRoutes } from "../../src/http/routes.ts";
import { AUDIT_ACTIONS_OF_THE_GATEWAY } from "../../src/store/audit.ts";
import { tokenKey } from "../../src/store/keys.ts";
import { tableRows } from "../documents.ts";
import { basic, BOILER, startGateway, type Gateway } from "./harness.ts";

const ROUTES = makeRoutes(new AddressRate(0, { monotonicMs: () => 0 }));

/** Values, action requests, events, data and what is back-filled: they have a history of their own. */
const OF_VALUES: readonly string[] = [
  "PUT /:account/things/:thing/properties",
  "POST /:account/things/:thing/properties",
  "PUT /:account/things/:thing/properties/:property",
  "POST /:account/things/:thing/properties/:property",
  "POST /:account/things/:thing/properties-history",
  "POST /:account/things/:thing/properties-history/:property",
  "POST /:account/things/:thing/actions",
  "POST /:account/things/:thing/actions/:action",
  "PUT /:account/things/:thing/actions/:action/:id",
  "DELETE /:account/things/:thing/actions/:action/:id",
  "POST /:account/things/:thing/events/:event",
  "POST /:account/data/:thing",
  // A stranger's question changes nothing until a person decides on it; a flood of them would fill the log.
  "POST /join",
];

type Entry = Readonly<Record<string, unknown>> & { readonly action: string };

async function entries(gateway: Gateway, query = ""): Promise<readonly Entry[]> {
  const { json, status, text } = await gateway.call("GET", `/gateway/audit?limit=1000${query}`);
  if (status !== 200) throw new Error(text);
  return json.data as unknown as readonly Entry[];
}

await test("every route that changes something is audited, or one of values", (t) => {
  for (const { method, path, audit } of ROUTES) {
    const name = `${method} ${path}`;
    if (method === "GET") t.equal(audit, undefined, `${name} changes nothing`);
    else t.equal(audit === undefined, OF_VALUES.includes(name), name);
  }
  const known = ROUTES.map(({ method, path }) => `${method} ${path}`);
  for (const name of OF_VALUES) t.ok(known.includes(name), `${name} is a route`);
  t.end();
});

await test("docs/security.md has a row for each action, and no other", (t) => {
  const rows = tableRows("docs/security.md", ["action", "what happened"]);
  const ofRoutes = ROUTES.flatMap(({ audit }) => (audit === undefined ? [] : [audit]));
  const expected = new Set([...ofRoutes, ...AUDIT_ACTIONS_OF_THE_GATEWAY]);
  const documented = rows.map(([action = ""]) => action.replaceAll("`", ""));
  t.same(documented.toSorted(), [...expected].sort());
  t.end();
});

/** A change by each kind of route, and what its record has to say. */
async function changeEverything(gateway: Gateway): Promise<readonly (readonly [string, string])[]> {
  const told: (readonly [string, string])[] = [];
  const change = async (method: string, path: string, action: string, json?: unknown) => {
    const reply = await gateway.call(method, path, json === undefined ? {} : { json });
    if (reply.status >= 400) throw new Error(`${method} ${path}: ${reply.text}`);
    const location = reply.headers.get("location");
    told.push([action, location ?? path]);
    return location ?? path;
  };
  await change("PUT", "/gateway/accounts/C", "account.change", {});
  await change("DELETE", "/gateway/accounts/C", "account.delete");
  const boiler = await change("POST", "/A/things", "thing.create", BOILER);
  await change("PUT", boiler, "thing.define", BOILER);
  await change("PATCH", boiler, "thing.define", { title: "Other" });
  await change("DELETE", `${boiler}/properties/mode`, "element.delete");
  const resources = [{ entity: "things", id: ["boiler"] }];
  const credential = await change("POST", "/A/mqtt", "credential.create", { resources });
  await change("PATCH", credential, "credential.change", { enabled: false });
  await change("DELETE", credential, "credential.delete");
  await change("DELETE", boiler, "thing.delete");
  const scopes = ["thing.read"];
  const token = await change("POST", "/gateway/tokens", "token.create", { scopes });
  await change("DELETE", token, "token.delete");
  const client = await change("POST", "/A/clients", "client.create", { scopes });
  await change("DELETE", client, "client.delete");
  const url = "mqtt://broker.example";
  await change("PUT", "/gateway/uplinks/plant", "uplink.change", { url });
  await change("POST", "/gateway/uplinks/plant/pause", "uplink.pause");
  await change("DELETE", "/gateway/uplinks/plant", "uplink.delete");
  return told;
}

await test("a change is recorded with who, from where, on what, when and its request id", async (t) => {
  const gateway = await startGateway(t);
  const told = await changeEverything(gateway);
  const found = await entries(gateway);
  t.same(found.map(({ action, target }) => [action, target]).reverse(), told);
  for (const entry of found) {
    t.match(entry, {
      principal: /^token [0-9A-Z]{26}$/,
      address: "127.0.0.1",
      channel: "http",
      result: "ok",
      at: /^\d{4}-\d\d-\d\dT/,
      request_id: /^[0-9a-f]{12}-/,
      count: 1,
    });
  }
});

await test("a record is on disk with its change: in the same batch", async (t) => {
  const gateway = await startGateway(t);
  await gateway.deps.store.commit.flushed();
  // When a token was last used is noted in its row.
  const used = gateway.deps.store.tokens.all().map(({ ulid }) => tokenKey(ulid));
  const batches = recordBatches(gateway);
  await changeEverything(gateway);
  const isChange = (key: string): boolean => /^[aktlu]:|^q:u/.test(key) && !used.includes(key);
  const changes = batches.filter((keys) => keys.some(isChange));
  t.ok(changes.length > 10, "batches with changes were seen");
  for (const keys of changes) {
    t.ok(
      keys.some((key) => key.startsWith("j:")),
      keys.join(" "),
    );
  }
});

/** Keys of each batch from now on. */
function recordBatches({ deps }: Gateway): readonly (readonly string[])[] {
  const { database } = deps.store;
  const batches: string[][] = [];
  const makeBatch = database.batch.bind(database);
  database.batch = () => {
    const batch = makeBatch();
    const keys: string[] = [];
    batches.push(keys);
    return {
      put: (key, value) => {
        keys.push(key);
        batch.put(key, value);
      },
      del: (key) => {
        keys.push(key);
        batch.del(key);
      },
      write: async (options) => batch.write(options),
    };
  };
  return batches;
}

await test("what was refused is recorded with its code, and folded where it repeats", async (t) => {
  const gateway = await startGateway(t);
  const weak = gateway.token(["thing.read"]);
  await gateway.call("PUT", "/gateway/accounts/C", { token: weak, json: {} });
  for (let n = 0; n < 5; n += 1) {
    await gateway.call("DELETE", `/gateway/tokens/01J0000000000000000000000${n}`);
  }
  await gateway.call("POST", "/A/things", { body: "{" });
  t.same(
    (await entries(gateway)).map(({ action, result }) => [action, result]),
    [
      ["thing.create", "not-json"],
      ["token.delete", "not-found"],
      ["account.change", "forbidden"],
    ],
  );
});

await test("log-ins that failed are recorded, and not what they wanted", async (t) => {
  const gateway = await startGateway(t);
  const wrong = { token: "slu_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
  for (let n = 0; n < 3; n += 1) await gateway.call("DELETE", "/A/things/boiler", wrong);
  await gateway.call("DELETE", "/A/things/boiler", { token: undefined });
  const basic = { authorization: `Basic ${btoa("pump:wrong-password")}` };
  await gateway.call("GET", "/A/things", { token: undefined, headers: basic });
  t.match(await entries(gateway), [
    { action: "access.login", principal: "nobody", result: "unknown-user", target: "", count: 1 },
    { action: "access.login", principal: "nobody", result: "unknown-token", count: 1 },
  ]);
});

await test("values, requests, events and data are not audited", async (t) => {
  const gateway = await startGateway(t);
  await gateway.call("POST", "/A/things", { json: BOILER });
  const before = (await entries(gateway)).length;
  await gateway.call("PUT", "/A/things/boiler/properties/target", { json: { target: 20 } });
  await gateway.call("POST", "/A/things/boiler/actions/reset", { json: { reset: {} } });
  await gateway.call("POST", "/A/things/boiler/events/boot", { json: { boot: {} } });
  await gateway.call("POST", "/A/data/boiler", { json: { a: 1 } });
  t.equal((await entries(gateway)).length, before);
});

async function withThings(t: Test): Promise<Gateway> {
  const gateway = await startGateway(t);
  for (let n = 0; n < 5; n += 1) await gateway.call("PUT", `/A/things/t${n}`, { json: {} });
  await gateway.call("DELETE", "/A/things/t1");
  return gateway;
}

await test("records are asked for by time, principal, action, target and result", async (t) => {
  const gateway = await withThings(t);
  const targets = async (query: string) =>
    (await entries(gateway, query)).map(({ target }) => target);
  const all = await targets("");
  t.equal(all.length, 6);
  t.same(await targets("&action=thing.delete"), ["/A/things/t1"]);
  t.same(await targets("&action=thing"), all);
  t.same(await targets("&action=thin"), []);
  t.same(await targets("&target=/A/things/t1"), ["/A/things/t1", "/A/things/t1"]);
  t.same(await targets("&result=forbidden"), []);
  t.same(await targets("&principal=nobody"), []);
  t.same(await targets("&at=2000-01-01T00:00:00Z|2000-01-02T00:00:00Z"), []);
  t.same(await targets("&at=2000-01-01T00:00:00Z|2100-01-02T00:00:00Z"), all);
  t.equal((await gateway.call("GET", "/gateway/audit?at=2000-01-01T00:00:00Z")).status, 400);
});

await test("pages lead on, back, and export a record a line", async (t) => {
  const gateway = await withThings(t);
  const numbersOf = (data: unknown): readonly unknown[] =>
    (data as readonly Entry[]).map(({ number }) => number);
  const first = await gateway.call("GET", "/gateway/audit?limit=2");
  t.same(numbersOf(first.json.data), [6, 5]);
  const next = first.json.paging.next_cursor;
  const second = await gateway.call("GET", `/gateway/audit?limit=2&next_cursor=${next}`);
  t.same(numbersOf(second.json.data), [4, 3]);
  const back = second.json.paging.previous_cursor;
  const again = await gateway.call("GET", `/gateway/audit?limit=2&previous_cursor=${back}`);
  t.same(numbersOf(again.json.data), [6, 5]);

  const headers = { accept: "application/x-ndjson" };
  const exported = await gateway.call("GET", "/gateway/audit?limit=4", { headers });
  t.equal(exported.headers.get("content-type"), "application/x-ndjson");
  t.match(exported.headers.get("link"), /next_cursor=.*rel="next"/);
  const lines = exported.text.trimEnd().split("\n");
  t.same(numbersOf(lines.map((line) => JSON.parse(line) as unknown)), [6, 5, 4, 3]);
  const whole = await gateway.call("GET", "/gateway/audit", { headers });
  t.equal(whole.text.split("\n").length, 7);
  t.equal(whole.headers.get("link"), null);
});

await test("only who manages the box reads it, and nothing takes a record away", async (t) => {
  const gateway = await withThings(t);
  const read = gateway.token(["gateway.read"]);
  t.equal((await gateway.call("GET", "/gateway/audit", { token: read })).status, 403);
  const ofAccount = gateway.token(["thing.manage"], "A");
  t.equal((await gateway.call("GET", "/gateway/audit", { token: ofAccount })).status, 403);
  for (const method of ["DELETE", "PUT", "PATCH", "POST"]) {
    t.equal((await gateway.call(method, "/gateway/audit")).status, 405, method);
  }
});

await test("who logs in again and again does not push the others out of the log", async (t) => {
  const gateway = await startGateway(t);
  const password = "correct horse battery";
  await gateway.call("PUT", "/gateway/users/vic", { json: { role: "viewer", password } });
  for (let n = 0; n < 20; n += 1) {
    const json = { user: "vic", password };
    const reply = await gateway.call("POST", "/gateway/sessions", { token: undefined, json });
    t.equal(reply.status, 201);
  }
  t.equal((await entries(gateway, "&action=session.open")).length, 1, "the others are counted");
});

await test("who logs in by Basic is recorded once an hour, for each address and person", async (t) => {
  const time = { ms: 1 };
  const gateway = await startGateway(t, { clock: { monotonicMs: () => time.ms } });
  const password = "correct horse battery";
  for (const name of ["vic", "ann"]) {
    await gateway.call("PUT", `/gateway/users/${name}`, { json: { role: "viewer", password } });
  }
  const ask = async (user: string, given = password): Promise<number> =>
    (await gateway.call("GET", "/A/things", { token: undefined, headers: basic(user, given) }))
      .status;
  const logIns = async () => entries(gateway, "&action=access.login&result=ok");
  for (let n = 0; n < 5; n += 1) t.equal(await ask("vic"), 200);
  t.equal(await ask("ann", "a guess"), 401);
  t.equal((await logIns()).length, 1);
  t.match(await logIns(), [{ principal: "user vic", target: "vic", address: "127.0.0.1" }]);
  t.equal(await ask("ann"), 200);
  time.ms += 3_599_999;
  t.equal(await ask("vic"), 200);
  t.equal((await logIns()).length, 2, "so far each of them once");
  time.ms += 1;
  t.equal(await ask("vic"), 200);
  t.equal((await logIns()).length, 3);
});
