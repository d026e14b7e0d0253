import { test, type Test } from "tap";
import type { UplinkLine } from "../../src/interactions/uplinks.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import { UPLINK_CLASSES } from "../../src/uplink-members.ts";
import { settingsOf } from "../uplink/shape-samples.ts";
import { startGateway, type Gateway } from "./harness.ts";

const URL = "mqtt://broker.example";
const CLOUD = "/gateway/uplinks/cloud";

/** A gateway whose uplinks are told to it, and run by nobody. */
async function startSite(t: Test): Promise<{
  readonly gateway: Gateway;
  readonly told: string[];
  readonly lines: Map<string, UplinkLine>;
}> {
  const told: string[] = [];
  const lines = new Map<string, UplinkLine>();
  const gateway = await startGateway(t, {
    deps: {
      fileUplinks: new Map([["plant", settingsOf({ password: "secret" })]]),
      uplinkChanged: (name) => void told.push(name),
      uplinkLine: (name) => lines.get(name),
      testUplink: async () =>
        Promise.resolve({
          isReached: false,
          detail: "connection refused",
          tookMs: 3.4,
        }),
    },
  });
  return { gateway, told, lines };
}

await test("PUT makes an uplink, GET shows it, DELETE removes it", async (t) => {
  const { gateway, told } = await startSite(t);
  const { call } = gateway;
  const json = {
    url: URL,
    username: "gateway-7",
    password: "secret",
    accounts: { A: "plant" },
  };
  const made = await call("PUT", CLOUD, { json });
  t.equal(made.status, 201);
  t.equal(made.headers.get("location"), CLOUD);
  t.notMatch(made.text, /secret/);
  t.match(made.json, {
    ...{
      name: "cloud",
      origin: "api",
      url: URL,
      username: "gateway-7",
      accounts: { A: "plant" },
    },
    ...{
      shape: "mirror",
      order: "strict",
      protocol: 5,
      retry: { min_s: 1, max_s: 60 },
    },
    ...{
      has_password: true,
      has_key: false,
      state: "connecting",
      last_error: null,
      acked_seq: 0,
    },
    ...{
      depth: { rows: 0, bytes: 0, oldest_age_s: 0 },
      full_in_s: null,
      drops: [],
    },
  });
  const shown = await call("GET", CLOUD);
  t.same([shown.status, shown.json], [200, made.json]);
  t.same((await call("GET", "/gateway/uplinks")).json.data, [made.json]);
  const { password: _, ...rest } = json;
  const changed = await call("PUT", CLOUD, { json: { ...rest, window: 7 } });
  t.equal(changed.status, 200);
  t.match(changed.json, { window: 7, has_password: true }, "a password that is left out is kept");
  t.match((await call("PUT", CLOUD, { json: { ...rest, password: null } })).json, {
    has_password: false,
  });
  t.equal((await call("DELETE", CLOUD)).status, 204);
  t.equal((await call("GET", CLOUD)).status, 404);
  t.equal((await call("DELETE", CLOUD)).json.code, "not-found");
  t.same(told, ["cloud", "cloud", "cloud", "cloud"]);
});

await test("lists of uplinks have pages", async (t) => {
  const { gateway } = await startSite(t);
  for (const name of ["b", "a", "c"]) {
    await gateway.call("PUT", `/gateway/uplinks/${name}`, {
      json: { url: URL },
    });
  }
  const first = await gateway.call("GET", "/gateway/uplinks?limit=2");
  t.match(first.json, {
    data: [{ name: "a" }, { name: "b" }],
    paging: { next_cursor: "b" },
  });
  const second = await gateway.call("GET", "/gateway/uplinks?limit=2&next_cursor=b");
  t.match(second.json, { data: [{ name: "c" }], paging: { next_cursor: "" } });
});

const REFUSED: readonly (readonly [json: unknown, code: string, pointer: string])[] = [
  [{}, "malformed", "/url"],
  [{ url: "mqtt://u:p@host" }, "malformed", "/url"],
  [{ url: URL, nonsense: 1 }, "unknown-member", "/nonsense"],
  [{ url: URL, rate: { messages: 1 } }, "unknown-member", "/rate/messages"],
  [{ url: URL, shape: "peer", order: "live-first" }, "malformed", "/order"],
  [{ url: URL, protocol: 4, order: "live-first" }, "malformed", "/order"],
  [{ url: URL, bounds: { event: { rule: "newest" } } }, "malformed", "/bounds/event/rule"],
];

await test("what cannot be an uplink is refused, with a pointer to it", async (t) => {
  const { gateway, told } = await startSite(t);
  for (const [json, code, pointer] of REFUSED) {
    const { status, json: problem } = await gateway.call("PUT", CLOUD, {
      json,
    });
    t.match([status, problem.code, problem.errors[0]?.pointer], [400, code, pointer]);
  }
  for (const name of ["a.b", "-a", "x".repeat(65)]) {
    const reply = await gateway.call("PUT", `/gateway/uplinks/${name}`, {
      json: { url: URL },
    });
    t.equal(reply.json.code, "malformed", name);
  }
  t.equal((await gateway.call("PUT", CLOUD)).json.code, "not-json");
  t.same((await gateway.call("GET", "/gateway/uplinks")).json.data, []);
  t.same(told, []);
});

await test("an uplink has a tag, which its settings and its pauses change", async (t) => {
  const { gateway } = await startSite(t);
  const { call } = gateway;
  const json = { url: URL };
  const create = { json, headers: { "if-none-match": "*" } };
  t.equal((await call("PUT", CLOUD, create)).status, 201);
  t.equal((await call("PUT", CLOUD, create)).status, 412);
  const headers = {
    "if-match": (await call("GET", CLOUD)).headers.get("etag") ?? "",
  };
  t.equal((await call("PUT", CLOUD, { json, headers })).status, 200);
  t.equal((await call("PUT", CLOUD, { json, headers })).status, 200, "which changed nothing");
  t.equal((await call("PUT", CLOUD, { json: { ...json, window: 2 }, headers })).status, 200);
  t.equal((await call("PUT", CLOUD, { json, headers })).status, 412);
  t.equal((await call("POST", `${CLOUD}/pause`, { headers })).status, 412);
  t.equal((await call("POST", `${CLOUD}/test`, { headers })).status, 412);
  t.equal((await call("DELETE", CLOUD, { headers })).status, 412);
  const absent = { json, headers: { "if-match": '"1-1"' } };
  t.equal((await call("PUT", "/gateway/uplinks/other", absent)).status, 412);
});

await test("an uplink is paused, resumed and tested", async (t) => {
  const { gateway, told, lines } = await startSite(t);
  const { call } = gateway;
  await call("PUT", CLOUD, { json: { url: URL } });
  lines.set("cloud", { opened: 1, failed: 2, state: "connected", since: 0 });
  const paused = await call("POST", `${CLOUD}/pause`);
  t.match([paused.status, paused.json], [200, { name: "cloud", state: "paused" }]);
  lines.set("cloud", { opened: 1, failed: 2, state: "connecting", since: 0 });
  const resumed = await call("POST", `${CLOUD}/resume`);
  t.match([resumed.status, resumed.json], [200, { state: "connecting" }]);
  t.same(told, ["cloud", "cloud", "cloud"]);
  const tested = await call("POST", `${CLOUD}/test`);
  t.same(
    [tested.status, tested.json],
    [200, { ok: false, detail: "connection refused", took_ms: 3 }],
  );
  for (const verb of ["pause", "resume", "test"]) {
    t.equal((await call("POST", `/gateway/uplinks/none/${verb}`)).json.code, "not-found", verb);
    t.equal((await call("GET", `${CLOUD}/${verb}`)).status, 405, verb);
  }
});

await test("an uplink of the configuration file is not changed here", async (t) => {
  const { gateway } = await startSite(t);
  const path = "/gateway/uplinks/plant";
  const refused = await gateway.call("PUT", path, { json: { url: URL } });
  t.match([refused.status, refused.json.code], [409, "conflict"]);
  t.match(refused.json.detail, /configuration file: change it there/);
});

await test("uplinks take a token of the box with the scope", async (t) => {
  const { gateway } = await startSite(t);
  const { call, token } = gateway;
  await call("PUT", CLOUD, { json: { url: URL } });
  const reader = token(["gateway.read"]);
  const rows: readonly (readonly [method: string, path: string, needs: "read" | "manage"])[] = [
    ["GET", "/gateway/uplinks", "read"],
    ["GET", CLOUD, "read"],
    ["PUT", CLOUD, "manage"],
    ["DELETE", CLOUD, "manage"],
    ["POST", `${CLOUD}/test`, "manage"],
    ["POST", `${CLOUD}/pause`, "manage"],
    ["POST", `${CLOUD}/resume`, "manage"],
  ];
  for (const [method, path, needs] of rows) {
    const body: { json?: JsonObject } = method === "PUT" ? { json: { url: URL } } : {};
    const name = `${method} ${path}`;
    const status = (await call(method, path, { ...body, token: reader })).status;
    t.equal(status, needs === "read" ? 200 : 403, name);
    t.equal((await call(method, path, { ...body, token: undefined })).status, 401, name);
    const things = token(["thing.manage", "thing.read"]);
    t.equal((await call(method, path, { ...body, token: things })).status, 403, name);
  }
});

await test("each class may have bounds", async (t) => {
  const { gateway } = await startSite(t);
  const bounds = Object.fromEntries(UPLINK_CLASSES.map((of) => [of, { rows: 10, age_s: 60 }]));
  const reply = await gateway.call("PUT", CLOUD, {
    json: { url: URL, bounds },
  });
  t.match([reply.status, reply.json], [201, { bounds }]);
});
