import { test, type Test } from "tap";
import { startGateway, type Gateway } from "./harness.ts";
import { RawSocket } from "./raw-socket.ts";

const PASSWORD = "correct horse battery";
const OTHER = "quite another phrase";

const basic = (user: string, password: string) => ({
  authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
});

/** A gateway with a person of each role, all with the same password. */
async function startSite(t: Test): Promise<
  Gateway & {
    readonly as: (
      user: string,
      method: string,
      path: string,
      json?: unknown,
      password?: string,
    ) => ReturnType<Gateway["call"]>;
  }
> {
  const gateway = await startGateway(t);
  for (const role of ["admin", "installer", "viewer"]) {
    const made = await gateway.call("PUT", `/gateway/users/${role}`, {
      json: { role, password: PASSWORD },
    });
    t.equal(made.status, 201, made.text);
  }
  return {
    ...gateway,
    as: async (user, method, path, json, password = PASSWORD) =>
      gateway.call(method, path, {
        token: undefined,
        headers: basic(user, password),
        ...(json === undefined ? {} : { json }),
      }),
  };
}

await test("a person is made, shown without his password, changed and deleted", async (t) => {
  const { call } = await startGateway(t);
  const made = await call("PUT", "/gateway/users/anna", {
    json: { role: "viewer", password: PASSWORD },
  });
  t.equal(made.status, 201);
  t.equal(made.headers.get("location"), "/gateway/users/anna");
  t.match(made.json, { name: "anna", role: "viewer" });
  t.notMatch(made.text, /password|scrypt/);
  const read = await call("GET", "/gateway/users/anna");
  t.equal(read.headers.get("etag"), made.headers.get("etag"));
  t.match((await call("GET", "/gateway/users")).json.data, [{ name: "anna" }]);
  const stale = { "if-match": '"old"' };
  const changed = { json: { role: "installer" } };
  t.equal((await call("PUT", "/gateway/users/anna", { ...changed, headers: stale })).status, 412);
  t.match((await call("PUT", "/gateway/users/anna", changed)).json, { role: "installer" });
  await call("PUT", "/gateway/users/root", { json: { role: "admin", password: PASSWORD } });
  t.equal((await call("DELETE", "/gateway/users/anna")).status, 204);
  t.equal((await call("GET", "/gateway/users/anna")).status, 404);
});

const REFUSED: readonly (readonly [name: string, json: unknown, status: number, code: string])[] = [
  ["anna", { role: "king", password: PASSWORD }, 400, "malformed"],
  ["anna", { role: "viewer" }, 400, "malformed"],
  ["anna", { role: "viewer", password: "short" }, 400, "weak-password"],
  ["anna", { role: "viewer", password: "password123" }, 400, "weak-password"],
  ["anna", { role: "viewer", password: PASSWORD, admin: true }, 400, "unknown-member"],
  ["a b", { role: "viewer", password: PASSWORD }, 400, "malformed"],
  ["device-1", { role: "viewer", password: PASSWORD }, 409, "conflict"],
];

await test("what is wrong with a new person is said, and nobody is made", async (t) => {
  const { call } = await startGateway(t);
  await call("PUT", "/A/things/pump", { json: {} });
  const resources = [{ entity: "things", id: ["pump"] }];
  await call("POST", "/A/mqtt", { json: { resources, user: "device-1" } });
  for (const [name, json, status, code] of REFUSED) {
    const reply = await call("PUT", `/gateway/users/${encodeURIComponent(name)}`, { json });
    t.match([reply.status, reply.json.code], [status, code], `${name} ${JSON.stringify(json)}`);
  }
  t.same((await call("GET", "/gateway/users")).json.data, []);
  await call("PUT", "/gateway/users/anna", { json: { role: "admin", password: PASSWORD } });
  const taken = await call("POST", "/A/mqtt", { json: { resources, user: "anna" } });
  t.equal(taken.status, 409, "a person and a device never have the same name");
});

await test("each role may what it may, by Basic", async (t) => {
  const { as } = await startSite(t);
  const rows: readonly (readonly [method: string, path: string, json: unknown, of: string])[] = [
    ["GET", "/gateway", undefined, "200 200 200"],
    ["GET", "/A/things", undefined, "200 200 200"],
    ["PUT", "/A/things/pump", {}, "201 200 403"],
    ["POST", "/A/mqtt", { resources: [{ entity: "things", id: ["pump"] }] }, "201 201 403"],
    ["POST", "/gateway/tokens", { scopes: ["thing.read"] }, "201 403 403"],
    ["PUT", "/gateway/users/mallory", { role: "admin", password: PASSWORD }, "201 403 403"],
    ["PUT", "/gateway/users/viewer/password", { password: OTHER }, "204 403 403"],
  ];
  for (const [method, path, json, expected] of rows) {
    const statuses: number[] = [];
    for (const user of ["admin", "installer", "viewer"]) {
      // The last row's own subject has to be there with his old password for the next one.
      statuses.push(
        (
          await as(
            user,
            method,
            path,
            json,
            user === "viewer" && path.endsWith("password") ? OTHER : PASSWORD,
          )
        ).status,
      );
    }
    t.equal(statuses.join(" "), expected, `${method} ${path}`);
  }
});

await test("a person changes his own password with the present one, and the old one ends", async (t) => {
  const { as } = await startSite(t);
  const path = "/gateway/users/viewer/password";
  t.equal((await as("viewer", "PUT", path, { password: OTHER })).status, 403, "without it");
  const wrong = { password: OTHER, current: "not the present one" };
  t.equal((await as("viewer", "PUT", path, wrong)).status, 403);
  const weak = { password: "viewer", current: PASSWORD };
  t.equal((await as("viewer", "PUT", path, weak)).json.code, "weak-password");
  t.equal((await as("viewer", "GET", "/gateway")).status, 200, "so far nothing has changed");
  const right = { password: OTHER, current: PASSWORD };
  t.equal((await as("viewer", "PUT", path, right)).status, 204);
  t.equal((await as("viewer", "GET", "/gateway")).status, 401);
  t.equal((await as("viewer", "GET", "/gateway", undefined, OTHER)).status, 200);
});

await test("the last admin stays one", async (t) => {
  const { as, call } = await startSite(t);
  const demoted = { json: { role: "viewer" } };
  t.equal((await call("DELETE", "/gateway/users/admin")).json.code, "conflict");
  t.equal((await call("PUT", "/gateway/users/admin", demoted)).json.code, "conflict");
  const both = { json: { role: "viewer", password: OTHER } };
  t.equal((await call("PUT", "/gateway/users/admin", both)).json.code, "conflict");
  t.equal((await as("admin", "GET", "/gateway")).status, 200, "a refused change changes no part");
  await call("PUT", "/gateway/users/second", { json: { role: "admin", password: PASSWORD } });
  t.equal((await call("PUT", "/gateway/users/admin", demoted)).status, 200);
  t.equal((await call("DELETE", "/gateway/users/second")).json.code, "conflict");
});

/** Its head is sent and taken, its body is yet to come. */
async function beginRequest({ port }: Gateway, authorization: string, text: string) {
  const socket = await RawSocket.open(port);
  const lines = [
    "PUT /gateway/users/accomplice HTTP/1.1",
    "Host: localhost",
    `Authorization: ${authorization}`,
    "Expect: 100-continue",
    `Content-Length: ${text.length}`,
  ];
  socket.send(`${lines.join("\r\n")}\r\n\r\n`);
  await socket.heard(/ 100 /);
  return socket;
}

await test("who loses his rights while his request arrives changes nothing with it", async (t) => {
  const gateway = await startSite(t);
  const { call } = gateway;
  for (const name of ["gone", "demoted", "changed"]) {
    const json = { role: "admin", password: PASSWORD };
    t.equal((await call("PUT", `/gateway/users/${name}`, { json })).status, 201);
  }
  const made = await call("POST", "/gateway/tokens", { json: { scopes: ["gateway.manage"] } });
  const { token, ulid } = made.json;
  const text = JSON.stringify({ role: "admin", password: PASSWORD });
  const cases = [
    ["gone", 401, async () => call("DELETE", "/gateway/users/gone")],
    [
      "demoted",
      403,
      async () => call("PUT", "/gateway/users/demoted", { json: { role: "viewer" } }),
    ],
    [
      "changed",
      401,
      async () => call("PUT", "/gateway/users/changed/password", { json: { password: OTHER } }),
    ],
    ["token", 401, async () => call("DELETE", `/gateway/tokens/${ulid}`)],
  ] as const;
  for (const [name, status, revoke] of cases) {
    const authorization =
      name === "token" ? `Bearer ${token}` : basic(name, PASSWORD).authorization;
    const socket = await beginRequest(gateway, authorization, text);
    t.match((await revoke()).status, /^20/, name);
    socket.send(text);
    t.match(await socket.heard(/\r\n\r\n[^]*\r\n\r\n/), ` ${status} `, name);
    socket.socket.destroy();
  }
  t.equal((await call("GET", "/gateway/users/accomplice")).status, 404);
  const socket = await beginRequest(gateway, basic("admin", PASSWORD).authorization, text);
  socket.send(text);
  await socket.heard(/ 201 /);
  socket.socket.destroy();
});

await test("a name that nobody has may be a password: a viewer is not shown it", async (t) => {
  const { as } = await startSite(t);
  const slip = "my.password.by.mistake";
  t.equal((await as(slip, "GET", "/A/things", undefined, "x")).status, 401);
  t.equal((await as("viewer", "GET", "/A/things", undefined, "x")).status, 401);
  for (const [who, isShown] of [
    ["viewer", false],
    ["installer", true],
    ["admin", true],
  ] as const) {
    const all = await as(who, "GET", "/gateway/refusals");
    t.equal(all.status, 200);
    t.equal(all.text.includes(slip), isShown, who);
    t.match(all.text, /"user":"viewer"/, "whose name there is everybody sees");
    const asked = await as(who, "GET", `/gateway/refusals?user=${slip}`);
    t.equal(asked.json.data.length, isShown ? 1 : 0, "and nobody finds it by guessing");
  }
});
