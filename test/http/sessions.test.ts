import { test, type Test } from "tap";
import { startGateway, type CallOptions, type Gateway, type Reply } from "./harness.ts";

const PASSWORD = "correct horse battery";
const HOUR_MS = 3_600_000;

type Browser = {
  readonly login: Reply;
  readonly cookie: string;
  /** As a page of the gateway would. */
  readonly call: (method: string, path: string, json?: unknown) => Promise<Reply>;
};

async function logIn(gateway: Gateway, user: string, password = PASSWORD): Promise<Browser> {
  const origin = `http://127.0.0.1:${gateway.port}`;
  const options = { token: undefined, headers: { origin, "user-agent": "a phone" } };
  const login = await gateway.call("POST", "/gateway/sessions", {
    ...options,
    json: { user, password },
  });
  const cookie = login.headers.get("set-cookie")?.split(";")[0] ?? "";
  const headers = { origin, cookie };
  const call: Browser["call"] = async (method, path, json) =>
    gateway.call(method, path, {
      token: undefined,
      headers,
      ...(json === undefined ? {} : { json }),
    });
  return { login, cookie, call };
}

async function startSite(t: Test, clock: { now: number } = { now: 1e12 }): Promise<Gateway> {
  const gateway = await startGateway(t, {
    clock: { monotonicMs: () => clock.now, wallMs: () => clock.now },
  });
  for (const [name, role] of [
    ["anna", "admin"],
    ["bert", "viewer"],
  ] as const) {
    await gateway.call("PUT", `/gateway/users/${name}`, { json: { role, password: PASSWORD } });
  }
  return gateway;
}

await test("a log-in is a cookie of this host, which no script reads and no page elsewhere sends", async (t) => {
  const gateway = await startSite(t);
  const { login, call } = await logIn(gateway, "bert");
  t.equal(login.status, 201);
  const attributes = (login.headers.get("set-cookie") ?? "").split("; ").slice(1);
  t.same(attributes, ["Path=/", "Secure", "HttpOnly", "SameSite=Strict", "Max-Age=43200"]);
  t.match(login.headers.get("set-cookie"), /^__Host-sluice=slu_[A-Za-z0-9_-]{32};/);
  t.match(login.json, { user: "bert", role: "viewer", agent: "a phone", address: "127.0.0.1" });
  t.equal((await call("GET", "/A/things")).status, 200);
  t.equal((await call("PUT", "/A/things/pump", {})).status, 403, "a viewer stays one");
  const rows = JSON.stringify(gateway.deps.store.browserSessions.all());
  t.notOk(
    rows.includes(login.headers.get("set-cookie")?.slice(14, 40) ?? ""),
    "only a digest is kept",
  );
});

await test("a wrong password and an unknown name are one answer, and open nothing", async (t) => {
  const gateway = await startSite(t);
  const wrong = await logIn(gateway, "bert", "not his password");
  const nobody = await logIn(gateway, "nobody");
  for (const { login } of [wrong, nobody]) {
    t.equal(login.status, 401);
    t.equal(login.headers.get("set-cookie"), null);
  }
  t.equal(wrong.login.json.detail, nobody.login.json.detail);
});

await test("with a cookie what would change something says that it is a page of the gateway", async (t) => {
  const gateway = await startSite(t);
  const { cookie } = await logIn(gateway, "anna");
  const put = async (headers: CallOptions["headers"]): Promise<number> => {
    const options = { token: undefined, headers: { cookie, ...headers }, json: {} };
    return (await gateway.call("PUT", "/A/things/pump", options)).status;
  };
  t.equal(await put({}), 403, "nothing said");
  t.equal(await put({ origin: "https://evil.example" }), 403);
  t.equal(await put({ origin: "null" }), 403);
  t.equal(await put({ "sec-fetch-site": "cross-site" }), 403);
  t.equal(await put({ "sec-fetch-site": "none" }), 403);
  t.equal(await put({ origin: `http://127.0.0.1:${gateway.port}` }), 201);
  t.equal(await put({ "sec-fetch-site": "same-origin" }), 200);
});

await test("a session ends unused after an hour, used after twelve, and at once when it is ended", async (t) => {
  const clock = { now: 1e12 };
  const gateway = await startSite(t, clock);
  const first = await logIn(gateway, "bert");
  const status = async ({ call }: Browser): Promise<number> =>
    (await call("GET", "/A/things")).status;
  clock.now += HOUR_MS - 1;
  t.equal(await status(first), 200);
  clock.now += HOUR_MS - 1;
  t.equal(await status(first), 200, "its use moved the end on");
  clock.now += HOUR_MS;
  t.equal(await status(first), 401);
  const second = await logIn(gateway, "bert");
  for (let hour = 0; hour < 23; hour += 1) {
    clock.now += HOUR_MS / 2;
    t.equal(await status(second), 200);
  }
  clock.now += HOUR_MS / 2;
  t.equal(await status(second), 401, "twelve hours are over");
  const third = await logIn(gateway, "bert");
  const ended = await third.call("DELETE", "/gateway/sessions/current");
  t.equal(ended.status, 204);
  t.match(ended.headers.get("set-cookie"), /^__Host-sluice=; .*Max-Age=0$/);
  t.equal(await status(third), 401);
});

await test("a new password, another role or a deletion ends a person's sessions at once", async (t) => {
  const gateway = await startSite(t);
  const changes: readonly (readonly [method: string, path: string, json: unknown])[] = [
    ["PUT", "/gateway/users/bert/password", { password: "quite another phrase" }],
    ["PUT", "/gateway/users/bert", { role: "installer" }],
    ["DELETE", "/gateway/users/bert", undefined],
  ];
  let password = PASSWORD;
  for (const [method, path, json] of changes) {
    const { call } = await logIn(gateway, "bert", password);
    t.equal((await call("GET", "/A/things")).status, 200, path);
    const done = await gateway.call(method, path, json === undefined ? {} : { json });
    t.ok(done.status < 300, done.text);
    t.equal((await call("GET", "/A/things")).status, 401, path);
    password = "quite another phrase";
  }
});

await test("with a stolen session nobody finds out the password", async (t) => {
  const limits = { login_failures_per_minute_per_address: 3 };
  const gateway = await startGateway(t, { limits, clock: { monotonicMs: () => 1 } });
  await gateway.call("PUT", "/gateway/users/bert", {
    json: { role: "viewer", password: PASSWORD },
  });
  const { call } = await logIn(gateway, "bert");
  const change = async (current: string): Promise<number> =>
    (await call("PUT", "/gateway/users/bert/password", { current, password: "quite another" }))
      .status;
  for (const guess of ["a", "b", "c"]) t.equal(await change(guess), 403);
  t.equal(await change("d"), 429, "as many as there are log-ins that fail");
  t.equal(await change(PASSWORD), 429);
});

await test("everybody sees and ends his own sessions, an admin all of them; there are ten at most", async (t) => {
  const clock = { now: 1e12 };
  const gateway = await startSite(t, clock);
  const anna = await logIn(gateway, "anna");
  const bert = await logIn(gateway, "bert");
  t.match((await bert.call("GET", "/gateway/sessions")).json.data, [{ user: "bert" }]);
  t.equal((await anna.call("GET", "/gateway/sessions")).json.data.length, 2);
  const path = `/gateway/sessions/${anna.login.json.ulid}`;
  t.equal((await bert.call("DELETE", path)).status, 404, "not another's");
  t.equal((await anna.call("DELETE", `/gateway/sessions/${bert.login.json.ulid}`)).status, 204);
  t.equal((await bert.call("GET", "/A/things")).status, 401);
  const all: Browser[] = [];
  for (let n = 0; n < 11; n += 1) {
    clock.now += 1000;
    all.push(await logIn(gateway, "bert"));
  }
  const [oldest, second] = all;
  t.equal((await oldest?.call("GET", "/A/things"))?.status, 401, "the one unused longest ended");
  t.equal((await second?.call("GET", "/A/things"))?.status, 200);
});
