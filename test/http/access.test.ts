import { test } from "tap";
import type { Route } from "../../src/http/call.ts";
import { AddressRate } from "../../src/address-rate.ts";
import { makeRoutes } from "../../src/http/routes.ts";
import { createClient } from "../../src/interactions/tokens.ts";
import { SCOPES, type Scope } from "../../src/thing/access.ts";
import { basic, BOILER, startGateway } from "./harness.ts";
import { RawSocket } from "./raw-socket.ts";

const ROUTES = makeRoutes(new AddressRate(0, { monotonicMs: () => 0 }));

function pathOf({ path }: Route, account = "A"): string {
  return path.replace(":account", account).replace(":thing", "boiler").replace(/:\w+/g, "target");
}

const CHALLENGE = 'Bearer realm="sluice", Basic realm="sluice", charset="UTF-8"';

await test("no route but the public ones answers without a token", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const open = ROUTES.filter(({ scopes }) => scopes === "none").map(({ path }) => path);
  t.same(open, [
    ...["/.well-known/est/cacerts", "/.well-known/est/simplereenroll"],
    ...["/join", "/join/:id", "/join/:id/proof"],
    ...["/oauth2/token", "/oauth2/revoke", "/gateway/sessions"],
    ...["/gateway/claim", "/gateway/claim", "/gateway/claim/code", "/ui/claim"],
    ...["/healthz", "/readyz", "/ca.crt", "/ca.der", "/ca.sha256", "/problems/:code"],
  ]);
  for (const route of ROUTES.filter(({ scopes }) => scopes !== "none")) {
    const name = `${route.method} ${route.path}`;
    const reply = await call(route.method, pathOf(route), { token: undefined });
    t.equal(reply.status, 401, name);
    t.equal(reply.headers.get("www-authenticate"), CHALLENGE, name);
    t.equal(reply.json.code, "unauthorized", name);
  }
});

await test("a page elsewhere changes nothing, and no name that was made to lead here is served", async (t) => {
  const { call, port, admin } = await startGateway(t);
  const origin = "https://evil.example";
  const posted = await call("POST", "/A/things", { json: { id: "x" }, headers: { origin } });
  t.match([posted.status, posted.json.code], [403, "forbidden"]);
  t.equal((await call("GET", "/A/things/x")).status, 404);
  const own = { origin: `http://127.0.0.1:${port}` };
  t.equal((await call("POST", "/A/things", { json: { id: "y" }, headers: own })).status, 201);
  t.equal(posted.headers.get("access-control-allow-origin"), null);
  for (const [host, status] of [
    ["evil.example", 421],
    ["gw.example", 200],
  ] as const) {
    const socket = await RawSocket.open(port);
    socket.send(
      `GET /A/things HTTP/1.1\r\nHost: ${host}\r\nSec-Fetch-Site: same-origin\r\n` +
        `Authorization: Bearer ${admin}\r\nConnection: close\r\n\r\n`,
    );
    t.match(await socket.closed(), new RegExp(`^HTTP/1.1 ${status} `), host);
  }
});

await test("a token of another account gets 403 on every path, whatever is there", async (t) => {
  const { call, token } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const foreign = token(
    SCOPES.filter((scope) => !scope.startsWith("gateway.")),
    "B",
  );
  for (const route of ROUTES.filter(({ path }) => path.startsWith("/:account/"))) {
    for (const path of [pathOf(route), pathOf(route).replace("boiler", "nobody")]) {
      for (const query of ["", "?unknown=1"]) {
        const reply = await call(route.method, path + query, { token: foreign });
        t.equal(reply.status, 403, `${route.method} ${path}${query}`);
        t.equal(reply.json.code, "forbidden");
      }
    }
  }
  t.equal((await call("GET", "/A/nothing/here", { token: foreign })).status, 403);
  t.equal((await call("PURGE", "/A/things", { token: foreign })).status, 403);
  t.equal(
    (await call("GET", "/C/things", { token: foreign })).status,
    403,
    "an account that is not",
  );
  t.equal((await call("GET", "/B/things", { token: foreign })).status, 200);
});

await test("a token without the scope gets 403, and one that has only that gets further", async (t) => {
  const { call, token } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  for (const route of ROUTES) {
    const { scopes } = route;
    if (scopes === "none") continue;
    // Over TLS only, and for credentials only.
    if (route.path.endsWith("/simpleenroll")) continue;
    const name = `${route.method} ${route.path}`;
    const others = token(SCOPES.filter((scope) => !scopes.includes(scope)));
    const refused = await call(route.method, pathOf(route), { token: others });
    t.equal(refused.status, 403, `${name} without`);
    const path = pathOf(route, "C"); // Nothing there: nothing is changed.
    const got = await call(route.method, path, { token: token([scopes[0]]) });
    t.not(got.status, 403, `${name} with ${scopes[0]}`);
    t.not(got.status, 401, name);
  }
});

await test("a token of an account says nothing of the box", async (t) => {
  const { call, token } = await startGateway(t);
  const ofAccount = token(["gateway.manage", "gateway.read"], "A");
  for (const path of ["/gateway", "/gateway/accounts", "/gateway/accounts/A", "/gateway/tokens"]) {
    t.equal((await call("GET", path, { token: ofAccount })).status, 403, path);
  }
  const client = await call("POST", "/A/clients", {
    token: ofAccount,
    json: { scopes: ["thing.read"] },
  });
  t.equal(client.status, 403);
});

await test("writing takes thing.write, and read-only properties thing.report", async (t) => {
  const { call, token } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const put = async (name: string, scope: Scope, value: unknown) =>
    call("PUT", `/A/things/boiler/properties/${name}`, {
      json: { [name]: value },
      token: token([scope], "A"),
    });
  t.equal((await put("target", "thing.write", 1)).status, 200);
  t.equal((await put("temperature", "thing.report", 1)).status, 200);
  const readOnly = await put("temperature", "thing.write", 1);
  t.equal(readOnly.status, 403);
  t.equal(readOnly.json.code, "read-only");
  t.equal((await put("target", "thing.report", 1)).status, 403);
});

await test("expired, revoked and misspelt tokens are none", async (t) => {
  let wall = 1_700_000_000_000;
  const { call, admin } = await startGateway(t, { clock: { wallMs: () => wall } });
  const expires = new Date(wall + 1000).toISOString();
  const made = await call("POST", "/gateway/tokens", {
    json: { account: "A", scopes: ["thing.read"], expires_at: expires },
  });
  const token = made.json.token;
  t.equal((await call("GET", "/A/things", { token })).status, 200);
  t.equal((await call("GET", "/A/things", { token: `${token}x` })).status, 401);
  wall += 1000;
  t.equal((await call("GET", "/A/things", { token })).status, 401);
  const headers = [
    `bearer ${admin}`,
    `Bearer   ${admin}`,
    `Bearer ${admin} x`,
    `Token ${admin}`,
    admin,
    "Bearer",
    "Basic",
    "Basic !!!",
    `Basic ${Buffer.from("nocolon").toString("base64")}`,
    `Basic ${Buffer.from([0xff, 0x3a, 0x61]).toString("base64")}`,
  ];
  const statuses = [];
  for (const authorization of headers) {
    const given = { token: undefined, headers: { authorization } };
    statuses.push((await call("GET", "/A/things", given)).status);
  }
  t.same(statuses, [200, 200, 401, 401, 401, 401, 401, 401, 401, 401]);
});

await test("one MQTT credential serves its device over HTTP, on its own Things only", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  await call("PUT", "/A/things/other", { json: { ...BOILER, id: "other" } });
  const credential = async (resources: unknown) => {
    const { json } = await call("POST", "/A/mqtt", { json: { resources } });
    return basic(json.username, json.password);
  };
  const device = await credential([{ entity: "things", id: ["boiler"] }]);
  const consumer = await credential([{ entity: "things", id: ["boiler"], role: "consumer" }]);
  const data = await credential([{ entity: "data", id: ["boiler"] }]);
  const definer = await credential([{ entity: "things", id: ["*"], definition: true }]);
  const T = "/A/things/boiler";
  const rows: readonly (readonly [string, string, unknown, string])[] = [
    // method, path, body: statuses for device, consumer, data, definer
    ["GET", T, undefined, "200 200 403 200"],
    ["GET", `${T}/properties`, undefined, "200 200 403 200"],
    ["PUT", `${T}/properties/target`, { target: 1 }, "200 200 403 200"],
    ["PUT", `${T}/properties/temperature`, { temperature: 1 }, "200 403 403 200"],
    ["POST", `${T}/actions/reset`, { reset: {} }, "201 201 403 201"],
    ["POST", `${T}/events/boot`, { boot: {} }, "201 403 403 201"],
    ["PATCH", T, { title: "x" }, "403 403 403 200"],
    ["DELETE", T, undefined, "403 403 403 403"],
    ["DELETE", `${T}/events/boot`, undefined, "403 403 403 403"],
    ["POST", "/A/data/boiler", {}, "403 403 201 403"],
    ["GET", "/A/data/boiler", undefined, "403 403 200 403"],
    ["GET", "/A/data?source[]=boiler", undefined, "403 403 200 403"],
    ["GET", "/A/data", undefined, "403 403 403 403"],
    ["GET", "/A/things/other", undefined, "403 403 403 200"],
    ["GET", "/A/things/nobody", undefined, "403 403 403 404"],
    ["PUT", "/A/things/fresh", {}, "403 403 403 201"],
    ["GET", "/A/things", undefined, "403 403 403 403"],
    ["GET", "/A/mqtt", undefined, "403 403 403 403"],
    ["GET", "/B/things/boiler", undefined, "403 403 403 403"],
    ["GET", "/gateway", undefined, "403 403 403 403"],
  ];
  for (const [method, path, json, expected] of rows) {
    const statuses: number[] = [];
    for (const headers of [device, consumer, data, definer]) {
      const reply = await call(method, path, { json, headers, token: undefined });
      statuses.push(reply.status);
    }
    t.equal(statuses.join(" "), expected, `${method} ${path}`);
  }
});

await test("a client is a token by Basic, its id encoded or not", async (t) => {
  const { call, deps } = await startGateway(t);
  const { client, secret } = createClient(deps, { account: "A", scopes: ["thing.read"] });
  for (const id of [`app::${client.ulid}`, `app%3A%3A${client.ulid}`]) {
    const headers = basic(id, secret);
    t.equal((await call("GET", "/A/things", { token: undefined, headers })).status, 200, id);
    t.equal((await call("GET", "/B/things", { token: undefined, headers })).status, 403, id);
  }
  const wrong = basic(`app%3A%3A${client.ulid}`, `${secret}x`);
  t.equal((await call("GET", "/A/things", { token: undefined, headers: wrong })).status, 401);
});

await test("failed log-ins of an address are limited, and come back with time", async (t) => {
  let now = 0;
  const limits = { login_failures_per_minute_per_address: 3 };
  const { call, admin } = await startGateway(t, { limits, clock: { monotonicMs: () => now } });
  await call("PUT", "/A/things/x", { json: {} });
  const resources = [{ entity: "things", id: ["x"] }];
  const { json } = await call("POST", "/A/mqtt", { json: { resources } });
  const right = basic(json.username, json.password);
  const asDevice = async () => call("GET", "/A/things/x", { token: undefined, headers: right });
  const guess = async () => call("GET", "/A/things", { token: "slu_wrong" });
  for (let n = 0; n < 10; n += 1) t.equal((await asDevice()).status, 200, "success costs nothing");
  t.same([(await guess()).status, (await guess()).status], [401, 401]);
  t.equal((await asDevice()).status, 200, "others of the address go on");
  t.equal((await guess()).status, 401);
  const limited = await guess();
  t.equal(limited.status, 429);
  t.equal(limited.json.code, "rate-limited");
  t.equal(limited.headers.get("retry-after"), "20");
  t.equal((await asDevice()).status, 429, "a password may be guessed: none is checked now");
  t.equal((await call("GET", "/A/things", { token: admin })).status, 200, "a token cannot be");
  now += 20_000;
  t.equal((await asDevice()).status, 200);
  t.equal((await guess()).status, 401);
  t.equal((await guess()).status, 429);
});

await test("the limit of failed log-ins counts parallel ones, and can be off", (t) => {
  let now = 0;
  const failures = new AddressRate(2, { monotonicMs: () => now });
  t.same([failures.take("a"), failures.take("a"), failures.take("a")], [0, 0, 30]);
  t.equal(failures.take("b"), 0, "each address has its own");
  failures.giveBack("a");
  t.same([failures.take("a"), failures.take("a")], [0, 30]);
  now += 15_000;
  t.equal(failures.take("a"), 15);
  now += 15_000;
  t.equal(failures.take("a"), 0);
  for (let n = 0; n < 10_100; n += 1) failures.take(`x${n}`);
  t.equal(failures.take("b"), 0, "the memory of it is bounded: the oldest was forgotten");
  const off = new AddressRate(0, { monotonicMs: () => now });
  for (let n = 0; n < 100; n += 1) t.equal(off.take("a"), 0);
  t.end();
});
