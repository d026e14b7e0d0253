import { test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import { BOILER, startGateway } from "./harness.ts";

await test("a full disk refuses changes before they begin, lets deletions through, and answers reads", async (t) => {
  const { call, deps } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const client = (await call("POST", "/A/clients", { json: { scopes: ["thing.read"] } })).json;
  const { store } = deps;
  const before = store.changes.sequence;
  store.writability.setFull(new GatewayError("storage-full", "little room is left"));
  const path = "/A/things/boiler/properties/target";
  for (const method of ["PUT", "POST"]) {
    const refused = await call(method, path, { json: { target: 1 } });
    t.equal(refused.status, 503, method);
    t.equal(refused.json.type, "/problems/storage-full");
  }
  const form = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: client.client_id,
    client_secret: client.client_secret,
  });
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  const token = await call("POST", "/oauth2/token", { body: form.toString(), headers });
  t.same([token.status, token.json.error], [503, "temporarily_unavailable"]);
  t.equal(store.changes.sequence, before);
  t.same((await call("GET", path)).json, { target: null });
  t.equal((await call("GET", "/A/things/nobody")).status, 404);
  t.equal((await call("PUT", path, { json: {}, token: "slu_x" })).status, 401);
  t.equal((await call("DELETE", "/A/things/boiler/actions/reset")).status, 204);
  store.writability.setFull(undefined);
  t.equal((await call("PUT", path, { json: { target: 1 } })).status, 200);
});

await test("a stalled disk takes nothing, and reads go on", async (t) => {
  const { call, deps } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const { writability } = deps.store;
  writability.setStall(new GatewayError("storage-failed", "a write failed"));
  t.equal((await call("DELETE", "/A/things/boiler")).json.code, "storage-failed");
  t.equal((await call("GET", "/A/things/boiler")).status, 200);
  t.equal((await call("GET", "/A/things/boiler/properties-history")).status, 200);
  writability.setStall(undefined);
  t.equal((await call("DELETE", "/A/things/boiler")).status, 204);
});
