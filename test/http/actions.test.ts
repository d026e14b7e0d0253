import { test } from "tap";
import { BOILER, startGateway } from "./harness.ts";

const ACTIONS = "/A/things/boiler/actions";

await test("an action is requested, reported on and completed", async (t) => {
  const { call, published } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const made = await call("POST", `${ACTIONS}/purge`, {
    json: { purge: { input: { seconds: 3 } } },
  });
  t.equal(made.status, 201);
  const { href } = made.json.purge;
  t.match(href, /^\/A\/things\/boiler\/actions\/purge\/[0-9A-HJKMNP-TV-Z]{26}$/);
  t.equal(made.headers.get("location"), href);
  t.match(made.json, { purge: { input: { seconds: 3 }, status: "pending", timeRequested: /Z$/ } });
  t.match(published.at(-1), { topic: "status/A/things/boiler/actions/purge" });
  t.same((await call("GET", href)).json, made.json);

  const id = href.split("/").at(-1) ?? "";
  const running = await call("PUT", href, { json: { purge: { status: "running" } } });
  t.equal(running.status, 200);
  t.equal(running.json.purge.status, "running");
  t.equal((await call("DELETE", href)).json.code, "action-running");
  const done = await call("PUT", href, { json: { [id]: { status: "completed", output: 7 } } });
  t.match(done.json, { purge: { status: "completed", output: 7, timeCompleted: /Z$/ } });
  const late = await call("PUT", href, { json: { purge: { status: "failed" } } });
  t.equal(late.status, 409);
  t.equal(late.json.code, "action-finished");
  t.equal((await call("DELETE", href)).status, 204, "a finished one is removed");
  t.equal((await call("GET", href)).status, 404);
});

await test("a pending request that is deleted is cancelled, and can still be read", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const { href } = (await call("POST", ACTIONS, { json: { reset: {} } })).json.reset;
  const deleted = await call("DELETE", href);
  t.equal(deleted.status, 204);
  const read = await call("GET", href);
  t.equal(read.json.reset.status, "cancelled");
  t.match(read.json.reset.timeCompleted, /Z$/);
});

await test("requests are listed newest first, keyed, of one action or of all", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  for (let seconds = 1; seconds <= 3; seconds += 1) {
    await call("POST", `${ACTIONS}/purge`, { json: { purge: { input: { seconds } } } });
    await call("POST", `${ACTIONS}/reset`, { json: { reset: {} } });
  }
  const all = (await call("GET", ACTIONS)).json;
  t.same(
    all.data.map((item: object) => Object.keys(item)[0]),
    ["reset", "purge", "reset", "purge", "reset", "purge"],
  );
  const purges = (await call("GET", `${ACTIONS}/purge?limit=2`)).json;
  t.same(
    purges.data.map(({ purge }) => purge.input.seconds),
    [3, 2],
  );
  const cursor = purges.paging.next_cursor;
  const rest = (await call("GET", `${ACTIONS}/purge?limit=2&next_cursor=${cursor}`)).json;
  t.equal(rest.data[0]?.purge.input.seconds, 1);
  t.equal(rest.paging.next_cursor, "");
  const back = `${ACTIONS}/purge?limit=2&previous_cursor=${rest.paging.previous_cursor}`;
  t.same((await call("GET", back)).json.data, purges.data);
});

const REFUSED: readonly (readonly [method: string, path: string, body: unknown, code: string])[] = [
  ["POST", "/purge", {}, "malformed"],
  ["POST", "/purge", { reset: {} }, "malformed"],
  ["POST", "/purge", { purge: { input: {} }, reset: {} }, "unknown-member"],
  ["POST", "/purge", { purge: { input: { seconds: "x" } } }, "schema-violation"],
  ["POST", "/purge", { purge: {} }, "schema-violation"],
  ["POST", "/purge", { purge: { input: {}, timeout: 0 } }, "malformed"],
  ["POST", "/purge", { purge: { input: {}, soon: 1 } }, "unknown-member"],
  ["POST", "/purge", { purge: 7 }, "malformed"],
  ["POST", "/none", { none: {} }, "unknown-affordance"],
  ["POST", "", { none: {} }, "unknown-affordance"],
  ["POST", "", {}, "malformed"],
  ["POST", "", { reset: {}, purge: {} }, "malformed"],
  ["POST", "", [], "malformed"],
  ["GET", "/none", undefined, "unknown-affordance"],
  ["GET", "/purge/01ARZ3NDEKTSV4RRFFQ69G5FAV", undefined, "unknown-action-request"],
  ["GET", "/purge/7", undefined, "unknown-action-request"],
  ["DELETE", "/purge/7", undefined, "unknown-action-request"],
  ["PUT", "/purge/7", { purge: { status: "running" } }, "unknown-action-request"],
  ["PUT", "ID", { purge: {} }, "malformed"],
  ["PUT", "ID", { purge: { status: "pending" } }, "malformed"],
  ["PUT", "ID", { purge: { status: "completed", output: "x" } }, "schema-violation"],
  ["PUT", "ID", { purge: { status: "running" }, reset: {} }, "unknown-member"],
  ["PUT", "ID", { status: "running" }, "malformed"],
];

await test("a request or report of another shape is refused", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const made = await call("POST", `${ACTIONS}/purge`, { json: { purge: { input: {} } } });
  for (const [method, path, json, code] of REFUSED) {
    const target = path === "ID" ? made.json.purge.href : ACTIONS + path;
    const reply = await call(method, target, { json });
    t.equal(reply.json.code, code, `${method} ${path} ${JSON.stringify(json)}`);
  }
  t.same((await call("GET", made.json.purge.href)).json, made.json);
});

await test("a request has a tag that moves with it", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const made = await call("POST", `${ACTIONS}/reset`, { json: { reset: {} } });
  const { href } = made.json.reset;
  const headers = { "if-match": made.headers.get("etag") ?? "" };
  t.equal((await call("GET", href)).headers.get("etag"), headers["if-match"]);
  const report = { json: { reset: { status: "running" } }, headers };
  t.equal((await call("PUT", href, report)).status, 200);
  t.equal((await call("PUT", href, report)).status, 412);
  t.equal((await call("DELETE", href, { headers })).status, 412);
});

await test("a Thing holds a bounded number of unfinished requests", async (t) => {
  const { call } = await startGateway(t, { limits: { pending_actions_per_thing: 2 } });
  await call("POST", "/A/things", { json: BOILER });
  const request = async () => call("POST", `${ACTIONS}/reset`, { json: { reset: {} } });
  await request();
  const second = await request();
  t.equal((await request()).json.code, "limit-reached");
  await call("DELETE", second.json.reset.href);
  t.equal((await request()).status, 201);
});

await test("requests that a dead device has taken up are ended by whoever may report for it", async (t) => {
  const { call, published } = await startGateway(t, { limits: { pending_actions_per_thing: 2 } });
  await call("POST", "/A/things", { json: BOILER });
  const request = async () => call("POST", `${ACTIONS}/reset`, { json: { reset: {} } });
  const hrefs: string[] = [];
  for (const status of ["received", "running"]) {
    const { href } = (await request()).json.reset;
    await call("PUT", href, { json: { reset: { status } } });
    t.equal((await call("DELETE", href)).json.code, "action-running", status);
    hrefs.push(href);
  }
  const refused = await request();
  t.match([refused.status, refused.json.code], [409, "limit-reached"]);
  t.match(refused.json.detail, /2 unfinished action requests/);
  for (const href of hrefs) {
    const error = "the press was replaced";
    const ended = await call("PUT", href, { json: { reset: { status: "failed", error } } });
    t.match(ended.json, { reset: { status: "failed", error, timeCompleted: /Z$/ } });
    t.match(published.at(-1)?.payload, /"failed"/, "whoever waits for it is told");
  }
  t.equal((await request()).status, 201);
});
