import { test } from "tap";
import { basic, startGateway, type Gateway } from "./harness.ts";

const FORM = { "content-type": "application/x-www-form-urlencoded" };

async function withClient(gateway: Gateway) {
  const { json } = await gateway.call("POST", "/A/clients", {
    json: { scopes: ["thing.read", "thing.write"] },
  });
  const id = json.client_id;
  const secret = json.client_secret;
  const post = async (path: string, form: Record<string, string> | string, headers = {}) =>
    gateway.call("POST", path, {
      token: undefined,
      body: typeof form === "string" ? form : new URLSearchParams(form).toString(),
      headers: { ...FORM, ...headers },
    });
  return { id, secret, post, own: { client_id: id, client_secret: secret } };
}

await test("a client exchanges its secret for a token of its scopes", async (t) => {
  const gateway = await startGateway(t);
  const { id, secret, post, own } = await withClient(gateway);
  const grant = { grant_type: "client_credentials" };
  const byForm = await post("/oauth2/token", { ...grant, ...own });
  t.equal(byForm.status, 200);
  t.match(byForm.json, {
    access_token: /^slu_/,
    token_type: "bearer",
    expires_in: 3600,
    scope: "thing.read thing.write",
  });
  t.equal(byForm.headers.get("cache-control"), "no-store");
  t.equal(byForm.headers.get("pragma"), "no-cache");
  const scoped = await post(
    "/oauth2/token",
    { ...grant, scope: "thing.read" },
    basic(encodeURIComponent(id), secret),
  );
  t.equal(scoped.json.scope, "thing.read");
  const token = scoped.json.access_token;
  t.equal((await gateway.call("GET", "/A/things", { token })).status, 200);
  t.equal((await gateway.call("GET", "/B/things", { token })).status, 403);
  t.equal((await gateway.call("POST", "/A/things", { token, json: {} })).status, 403);
});

await test("OAuth errors are those of RFC 6749", async (t) => {
  const gateway = await startGateway(t);
  const { id, secret, post, own } = await withClient(gateway);
  const grant = { grant_type: "client_credentials" };
  const rows: readonly (readonly [
    form: Record<string, string> | string,
    headers: object,
    status: number,
    error: string,
  ])[] = [
    [own, {}, 400, "invalid_request"],
    [{ ...own, grant_type: "" }, {}, 400, "invalid_request"],
    [{ ...own, grant_type: "password" }, {}, 400, "unsupported_grant_type"],
    [{ ...own, ...grant, scope: "thing.manage" }, {}, 400, "invalid_scope"],
    [{ ...own, ...grant, scope: "everything" }, {}, 400, "invalid_scope"],
    [grant, {}, 401, "invalid_client"],
    [{ ...grant, client_id: id }, {}, 401, "invalid_client"],
    [{ ...grant, ...own, client_secret: "x" }, {}, 401, "invalid_client"],
    [{ ...grant, ...own, client_id: "app::x" }, {}, 401, "invalid_client"],
    [grant, basic(id, "x"), 401, "invalid_client"],
    [grant, { authorization: "Bearer x" }, 401, "invalid_client"],
    [{ ...grant, ...own }, basic(id, secret), 400, "invalid_request"],
    ["grant_type=a&grant_type=b", {}, 400, "invalid_request"],
    ["grant_type=%FF", {}, 400, "invalid_request"],
    ["{}", { "content-type": "application/json" }, 415, "invalid_request"],
  ];
  for (const [form, headers, status, error] of rows) {
    const reply = await post("/oauth2/token", form, headers);
    t.equal(reply.status, status, JSON.stringify(form));
    t.equal(reply.json.error, error, JSON.stringify(form));
    t.type(reply.json.error_description, "string");
    t.notOk("code" in reply.json, "no problem+json here");
    const challenge = reply.headers.get("www-authenticate");
    t.equal(challenge !== null, status === 401, "a challenge goes with 401");
  }
  const get = await gateway.call("GET", "/oauth2/token", { token: undefined });
  t.equal(get.status, 405, "a real client tries this first, and goes on");
  t.equal(get.headers.get("allow"), "POST, OPTIONS");
  t.equal(get.json.error, "invalid_request");
});

await test("a client revokes its own tokens", async (t) => {
  const gateway = await startGateway(t);
  const { post, own } = await withClient(gateway);
  const other = await withClient(gateway);
  const grant = { grant_type: "client_credentials", ...own };
  const token = (await post("/oauth2/token", grant)).json.access_token;
  const works = async () => (await gateway.call("GET", "/A/things", { token })).status === 200;
  const foreign = await post("/oauth2/revoke", { token, ...other.own });
  t.same([foreign.status, foreign.json.error], [400, "invalid_grant"]);
  t.equal((await post("/oauth2/revoke", { token })).status, 401);
  t.equal((await post("/oauth2/revoke", own)).json.error, "invalid_request");
  t.ok(await works());
  t.equal(
    (await post("/oauth2/revoke", { token, token_type_hint: "access_token", ...own })).status,
    200,
  );
  t.notOk(await works());
  t.equal((await post("/oauth2/revoke", { token, ...own })).status, 200, "again is fine");
});

await test("guessing a client's secret is limited like any log-in", async (t) => {
  const limits = { login_failures_per_minute_per_address: 2 };
  const gateway = await startGateway(t, { limits });
  const { post } = await withClient(gateway);
  const wrong = { grant_type: "client_credentials", client_id: "app::x", client_secret: "x" };
  const statuses = [];
  for (let n = 0; n < 3; n += 1) statuses.push((await post("/oauth2/token", wrong)).status);
  t.same(statuses, [401, 401, 429]);
  const limited = await post("/oauth2/token", wrong);
  t.match(limited.headers.get("retry-after"), /^\d+$/);
  t.equal(limited.json.error, "temporarily_unavailable");
});
