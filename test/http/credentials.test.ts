import { test } from "tap";
import { authenticateCredential } from "../../src/interactions/authentication.ts";
import { startGateway, type Gateway } from "./harness.ts";

async function withThings(gateway: Gateway): Promise<string> {
  await gateway.call("PUT", "/A/things/two", { json: {} });
  return (await gateway.call("PUT", "/A/things/one", { json: {} })).json.uid;
}

const pair = (tail: string) => ({
  pattern_pub: `set/A/things/${tail}`,
  pattern_sub: `status/A/things/${tail}`,
});

await test("a credential is made as the contract has it: the four members, once", async (t) => {
  const gateway = await startGateway(t);
  const { call } = gateway;
  const uid = await withThings(gateway);
  const made = await call("POST", "/A/mqtt", {
    json: { resources: [{ entity: "things", id: [uid] }], user: "", password: "" },
  });
  t.equal(made.status, 201);
  t.same(Object.keys(made.json), ["ulid", "username", "password", "topics"]);
  t.match(made.json.username, /^[a-z0-9]{11}$/);
  t.ok(made.json.password.length >= 20);
  t.notMatch(made.json.password, /['"\\?]/);
  t.same(made.json.topics, [pair("one/properties/#"), pair("one/actions/#"), pair("one/events/#")]);
  t.equal(made.headers.get("location"), `/A/mqtt/${made.json.ulid}`);

  const read = await call("GET", `/A/mqtt/${made.json.ulid}`);
  t.same(read.json, {
    ulid: made.json.ulid,
    username: made.json.username,
    topics: made.json.topics,
    resources: [{ entity: "things", id: ["one"], role: "device" }],
    enabled: true,
    description: null,
    expires_at: null,
    client_id: null,
    created: read.json.created,
  });
  t.notMatch(read.text, made.json.password);
  const listed = await call("GET", "/A/mqtt");
  t.same(listed.json, { data: [read.json], paging: { next_cursor: "", previous_cursor: "" } });
  t.same((await call("GET", "/B/mqtt")).json.data, []);
  t.equal((await call("GET", `/B/mqtt/${made.json.ulid}`)).status, 404);
});

await test("every kind of resource shows its patterns", async (t) => {
  const gateway = await startGateway(t);
  await withThings(gateway);
  const topicsOf = async (...resources: unknown[]) =>
    (await gateway.call("POST", "/A/mqtt", { json: { resources } })).json.topics;
  t.same(await topicsOf({ entity: "data", id: ["one"] }), [
    { pattern_pub: "A/data/one", pattern_sub: "A/data/one" },
  ]);
  t.same(await topicsOf({ entity: "things", id: ["*"], definition: true }), [
    pair("+/properties/#"),
    pair("+/actions/#"),
    pair("+/events/#"),
    pair("+"),
  ]);
  t.same(await topicsOf({ entity: "things", id: ["one"], role: "consumer" }), [
    pair("one/properties/#"),
    pair("one/actions/#"),
    { ...pair("one/events/#"), pattern_pub: "" },
  ]);
  t.equal(
    (
      (await topicsOf(
        { entity: "things", id: ["one", "two"] },
        { entity: "data", id: ["*"] },
      )) as []
    ).length,
    7,
  );
});

await test("free topics are granted where the configuration and the token allow it", async (t) => {
  const json = { resources: [{ entity: "topics", patterns: [{ pub: "line/#", sub: "line/#" }] }] };
  const off = await startGateway(t);
  t.equal((await off.call("POST", "/A/mqtt", { json })).json.code, "malformed");
  const { call, token } = await startGateway(t, { deps: { freeTopics: true } });
  const made = await call("POST", "/A/mqtt", { json });
  t.same(made.json.topics, [{ pattern_pub: "line/#", pattern_sub: "line/#" }]);
  const ulid = made.json.ulid;
  t.same((await call("GET", `/A/mqtt/${ulid}`)).json.resources, json.resources);
  const small = token(["mqtt.credentials"]);
  t.equal((await call("POST", "/A/mqtt", { json, token: small })).status, 403);
  for (const pub of ["set/A/things/x", "A/data/x", "$SYS/x", "a/#/b"]) {
    const resources = [{ entity: "topics", patterns: [{ pub }] }];
    t.equal((await call("POST", "/A/mqtt", { json: { resources } })).json.code, "malformed", pub);
  }
});

const THING = { entity: "things", id: ["one"] };
const REFUSED: readonly (readonly [
  body: unknown,
  status: number,
  code: string,
  pointer?: string,
])[] = [
  [{ resources: [] }, 400, "malformed", "/resources"],
  [{}, 400, "malformed", "/resources"],
  [[], 400, "malformed"],
  [{ resources: [{ entity: "things", id: [] }] }, 400, "malformed", "/resources/0/id"],
  [{ resources: [{ entity: "things" }] }, 400, "malformed", "/resources/0/id"],
  [{ resources: [{ entity: "other", id: ["x"] }] }, 400, "malformed", "/resources/0/entity"],
  [{ resources: [{ ...THING, id: ["none"] }] }, 404, "unknown-thing", "/resources/0/id/0"],
  [{ resources: [{ ...THING, id: ["*", "one"] }] }, 400, "malformed", "/resources/0/id"],
  [{ resources: [{ ...THING, role: "king" }] }, 400, "malformed", "/resources/0/role"],
  [{ resources: [{ ...THING, extra: 1 }] }, 400, "unknown-member", "/resources/0/extra"],
  [{ resources: [THING], username: "x" }, 400, "unknown-member", "/username"],
  [{ resources: [THING], overlap: 1 }, 400, "unknown-member", "/overlap"],
  [{ resources: [THING], user: "a b" }, 400, "malformed", "/user"],
  [{ resources: [THING], user: 7 }, 400, "malformed", "/user"],
  [{ resources: [THING], user: "taken" }, 409, "conflict", "/user"],
  [{ resources: [THING], expires_at: "soon" }, 400, "malformed", "/expires_at"],
  [{ resources: [THING], enabled: "yes" }, 400, "malformed", "/enabled"],
  [{ resources: [THING], client_id: "" }, 400, "malformed", "/client_id"],
];

await test("what is refused makes no credential", async (t) => {
  const gateway = await startGateway(t);
  const { call } = gateway;
  await withThings(gateway);
  const taken = { resources: [THING], user: "taken", password: "chosen" };
  t.equal((await call("POST", "/A/mqtt", { json: taken })).json.password, "chosen");
  for (const [json, status, code, pointer] of REFUSED) {
    const reply = await call("POST", "/A/mqtt", { json });
    t.equal(reply.json.code, code, JSON.stringify(json));
    t.equal(reply.status, status);
    if (pointer !== undefined)
      t.equal(reply.json.errors[0]?.pointer, pointer, JSON.stringify(json));
  }
  const proto = await call("POST", "/A/mqtt", {
    body: '{"resources":[{"entity":"things","id":["one"]}],"__proto__":{"user":"x"}}',
  });
  t.equal(proto.json.code, "unknown-member");
  t.equal((await call("GET", "/A/mqtt")).json.data.length, 1);
});

await test("a credential is changed by PUT and PATCH, and what is missing stays", async (t) => {
  const gateway = await startGateway(t);
  const { call, deps, credentialChanges } = gateway;
  await withThings(gateway);
  const made = (await call("POST", "/A/mqtt", { json: { resources: [THING] } })).json;
  const path = `/A/mqtt/${made.ulid}`;
  const works = async (user: string, password: string) =>
    (await authenticateCredential(deps, user, password, "192.0.2.1")) !== undefined;

  const described = await call("PUT", path, {
    json: {
      description: "hall",
      expires_at: "2099-01-01T00:00:00Z",
      client_id: "ESP32Client",
      resources: [{ entity: "data", id: ["two"] }],
    },
  });
  t.equal(described.status, 200);
  t.notOk("password" in described.json);
  t.match(described.json, {
    description: "hall",
    expires_at: "2099-01-01T00:00:00.000Z",
    client_id: "ESP32Client",
    resources: [{ entity: "data", id: ["two"] }],
    username: made.username,
  });
  t.ok(await works(made.username, made.password));
  const cleared = await call("PATCH", path, {
    json: { description: null, expires_at: null, client_id: null },
  });
  t.match(cleared.json, { description: null, expires_at: null, client_id: null });

  const renewed = await call("PUT", path, { json: { password: "", overlap: 60 } });
  t.type(renewed.json.password, "string");
  t.ok(await works(made.username, renewed.json.password));
  t.ok(await works(made.username, made.password), "the old one for a minute more");
  const chosen = await call("PATCH", path, { json: { password: "mine", user: "hall-7" } });
  t.match(chosen.json, { password: "mine", username: "hall-7" });
  t.ok(await works("hall-7", "mine"));
  t.notOk(await works("hall-7", renewed.json.password));
  credentialChanges.length = 0;
  t.equal((await call("PATCH", path, { json: { enabled: false } })).json.enabled, false);
  t.same(credentialChanges, [[made.ulid, "revoked"]]);
  t.notOk(await works("hall-7", "mine"));
  t.equal((await call("PUT", path, { json: { ulid: "x" } })).json.code, "unknown-member");
  t.equal((await call("PUT", path, { json: { overlap: -1 } })).json.code, "malformed");
  t.equal((await call("PUT", path, { json: { resources: [] } })).json.code, "malformed");
  const patch = { body: "[]", headers: { "content-type": "application/json-patch+json" } };
  t.equal((await call("PATCH", path, patch)).json.code, "malformed");

  t.equal((await call("DELETE", path)).status, 204);
  for (const method of ["GET", "DELETE"]) t.equal((await call(method, path)).status, 404);
  t.equal((await call("PUT", path, { json: {} })).status, 404);
});

await test("a credential has a tag, and pages", async (t) => {
  const gateway = await startGateway(t);
  const { call } = gateway;
  await withThings(gateway);
  const made = await call("POST", "/A/mqtt", { json: { resources: [THING] } });
  const path = `/A/mqtt/${made.json.ulid}`;
  const headers = { "if-match": made.headers.get("etag") ?? "" };
  t.equal((await call("GET", path)).headers.get("etag"), headers["if-match"]);
  t.equal((await call("PATCH", path, { json: { enabled: true }, headers })).status, 200);
  t.equal((await call("PATCH", path, { json: { enabled: false }, headers })).status, 412);
  t.equal((await call("DELETE", path, { headers })).status, 412);
  t.equal((await call("GET", path)).json.enabled, true);
  for (let n = 0; n < 4; n += 1) {
    await call("POST", "/A/mqtt", { json: { resources: [THING] } });
  }
  const whole = (await call("GET", "/A/mqtt")).json.data;
  const first = (await call("GET", "/A/mqtt?limit=2")).json;
  const second = await call("GET", `/A/mqtt?limit=2&next_cursor=${first.paging.next_cursor}`);
  t.same([...first.data, ...second.json.data], whole.slice(0, 4));
  t.match(second.headers.get("link"), /rel="next".*rel="prev"/);
});
