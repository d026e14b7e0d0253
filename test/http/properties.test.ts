import { test } from "tap";
import { BOILER, startGateway } from "./harness.ts";

await test("a property is written and read keyed, by PUT and by POST", async (t) => {
  const { call, published, deps } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  t.same((await call("GET", "/A/things/boiler/properties/target")).json, { target: null });
  const put = await call("PUT", "/A/things/boiler/properties/target", { json: { target: 42 } });
  t.equal(put.status, 200);
  t.same(put.json, { target: 42 });
  const sequence = deps.store.changes.sequence;
  t.equal(put.headers.get("etag"), `"${sequence}"`);
  t.match(published.at(-1), {
    topic: "status/A/things/boiler/properties/target",
    payload: '{"target":42}',
  });
  const post = await call("POST", "/A/things/boiler/properties/target", { json: { target: 43 } });
  t.equal(post.status, 200);
  const get = await call("GET", "/A/things/boiler/properties/target");
  t.same(get.json, { target: 43 });
  t.equal(get.headers.get("etag"), post.headers.get("etag"));
  const head = await call("HEAD", "/A/things/boiler/properties/target");
  t.equal(head.status, 200);
  t.equal(head.text, "");
  t.equal(head.headers.get("content-length"), String(get.text.length));
});

await test("several properties are written all or nothing", async (t) => {
  const { call, deps } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const path = "/A/things/boiler/properties";
  t.same((await call("GET", path)).json, {});
  const put = await call("PUT", path, { json: { mode: "on", target: 5, pin: "1234" } });
  t.same(put.json, { mode: "on", target: 5, pin: null }, "what is write-only is not shown");
  t.same((await call("GET", path)).json, { target: 5, mode: "on" });
  t.same((await call("GET", `${path}/pin`)).json, { pin: null });
  deps.store.properties.set(1, "pin", { value: "1234", at: 0, sequence: 1 });
  t.same((await call("GET", `${path}/pin`)).json, { pin: null }, "whatever the store holds");
  t.same((await call("GET", path)).json, { target: 5, mode: "on" });
  const half = await call("POST", path, { json: { target: 6, mode: "loud" } });
  t.equal(half.status, 400);
  t.same((await call("GET", path)).json, { target: 5, mode: "on" });
  t.equal((await call("POST", path, { json: { target: 7 } })).status, 200);
});

const REFUSED: readonly (readonly [name: string, body: string, status: number, code: string])[] = [
  ["target", '{"target":', 400, "not-json"],
  ["target", "", 400, "not-json"],
  ["target", "20", 400, "malformed"],
  ["target", "[]", 400, "malformed"],
  ["target", "{}", 400, "malformed"],
  ["target", '{"other":1}', 400, "malformed"],
  ["target", '{"target":1,"mode":"on"}', 400, "unknown-member"],
  ["target", '{"target":"20"}', 400, "schema-violation"],
  ["target", '{"target":91}', 400, "schema-violation"],
  ["target", '{"target":null}', 400, "schema-violation"],
  ["target", '{"target":1e999}', 400, "malformed"],
  ["target", `{"target":${"[".repeat(40)}${"]".repeat(40)}}`, 400, "malformed"],
  ["mode", '{"mode":"\\ud800"}', 400, "malformed"],
  ["nothing", '{"nothing":1}', 404, "unknown-affordance"],
];

await test("a bad value is refused with what is wrong, and the next good one works", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  for (const [name, body, status, code] of REFUSED) {
    const path = `/A/things/boiler/properties/${name}`;
    const refused = await call("PUT", path, { body });
    t.equal(refused.status, status, body);
    t.equal(refused.json.code, code, body);
    t.equal(refused.headers.get("content-type"), "application/problem+json");
    const good = await call("PUT", "/A/things/boiler/properties/target", { json: { target: 1 } });
    t.equal(good.status, 200);
  }
  const violation = await call("PUT", "/A/things/boiler/properties/target", {
    json: { target: 91 },
  });
  t.match(violation.json, {
    type: "/problems/schema-violation",
    title: "The value does not match its DataSchema",
    status: 400,
    errors: [{ pointer: "/target", detail: /90/ }],
  });
  const duplicate = await call("PUT", "/A/things/boiler/properties/target", {
    body: '{"target":1,"target":2}',
  });
  t.same(duplicate.json, { target: 2 }, "of duplicate keys the last wins");
});

await test("JSON is taken under the names that real clients give it", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const path = "/A/things/boiler/properties/target";
  const put = async (type: string | undefined) =>
    call("PUT", path, {
      body: new TextEncoder().encode('{"target":1}'),
      headers: type === undefined ? {} : { "content-type": type },
    });
  const taken = [
    undefined,
    "application/json",
    "application/json; charset=UTF-8",
    "Application/JSON;charset=utf8",
    "text/json",
    "application/td+json",
    "application/x-www-form-urlencoded",
    "text/plain;charset=UTF-8",
  ];
  for (const type of taken) t.equal((await put(type)).status, 200, type ?? "none");
  const refused = [
    "application/xml",
    "text/html",
    "multipart/form-data; boundary=x",
    "application/octet-stream",
    "application/json; charset=utf-16",
  ];
  for (const type of refused) {
    const reply = await put(type);
    t.equal(reply.status, 415, type);
    t.equal(reply.json.code, "unsupported-media-type");
  }
  const bytes = new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
  t.equal((await call("PUT", path, { body: bytes })).json.code, "not-json", "bad UTF-8");
});

await test("values have tags of their own: one, and all of them", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const one = "/A/things/boiler/properties/target";
  const all = "/A/things/boiler/properties";
  const etagOf = async (path: string) => (await call("GET", path)).headers.get("etag") ?? "";
  const [oneBefore, allBefore] = [await etagOf(one), await etagOf(all)];
  t.equal(oneBefore, '"0"');
  const write = { json: { target: 1 }, headers: { "if-match": oneBefore } };
  t.equal((await call("PUT", one, write)).status, 200);
  t.equal((await call("PUT", one, write)).status, 412);
  t.same((await call("GET", one)).json, { target: 1 });
  t.not(await etagOf(all), allBefore);
  const map = { json: { mode: "on" }, headers: { "if-match": await etagOf(all) } };
  t.equal((await call("PUT", all, map)).status, 200);
  t.equal((await call("PUT", all, map)).status, 412);
  const known = { headers: { "if-none-match": await etagOf(one) } };
  t.equal((await call("GET", one, known)).status, 304);
  const current = await etagOf(all);
  await call("DELETE", "/A/things/boiler/properties/mode");
  t.not(await etagOf(all), current, "a deleted property changes the map");
});
