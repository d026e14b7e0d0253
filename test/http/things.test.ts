import { test } from "tap";
import { BOILER, startGateway } from "./harness.ts";

await test("POST creates a Thing with an id of its own choice or a ULID, and says where", async (t) => {
  const { call } = await startGateway(t);
  const named = await call("POST", "/A/things", { json: BOILER });
  t.equal(named.status, 201);
  t.equal(named.headers.get("location"), "/A/things/boiler");
  t.match(named.json, { id: "boiler", uid: /^[0-9A-HJKMNP-TV-Z]{26}$/, title: "Boiler" });
  t.match(named.json.created, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  t.match(named.headers.get("etag"), /^"\d+"$/);

  const anonymous = await call("POST", "/A/things", { json: {} });
  t.equal(anonymous.status, 201);
  t.equal(anonymous.json.id, anonymous.json.uid);

  const taken = await call("POST", "/A/things", { json: { id: "boiler" } });
  t.equal(taken.status, 409);
  t.equal(taken.json.code, "conflict");
  const uri = await call("POST", "/A/things", { json: { id: "https://x.example/things/pump" } });
  t.equal(uri.json.id, "pump", "of a URI the last segment");
});

await test("a Thing is read by id and by uid, as it was given and as WoT TD 1.1", async (t) => {
  const { call } = await startGateway(t, { deps: { mqttPort: 1884 } });
  const made = await call("POST", "/A/things", { json: BOILER });
  const byId = await call("GET", "/A/things/boiler");
  t.equal(byId.status, 200);
  t.equal(byId.headers.get("content-type"), "application/json");
  t.same(byId.json, made.json);
  t.match(byId.json, BOILER);
  t.same((await call("GET", `/A/things/${made.json.uid}`)).json, made.json);

  const accept = { accept: "application/td+json" };
  const wot = await call("GET", "/A/things/boiler", { headers: accept });
  t.equal(wot.headers.get("content-type"), "application/td+json");
  t.equal(wot.headers.get("vary"), "Accept");
  t.match(wot.json.id, /^http:\/\/127\.0\.0\.1:\d+\/A\/things\/boiler$/);
  t.match(wot.text, "mqtt://127.0.0.1:1884", "forms lead to MQTT, too");
  t.not(wot.headers.get("etag"), byId.headers.get("etag"), "another representation, another tag");

  for (const method of ["GET", "DELETE"]) {
    const missing = await call(method, "/A/things/nobody");
    t.equal(missing.status, 404, method);
    t.equal(missing.json.code, "unknown-thing");
  }
});

await test("PUT creates and replaces; what GET gave can be PUT", async (t) => {
  const { call, published } = await startGateway(t);
  const made = await call("PUT", "/A/things/boiler", { json: { title: "One" } });
  t.equal(made.status, 201);
  t.equal(made.headers.get("location"), "/A/things/boiler");
  const shown = (await call("GET", "/A/things/boiler")).json;
  const again = await call("PUT", "/A/things/boiler", { json: shown });
  t.equal(again.status, 200);
  t.equal(again.json.uid, made.json.uid);
  t.equal(again.json.created, made.json.created);
  const extension = { ...shown, "x:note": { a: 1 }, title: "Two" };
  const replaced = await call("PUT", `/A/things/${made.json.uid}`, { json: extension });
  t.match(replaced.json, { id: "boiler", title: "Two", "x:note": { a: 1 } });
  t.match(published.at(-1), { topic: "status/A/things/boiler", about: "description" });

  const renamed = await call("PUT", "/A/things/boiler", { json: { id: "other" } });
  t.equal(renamed.status, 400);
  t.match(renamed.json, { code: "description-invalid", errors: [{ pointer: "/id" }] });
  const invalid = await call("PUT", "/A/things/boiler", {
    json: { properties: { a: { type: "nothing" }, b: { minimum: "x" } } },
  });
  t.same(
    invalid.json.errors.map(({ pointer }: { pointer: string }) => pointer),
    ["/properties/a/type", "/properties/b/minimum"],
  );
  t.equal((await call("PUT", "/A/things/bad%20id", { json: {} })).status, 400);
});

await test("PATCH takes a merge patch by three names", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const types = ["application/json", "application/merge-patch+json", "text/plain"];
  for (const type of types) {
    const patched = await call("PATCH", "/A/things/boiler", {
      body: JSON.stringify({ title: type, actions: { reset: null }, extra: { a: 1 } }),
      headers: { "content-type": type },
    });
    t.equal(patched.status, 200, type);
    t.match(patched.json, { title: type, extra: { a: 1 }, events: BOILER.events });
    t.notOk("reset" in patched.json.actions);
  }
  const array = await call("PATCH", "/A/things/boiler", { json: [] });
  t.equal(array.status, 400);
  t.match(array.json.detail, "application/json-patch+json");
  t.equal((await call("PATCH", "/A/things/nobody", { json: {} })).status, 404);
  const invalid = await call("PATCH", "/A/things/boiler", { json: { properties: 1 } });
  t.equal(invalid.json.code, "description-invalid");
});

await test("DELETE of an element takes it from the description with its value", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  await call("PUT", "/A/things/boiler/properties/target", { json: { target: 20 } });
  for (const path of ["properties/target", "actions/reset", "events/boot"]) {
    t.equal((await call("DELETE", `/A/things/boiler/${path}`)).status, 204, path);
    t.equal((await call("DELETE", `/A/things/boiler/${path}`)).status, 404, path);
  }
  const { json } = await call("GET", "/A/things/boiler");
  t.same(Object.keys(json.properties), ["temperature", "mode", "pin"]);
  t.same(Object.keys(json.actions), ["purge"]);
  t.same(Object.keys(json.events), ["alarm"]);
  t.same((await call("GET", "/A/things/boiler/properties")).json, {});
  await call("PATCH", "/A/things/boiler", { json: { properties: { target: {} } } });
  t.same((await call("GET", "/A/things/boiler/properties/target")).json, { target: null });
});

await test("DELETE of a Thing takes everything with it", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  await call("PUT", "/A/things/boiler/properties/target", { json: { target: 20 } });
  const deleted = await call("DELETE", "/A/things/boiler");
  t.equal(deleted.status, 204);
  t.equal(deleted.text, "");
  t.equal((await call("GET", "/A/things/boiler")).status, 404);
  await call("POST", "/A/things", { json: BOILER });
  t.same((await call("GET", "/A/things/boiler/properties")).json, {});
  t.same((await call("GET", "/A/things/boiler/properties-history")).json.data, []);
});

await test("names of any kind work in paths, encoded", async (t) => {
  const { call } = await startGateway(t);
  const names = ["__proto__", "constructor", "a b", "Fan-status", "content.humidity", "🌡", "%41"];
  const elements = names.map((name) => [name, {}] as const);
  const json = { id: "odd", properties: Object.fromEntries(elements) };
  // A literal of JSON, because JSON.stringify of a parsed `__proto__` keeps it.
  t.equal((await call("POST", "/A/things", { json })).status, 201);
  for (const name of names) {
    const path = `/A/things/odd/properties/${encodeURIComponent(name)}`;
    const body = `{${JSON.stringify(name)}: 7}`;
    const put = await call("PUT", path, { body });
    t.equal(put.text, `{${JSON.stringify(name)}:7}`, name);
    t.equal((await call("GET", path)).text, put.text, name);
  }
  t.same(Object.keys((await call("GET", "/A/things/odd/properties")).json), names);
  t.equal((await call("GET", "/A/things/odd/properties/toString")).status, 404);
  const history = await call("GET", "/A/things/odd/properties-history/__proto__");
  t.match(history.text, '"properties":{"__proto__":7}');
  t.equal((await call("DELETE", "/A/things/odd/properties/__proto__")).status, 204);
  t.equal((await call("GET", "/A/things/odd/properties/__proto__")).status, 404);
});

await test("a condition that does not hold changes nothing, and says so", async (t) => {
  const { call } = await startGateway(t);
  const create = { json: { title: "One" }, headers: { "if-none-match": "*" } };
  const made = await call("PUT", "/A/things/x", create);
  t.equal(made.status, 201);
  t.equal((await call("PUT", "/A/things/x", create)).json.code, "precondition-failed");
  const etag = made.headers.get("etag") ?? "";

  const same = await call("GET", "/A/things/x", { headers: { "if-none-match": `W/"a", ${etag}` } });
  t.equal(same.status, 304);
  t.equal(same.text, "");
  t.equal(same.headers.get("etag"), etag);

  const put = { json: { title: "Two" }, headers: { "if-match": etag } };
  t.equal((await call("PUT", "/A/things/x", put)).status, 200);
  for (const method of ["PUT", "PATCH"]) {
    t.equal((await call(method, "/A/things/x", put)).status, 412, method);
  }
  t.equal((await call("DELETE", "/A/things/x", { headers: put.headers })).status, 412);
  t.equal((await call("GET", "/A/things/x", { headers: put.headers })).status, 412);
  const weak = { "if-match": `W/${(await call("GET", "/A/things/x")).headers.get("etag") ?? ""}` };
  t.equal(
    (await call("DELETE", "/A/things/x", { headers: weak })).status,
    412,
    "strong comparison",
  );
  const any = { headers: { "if-match": "*" } };
  t.equal((await call("PUT", "/A/things/new", { ...any, json: {} })).status, 412);
  t.equal((await call("DELETE", "/A/things/x", any)).status, 204);
  const bad = await call("GET", "/A/things/x", { headers: { "if-match": "abc" } });
  t.equal(bad.json.code, "malformed");

  await call("PUT", "/A/things/x", { json: { properties: { p: {} } } });
  const wot = await call("GET", "/A/things/x", { headers: { accept: "application/td+json" } });
  const wotTag = { "if-match": wot.headers.get("etag") ?? "" };
  const stale = { "if-match": '"0"' };
  const element = "/A/things/x/properties/p";
  t.equal((await call("DELETE", element, { headers: stale })).status, 412);
  t.equal((await call("DELETE", element, { headers: wotTag })).status, 204);
});
