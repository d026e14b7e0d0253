import { test } from "tap";
import { BOILER, startGateway } from "./harness.ts";

await test("accounts are made, described, listed and deleted", async (t) => {
  const { call } = await startGateway(t);
  const made = await call("PUT", "/gateway/accounts/hall-7", { json: { description: "Hall 7" } });
  t.equal(made.status, 201);
  t.equal(made.headers.get("location"), "/gateway/accounts/hall-7");
  t.match(made.json, { account: "hall-7", description: "Hall 7", created: /Z$/, things: 0 });
  const again = await call("PUT", "/gateway/accounts/hall-7");
  t.equal(again.status, 200, "no body is an empty one");
  t.equal(again.json.created, made.json.created);
  const names = (await call("GET", "/gateway/accounts")).json.data;
  t.same(
    names.map(({ account }) => account),
    ["A", "B", "hall-7"],
  );
  const second = (await call("GET", "/gateway/accounts?limit=1&next_cursor=A")).json;
  t.match(second, { data: [{ account: "B" }], paging: { next_cursor: "B", previous_cursor: "B" } });

  await call("POST", "/A/things", { json: BOILER });
  t.equal((await call("GET", "/gateway/accounts/A")).json.things, 1);
  const full = await call("DELETE", "/gateway/accounts/A");
  t.equal(full.status, 409);
  t.equal(full.json.code, "account-not-empty");
  t.equal((await call("DELETE", "/gateway/accounts/A?force=yes")).status, 400);
  t.equal((await call("DELETE", "/gateway/accounts/A?force=false")).status, 409);
  t.equal((await call("DELETE", "/gateway/accounts/A?force=true")).status, 204);
  t.equal((await call("GET", "/A/things/boiler")).json.code, "unknown-account");
  t.equal((await call("DELETE", "/gateway/accounts/hall-7")).status, 204);
  t.equal((await call("DELETE", "/gateway/accounts/hall-7")).json.code, "unknown-account");
  t.equal((await call("GET", "/gateway/accounts/hall-7")).status, 404);

  for (const name of ["gateway", "things", "-x", "a.b", "x".repeat(65), "a%20b"]) {
    t.equal((await call("PUT", `/gateway/accounts/${name}`)).json.code, "malformed", name);
  }
  t.equal(
    (await call("PUT", "/gateway/accounts/x", { json: { x: 1 } })).json.code,
    "unknown-member",
  );
});

await test("an account has a tag", async (t) => {
  const { call } = await startGateway(t);
  const path = "/gateway/accounts/A";
  const headers = { "if-match": (await call("GET", path)).headers.get("etag") ?? "" };
  t.equal((await call("PUT", path, { headers })).status, 200);
  t.equal((await call("PUT", path, { headers })).status, 412);
  t.equal((await call("DELETE", path, { headers })).status, 412);
  const create = { headers: { "if-none-match": "*" } };
  t.equal((await call("PUT", path, create)).status, 412);
  t.equal((await call("PUT", "/gateway/accounts/C", create)).status, 201);
});

await test("a token is shown once, works, and is revoked at once", async (t) => {
  const { call } = await startGateway(t);
  const made = await call("POST", "/gateway/tokens", {
    json: { account: "A", scopes: ["thing.read", "thing.read"], description: "dashboard" },
  });
  t.equal(made.status, 201);
  t.match(made.json, {
    token: /^slu_[A-Za-z0-9_-]{32}$/,
    account: "A",
    scopes: ["thing.read"],
    description: "dashboard",
    expires_at: null,
    client_id: null,
  });
  const { token, ...shown } = made.json as { token: string; ulid: string };
  const path = `/gateway/tokens/${shown.ulid}`;
  t.equal(made.headers.get("location"), path);
  const read = await call("GET", path);
  t.same(read.json, shown);
  t.equal(read.headers.get("etag"), `"${shown.ulid}"`);
  t.match((await call("GET", "/gateway/tokens")).json.data.at(-1), shown);
  t.notMatch((await call("GET", "/gateway/tokens")).text, token);
  t.equal((await call("GET", "/A/things", { token })).status, 200);
  t.equal((await call("DELETE", path, { headers: { "if-match": '"x"' } })).status, 412);
  t.equal((await call("DELETE", path)).status, 204);
  t.equal((await call("GET", "/A/things", { token })).status, 401);
  t.equal((await call("DELETE", path)).status, 404);
  t.equal((await call("GET", path)).status, 404);
});

await test("nobody gives what he has not, nor the box to an account", async (t) => {
  const { call, token } = await startGateway(t);
  const manager = token(["gateway.manage", "thing.read"]);
  const rows: readonly (readonly [body: unknown, status: number, code?: string])[] = [
    [{ scopes: ["thing.read"] }, 201],
    [{ scopes: ["gateway.manage"] }, 201],
    [{ scopes: ["thing.manage"] }, 403, "forbidden"],
    [{ account: "A", scopes: ["thing.read", "gateway.manage"] }, 400, "malformed"],
    [{ account: "none", scopes: ["thing.read"] }, 404, "unknown-account"],
    [{ scopes: [] }, 400, "malformed"],
    [{}, 400, "malformed"],
    [{ scopes: ["everything"] }, 400, "malformed"],
    [{ scopes: ["thing.read"], expires_at: "soon" }, 400, "malformed"],
    [{ scopes: ["thing.read"], token: "slu_mine" }, 400, "unknown-member"],
  ];
  for (const [json, status, code] of rows) {
    const reply = await call("POST", "/gateway/tokens", { json, token: manager });
    t.equal(reply.status, status, JSON.stringify(json));
    if (code !== undefined) t.equal(reply.json.code, code, JSON.stringify(json));
  }
  const client = { scopes: ["thing.manage"] };
  t.equal((await call("POST", "/A/clients", { json: client, token: manager })).status, 403);
  t.equal((await call("POST", "/A/clients", { json: { scopes: ["gateway.read"] } })).status, 400);
});

await test("clients are made, listed and deleted with the tokens they were issued", async (t) => {
  const { call } = await startGateway(t);
  const json = { scopes: ["thing.read"], description: "erp" };
  const made = await call("POST", "/A/clients", { json });
  t.equal(made.status, 201);
  t.match(made.json, { client_id: /^app::[0-9A-Z]{26}$/, client_secret: /^slu_/, ...json });
  const { client_secret: secret, ...shown } = made.json as {
    client_secret: string;
    client_id: string;
  };
  t.same((await call("GET", "/A/clients")).json.data, [shown]);
  const path = made.headers.get("location") ?? "";
  t.match(path, /^\/A\/clients\/app%3A%3A/);
  t.same((await call("GET", path)).json, shown);
  t.same((await call("GET", `/A/clients/${shown.client_id.slice(5)}`)).json, shown);
  t.equal((await call("GET", path.replace("/A/", "/B/"))).status, 404);
  t.equal((await call("GET", "/none/clients")).json.code, "unknown-account");
  t.equal((await call("POST", "/none/clients", { json })).json.code, "unknown-account");

  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: shown.client_id,
    client_secret: secret,
  });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const issued = await call("POST", "/oauth2/token", { body: form.toString(), headers });
  const token = issued.json.access_token;
  t.equal((await call("GET", "/A/things", { token })).status, 200);
  t.equal((await call("DELETE", path)).status, 204);
  t.equal((await call("GET", "/A/things", { token })).status, 401);
  t.equal((await call("DELETE", path)).status, 404);
});

await test("GET /gateway says what runs; health needs no token and gives no details", async (t) => {
  let ready = false;
  const { call } = await startGateway(t, { deps: { isReady: () => ready } });
  t.same((await call("GET", "/gateway")).json, {
    name: "sluice",
    version: "9.9.9",
    store: { state: "open" },
    broker: {},
    uplinks: [],
  });
  const health = await call("GET", "/healthz", { token: undefined });
  t.same([health.status, health.json], [200, { status: "ok" }]);
  const waiting = await call("GET", "/readyz", { token: undefined });
  t.same([waiting.status, waiting.json], [503, { status: "not ready" }]);
  ready = true;
  const readied = await call("GET", "/readyz", { token: undefined });
  t.same([readied.status, readied.json], [200, { status: "ready" }]);
});
