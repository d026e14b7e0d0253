import { test } from "tap";
import { GatewayError, ERRORS } from "../../src/errors.ts";
import { startHttp } from "../../src/http/server.ts";
import { BOILER, startGateway } from "./harness.ts";
import { RawSocket } from "./raw-socket.ts";

await test("no answer leaves before what it shows is on disk: changes, reads and refusals", async (t) => {
  const { call, deps } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const { commit } = deps.store;
  const flushed = commit.flushed.bind(commit);
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  let waiting = 0;
  let allAsked: () => void = () => undefined;
  const everyone = new Promise<void>((resolve) => (allAsked = resolve));
  commit.flushed = async () => {
    waiting += 1;
    if (waiting === 4) allAsked();
    await gate;
    await flushed();
  };
  const answered: string[] = [];
  const started = [
    call("PUT", "/A/things/boiler/properties/target", { json: { target: 9 } }),
    call("GET", "/A/things/boiler/properties/target"),
    call("GET", "/A/things/nobody"),
    call("GET", "/A/things/boiler/nothing"),
  ];
  const all = started.map(async (reply) => {
    answered.push(String((await reply).status));
  });
  await everyone;
  const health = await call("GET", "/healthz", { token: undefined });
  t.equal(health.status, 200, "health waits for nothing");
  t.same(answered, []);
  release();
  await Promise.all(all);
  t.same(answered.sort(), ["200", "200", "404", "404"]);
});

await test("what cannot be stored is answered 503, and nobody is told it was", async (t) => {
  const { call, deps, logged } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const { commit } = deps.store;
  const flushed = commit.flushed.bind(commit);
  commit.flushed = async () => Promise.reject(new GatewayError("storage-full", "the disk is full"));
  const put = await call("PUT", "/A/things/boiler/properties/target", { json: { target: 1 } });
  t.equal(put.status, 503);
  t.match(put.json, { type: "/problems/storage-full", code: "storage-full", status: 503 });
  t.match(logged.at(-2), ["debug", "http.refused", { code: "storage-full" }]);
  commit.flushed = flushed;
  t.equal((await call("GET", "/A/things/boiler")).status, 200);
});

await test("paths lead to what they name, and nothing else", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const rows: readonly (readonly [method: string, path: string, status: number, code: string])[] = [
    ["GET", "/", 404, "not-found"],
    ["GET", "/A", 404, "not-found"],
    ["GET", "/A/", 404, "not-found"],
    ["GET", "/A/things/", 404, "not-found"],
    ["GET", "/A/things/boiler/", 404, "not-found"],
    ["GET", "/A//things", 404, "not-found"],
    ["GET", "//A/things", 404, "not-found"],
    ["GET", "/A/Things", 404, "not-found"],
    ["GET", "/A/things/boiler/nothing", 404, "not-found"],
    ["GET", "/gateway/", 404, "not-found"],
    ["GET", "/healthz/", 404, "not-found"],
    ["GET", "/gateway/things", 404, "not-found"],
    ["GET", "/mqtt/things/x", 404, "not-found"],
    ["GET", "/things/things", 404, "not-found"],
    ["GET", "/a.b/things", 404, "not-found"],
    ["GET", "/a%20b/things", 404, "not-found"],
    ["GET", "/%2FA/things", 404, "not-found"],
    ["GET", "/A/things/%FF", 400, "malformed"],
    ["GET", "/A/things/%", 400, "malformed"],
    ["GET", "/A/nothing/%zz", 400, "malformed"],
    ["GET", "/A/things/boiler%2Fproperties", 404, "unknown-thing"],
    ["GET", "/A/things/boiler/properties/a%2Fb", 404, "unknown-affordance"],
    ["GET", "/A/things/%00", 404, "unknown-thing"],
    ["GET", "/%41/things/boiler", 200, ""],
    ["DELETE", "/A/things", 405, "method-not-allowed"],
    ["PURGE", "/A/things", 405, "method-not-allowed"],
    ["PUT", "/A/things/boiler/events/alarm", 405, "method-not-allowed"],
    ["POST", "/gateway", 405, "method-not-allowed"],
    ["GET", "/A/things/boiler?x=1", 400, "invalid-parameter"],
    ["GET", "/A/things/boiler?%FF", 400, "invalid-parameter"],
    ["GET", "/healthz?x", 400, "invalid-parameter"],
    ["GET", "/A/things/boiler?", 200, ""],
  ];
  for (const [method, path, status, code] of rows) {
    const reply = await call(method, path);
    t.equal(reply.status, status, `${method} ${path}`);
    if (code !== "") t.equal(reply.json.code, code, `${method} ${path}`);
  }
});

await test("405 and OPTIONS say which methods there are; HEAD is GET without its body", async (t) => {
  const { call, port } = await startGateway(t);
  const allowed = "GET, HEAD, POST, OPTIONS";
  const refused = await call("PUT", "/A/things");
  t.same(refused.headers.get("allow")?.split(", ").sort(), allowed.split(", ").sort());
  const options = await call("OPTIONS", "/A/things", { token: undefined });
  t.equal(options.status, 204);
  t.same(options.headers.get("allow")?.split(", ").sort(), allowed.split(", ").sort());
  t.equal((await call("OPTIONS", "/nothing", {})).status, 404);
  t.equal(options.headers.get("access-control-allow-origin"), null, "pages of others get nothing");
  const head = await call("HEAD", "/A/things");
  const get = await call("GET", "/A/things");
  t.equal(head.status, 200);
  t.equal(head.headers.get("content-length"), get.headers.get("content-length"));
  t.equal((await call("HEAD", "/A/things", { token: undefined })).status, 401);
  const socket = await RawSocket.open(port);
  socket.send("OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  t.match(await socket.closed(), /^HTTP\/1.1 204 /);
});

await test("every answer has an id and headers that keep it where it belongs", async (t) => {
  const { call } = await startGateway(t);
  const replies = [
    await call("GET", "/A/things"),
    await call("GET", "/nothing"),
    await call("GET", "/healthz", { token: undefined }),
  ];
  for (const { headers } of replies) {
    t.match(headers.get("x-request-id"), /^[0-9a-f]{12}-[0-9a-z]+$/);
    t.equal(headers.get("x-content-type-options"), "nosniff");
    t.equal(headers.get("cache-control"), "no-store");
    t.equal(headers.get("referrer-policy"), "no-referrer");
    t.match(headers.get("content-security-policy"), /default-src 'none'/);
    t.equal(headers.get("server"), null);
    t.equal(headers.get("x-powered-by"), null);
  }
  t.equal(new Set(replies.map(({ headers }) => headers.get("x-request-id"))).size, 3);
  t.equal(replies[1]?.json.requestId, replies[1]?.headers.get("x-request-id"));
  const given = await call("GET", "/nothing", { headers: { "x-request-id": "line-7:42" } });
  t.equal(given.json.requestId, "line-7:42");
  const insane = await call("GET", "/nothing", { headers: { "x-request-id": "a b<script>" } });
  t.match(insane.json.requestId, /^[0-9a-f]{12}-/);
});

await test("every problem has a page that says what to do", async (t) => {
  const { call } = await startGateway(t);
  for (const [code, { title, status, remedy }] of Object.entries(ERRORS)) {
    const page = await call("GET", `/problems/${code}`, { token: undefined });
    t.equal(page.status, 200, code);
    t.same(page.json, { type: `/problems/${code}`, code, title, status, remedy });
  }
  for (const code of ["nothing", "constructor", "__proto__"]) {
    t.equal((await call("GET", `/problems/${code}`, { token: undefined })).status, 404, code);
  }
});

await test("what nobody foresaw is 500 with an id that is in the log, and no detail", async (t) => {
  const { call, logged } = await startGateway(t, {
    deps: {
      describeGateway: () => {
        throw new TypeError("secret inner workings");
      },
    },
  });
  const reply = await call("GET", "/gateway");
  t.equal(reply.status, 500);
  t.equal(reply.json.code, "internal");
  t.notMatch(reply.text, /secret|TypeError|\.ts|\.js/);
  const [, , fields] = logged.find(([, event]) => event === "http.failed") ?? [];
  t.equal(fields?.["requestId"], reply.json.requestId);
  t.match(fields?.["error"], { message: "secret inner workings" });
  t.equal((await call("GET", "/healthz")).status, 200, "and the next one works");
});

await test("no log record holds a token, a password or a body", async (t) => {
  const { call, logged, admin } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const resources = [{ entity: "things", id: ["boiler"] }];
  const { json } = await call("POST", "/A/mqtt", { json: { resources, password: "chosen-one" } });
  await call("PUT", "/A/things/boiler/properties/mode", { json: { mode: "sesame" } });
  await call("GET", "/A/things?title=hidden");
  t.equal(json.password, "chosen-one");
  const text = JSON.stringify(logged);
  t.match(text, "http.request");
  for (const secret of [admin, "chosen-one", "sesame", "hidden"]) t.notMatch(text, secret);
});

const AUTH = (admin: string): string => `Host: x\r\nAuthorization: Bearer ${admin}\r\n`;

await test("a body over the limit is refused before it is read, and the client hears so", async (t) => {
  const { call, port, admin } = await startGateway(t, { limits: { http_body_bytes: 1024 } });
  await call("PUT", "/A/things/x", { json: {} });
  const at = await call("PUT", "/A/things/x", { body: `{"a":"${"x".repeat(1024 - 8)}"}` });
  t.equal(at.status, 200, "the limit itself is allowed");
  const over = await call("PUT", "/A/things/x", { body: `{"a":"${"x".repeat(1024 - 7)}"}` });
  t.equal(over.status, 413);
  t.match(over.json, { code: "too-large", detail: /1024/ });
  t.equal((await call("GET", "/A/things/x")).status, 200);

  const socket = await RawSocket.open(port);
  socket.send(`PUT /A/things/x HTTP/1.1\r\n${AUTH(admin)}Content-Length: 2000\r\n\r\n`);
  t.match(await socket.heard(/\r\n\r\n.*\}$/s), /^HTTP\/1.1 413 /, "answered before it was sent");
  socket.send("x".repeat(2000));
  socket.send(`GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n`);
  t.match(await socket.heard(/"ok"/), "HTTP/1.1 200", "a bounded rest is thrown away");
  socket.socket.destroy();

  const chunked = await RawSocket.open(port);
  chunked.send(`PUT /A/things/x HTTP/1.1\r\n${AUTH(admin)}Transfer-Encoding: chunked\r\n\r\n`);
  const chunk = `400\r\n${"x".repeat(0x400)}\r\n`;
  chunked.send(chunk + chunk);
  t.match(await chunked.heard(/\r\n\r\n.*\}$/s), /^HTTP\/1.1 413 /);
  for (let sent = 0; sent < 16; sent += 1) chunked.send(chunk);
  await chunked.closed();
  t.pass("an endless rest is cut");
});

await test("a body is sent as it is, whole, and when it is wanted", async (t) => {
  const { call, port, admin } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const gzip = await call("PUT", "/A/things/boiler/properties/target", {
    json: { target: 1 },
    headers: { "content-encoding": "gzip" },
  });
  t.equal(gzip.status, 415);
  const put = `PUT /A/things/boiler/properties/target HTTP/1.1\r\n`;
  const expecting = "Expect: 100-continue\r\nContent-Length: 13\r\n\r\n";

  const wanted = await RawSocket.open(port);
  wanted.send(put + AUTH(admin) + expecting);
  await wanted.heard(/^HTTP\/1.1 100 Continue\r\n\r\n/);
  wanted.send('{"target": 5}');
  t.match(await wanted.heard(/\{"target":5\}/), "HTTP/1.1 200 OK");
  wanted.send("GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  t.match(await wanted.closed(), '"ok"', "the connection goes on");

  const refused = await RawSocket.open(port);
  refused.send(`${put}Host: x\r\n${expecting}`);
  const heard = await refused.closed();
  t.match(heard, /^HTTP\/1.1 401 /, "refused without its body");
  t.match(heard, /Connection: close/);

  const broken = await RawSocket.open(port);
  broken.send(`${put}${AUTH(admin)}Content-Length: 13\r\n\r\n{"tar`);
  broken.socket.end();
  await broken.closed();
  t.same((await call("GET", "/A/things/boiler/properties/target")).json, { target: 5 });
});

await test("what is not HTTP gets a problem and an end", async (t) => {
  const { port } = await startGateway(t);
  const rows: readonly (readonly [sent: string, status: number])[] = [
    ["\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", 400],
    ["GET /healthz HTTP/9.9\r\n\r\n", 400],
    ["BREW / HTTP/1.1\r\nHost: x\r\n\r\n", 400],
    [`GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, 431],
    [
      "POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
      400,
    ],
  ];
  for (const [sent, status] of rows) {
    const socket = await RawSocket.open(port);
    socket.send(sent);
    const heard = await socket.closed();
    t.match(heard, new RegExp(`^HTTP/1.1 ${status} `), JSON.stringify(sent.slice(0, 20)));
    t.match(heard, "application/problem+json");
    t.match(JSON.parse(heard.split("\r\n\r\n")[1] ?? ""), { status, code: "malformed" });
  }
});

await test("a broken request behind a good one is not answered in its place", async (t) => {
  const { port, deps, admin } = await startGateway(t);
  const { commit } = deps.store;
  const flushed = commit.flushed.bind(commit);
  commit.flushed = async () => new Promise(() => undefined);
  const socket = await RawSocket.open(port);
  socket.send(`GET /A/things HTTP/1.1\r\n${AUTH(admin)}\r\nnonsense\r\n\r\n`);
  t.equal(await socket.closed(), "");
  commit.flushed = flushed;
});

await test("a stop lets what runs finish, takes nothing new, and frees the port", async (t) => {
  const { call, deps, port, stop, admin } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const { commit } = deps.store;
  const flushed = commit.flushed.bind(commit);
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  let asked: () => void = () => undefined;
  const running = new Promise<void>((resolve) => (asked = resolve));
  commit.flushed = async () => {
    asked();
    await gate;
    await flushed();
  };
  const idle = await RawSocket.open(port);
  const busy = await RawSocket.open(port);
  busy.send(
    `PUT /A/things/boiler/properties/target HTTP/1.1\r\n${AUTH(admin)}Content-Length: 12\r\n\r\n{"target":7}`,
  );
  await running;
  const [first, second] = [stop(), stop()];
  t.equal(await idle.closed(), "", "an idle connection ends at once");
  await t.rejects(RawSocket.open(port), "no new connection");
  release();
  t.match(await busy.closed(), '{"target":7}', "what ran was answered, then the connection ended");
  await Promise.all([first, second]);
  t.same(deps.store.properties.get(1, "target")?.value, 7);
  const endpoints = [{ kind: "plain", host: "127.0.0.1", port }] as const;
  const again = await startHttp(deps, endpoints);
  t.equal(again.ports.plain, port);
  await t.rejects(startHttp(deps, endpoints), { code: "EADDRINUSE" });
  await again.stop();
});

await test("a stop cuts off what does not finish", async (t) => {
  let expire: () => void = () => undefined;
  const clock = {
    after: (_delay: number, callback: () => void) => {
      expire = callback;
      return () => undefined;
    },
  };
  const { deps, port, stop, admin } = await startGateway(t, { clock });
  let asked: () => void = () => undefined;
  const running = new Promise<void>((resolve) => (asked = resolve));
  const { commit } = deps.store;
  const flushed = commit.flushed.bind(commit);
  commit.flushed = async () => {
    asked();
    return new Promise(() => undefined);
  };
  const hanging = await RawSocket.open(port);
  hanging.send(`GET /A/things HTTP/1.1\r\n${AUTH(admin)}\r\n`);
  await running;
  const stopped = stop();
  expire();
  await stopped;
  t.equal(await hanging.closed(), "");
  commit.flushed = flushed;
});
