import { test } from "tap";
import { BOILER, startGateway } from "./harness.ts";

const EVENTS = "/A/things/boiler/events";

await test("an event is recorded, read, listed newest first and deleted", async (t) => {
  const { call, published, deps } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const made = await call("POST", `${EVENTS}/alarm`, { json: { alarm: { data: "hot" } } });
  t.equal(made.status, 201);
  t.match(made.json, { alarm: { data: "hot", timestamp: /Z$/ } });
  const { href } = made.json.alarm;
  t.equal(made.headers.get("location"), href);
  t.match(published.at(-1), { topic: "status/A/things/boiler/events/alarm" });
  t.same((await call("GET", href)).json, made.json);
  await call("POST", `${EVENTS}/boot`, { json: { boot: {} } });
  await call("POST", `${EVENTS}/alarm`, { json: { alarm: { data: "hotter" } } });

  const all = (await call("GET", EVENTS)).json.data;
  t.match(all, [{ alarm: { data: "hotter" } }, { boot: {} }, { alarm: { data: "hot" } }]);
  const alarms = await call("GET", `${EVENTS}/alarm?limit=1`);
  t.match(alarms.json.data, [{ alarm: { data: "hotter" } }]);
  const next = `${EVENTS}/alarm?limit=1&next_cursor=${alarms.json.paging.next_cursor}`;
  t.match((await call("GET", next)).json.data, [{ alarm: { data: "hot" } }]);

  const tag = { "if-match": '"other"' };
  t.equal((await call("DELETE", href, { headers: tag })).status, 412);
  const rows = deps.store.changes.rowsOf("event");
  t.equal((await call("DELETE", href)).status, 204);
  t.equal(deps.store.changes.rowsOf("event"), rows - 1);
  for (const method of ["GET", "DELETE"]) {
    const gone = await call(method, href);
    t.equal(gone.status, 404);
    t.equal(gone.json.code, "not-found");
  }
  t.equal((await call("GET", EVENTS)).json.data.length, 2);
  t.equal((await call("GET", `${EVENTS}/boot/${href.split("/").at(-1)}`)).status, 404);
});

await test("an event of another shape is refused", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const rows: readonly (readonly [path: string, body: unknown, code: string])[] = [
    ["/alarm", { alarm: {} }, "schema-violation"],
    ["/alarm", { alarm: { data: 7 } }, "schema-violation"],
    ["/alarm", { data: "hot" }, "malformed"],
    ["/alarm", { alarm: { data: "hot", timestamp: "x" } }, "unknown-member"],
    ["/alarm", { alarm: "hot" }, "malformed"],
    ["/none", { none: {} }, "unknown-affordance"],
  ];
  for (const [path, json, code] of rows) {
    t.equal((await call("POST", EVENTS + path, { json })).json.code, code, JSON.stringify(json));
  }
  t.equal((await call("GET", `${EVENTS}/none`)).json.code, "unknown-affordance");
  t.same((await call("GET", EVENTS)).json.data, []);
});
