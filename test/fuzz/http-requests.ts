import type { Route } from "../../src/http/call.ts";
import { AddressRate } from "../../src/address-rate.ts";
import { makeRoutes } from "../../src/http/routes.ts";
import type { Dice } from "../crash/dice.ts";
import { mutatedJson } from "./json-bytes.ts";
import { noise } from "./mqtt-packets.ts";
import { SITE } from "./site.ts";
import type { Target } from "./target.ts";

const ROUTES: readonly Route[] = makeRoutes(new AddressRate(0, { monotonicMs: () => 0 }));

/** What takes a body has more that can be wrong; a patch has most. */
const WEIGHTS = { GET: 1, DELETE: 1, POST: 3, PUT: 3, PATCH: 8 } as const;
const WEIGHTED = ROUTES.flatMap((route) =>
  Array.from({ length: WEIGHTS[route.method] }, () => route),
);

/** Whose request it is. */
export type Asker = "admin" | "site" | "other" | "device" | "nobody";

export type FuzzRequest = {
  readonly asker: Asker;
  readonly method: string;
  readonly path: string;
  /** Its head and the length of its body are as HTTP/1.1 has them: there must be an answer. */
  readonly isHttp: boolean;
  readonly bytes: Buffer;
  /** The client closes its side behind the bytes. */
  readonly endsFirst: boolean;
};

/** In every password that is sent. No answer but that of the credential itself may repeat it. */
export const SECRET = "hunter2-hunter2";

const ODD_SEGMENTS = [
  "",
  ".",
  "..",
  "%2e%2e",
  "%2F",
  "%00",
  "%ff",
  "%C0%AF",
  "%",
  "%zz",
  "__proto__",
  "constructor",
  "hasOwnProperty",
  "*",
  "+",
  "a%20b",
  "%E6%B8%A9",
  "%F0%9F%98%80",
  "0",
  "-1",
  "01ARZ3NDEKTSV4RRFFQ69G5FAV",
  "7ZZZZZZZZZZZZZZZZZZZZZZZZZ",
  "zzzzzzzzzzzzzzzzzzzzzzzzzz",
  "x".repeat(129),
  "x".repeat(5_000),
];

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"];

const MEDIA_TYPES = [
  "application/json",
  "application/merge-patch+json",
  "application/json-patch+json",
  "application/x-www-form-urlencoded",
  "text/plain",
  "application/td+json; charset=utf-8",
  "application/json; charset=utf-16",
  "multipart/form-data; boundary=x",
  "text/html",
  ";;;",
];

/** One request to any route. `ids`: of what was made before. */
export function makeRequest(dice: Dice, target: Target, ids: readonly string[]): FuzzRequest {
  const route = dice.pick(WEIGHTED);
  const method = dice.chance(0.85) ? route.method : dice.pick(METHODS);
  const path = fillPath(dice, route, method, ids) + query(dice, route, ids);
  const asker = dice.pick([
    "admin",
    "admin",
    "admin",
    "site",
    "site",
    "site",
    "other",
    "device",
    "nobody",
  ] as const);
  const [mediaType, body] = bodyFor(dice, route.path, method);
  const headers = [
    `Host: ${dice.chance(0.95) ? "gateway.local:8080" : dice.pick(["", "a b", "é", "[::1]", "x:y:z"])}`,
    "Connection: close",
    ...authorization(dice, target, asker),
    ...oddHeaders(dice, ids),
  ];
  if (mediaType !== undefined) headers.push(`Content-Type: ${mediaType}`);
  const framed = frame(dice, body);
  const head = [`${method} ${path} HTTP/1.1`, ...headers, ...framed.headers, "", ""].join("\r\n");
  let bytes = Buffer.concat([Buffer.from(head, "utf8"), framed.bytes]);
  let isHttp = framed.isHttp && isHead(head) && /^(\/|http:)\S*$/.test(path);
  if (dice.chance(0.02)) {
    bytes = Buffer.concat([bytes.subarray(0, dice.below(bytes.length)), noise(dice, 60)]);
    isHttp = false;
  }
  // RFC 9112 §3.2.2: of the absolute form only the path counts.
  const asked = path.replace(/^http:\/\/a\.b/, "");
  return { asker, method, path: asked, isHttp, bytes, endsFirst: !isHttp };
}

/** No byte in it that Node's parser refuses before anybody is asked. */
const isHead = (head: string): boolean => /^[\t\r\n -~]*$/.test(head) && head.length < 15_000;

function fillPath(dice: Dice, route: Route, method: string, ids: readonly string[]): string {
  // What is needed to go on asking is not deleted.
  const isAccount = route.path.startsWith("/gateway/accounts/");
  const accounts =
    isAccount && method === "DELETE"
      ? ["temp", "temp2", "nobody"]
      : ["site", "site", "site", "site", "other", "nobody", "temp"];
  const segments = route.path.split("/").map((segment) => {
    if (!segment.startsWith(":")) return dice.chance(0.005) ? segment.toUpperCase() : segment;
    if (dice.chance(0.05)) return dice.pick(ODD_SEGMENTS);
    if (segment === ":account") return dice.pick(accounts);
    if (segment === ":thing")
      return dice.pick(["boiler", "boiler", "press", "none", ...ids.slice(-3)]);
    if (segment === ":property") return dice.pick(Object.keys(SITE.things.boiler.properties));
    if (segment === ":action") return dice.pick(["purge", "reset"]);
    if (segment === ":event") return dice.pick(["alarm", "boot"]);
    return dice.pick(["temperature", "mode", "purge", "alarm", "not-found", ...ids.slice(-20)]);
  });
  const path = segments.join("/");
  if (!dice.chance(0.05)) return path;
  return dice.pick([
    `${path}/`,
    `/${path}`,
    `${path}/x`,
    path.slice(1) || "*",
    `http://a.b${path}`,
  ]);
}

const ODD_QUERY_VALUES = [
  "",
  "0",
  "-1",
  "1",
  "1000",
  "1001",
  "9999999999999999999",
  "NaN",
  "2020-04-02T15:37:46Z",
  "2020-04-02 15:37:46+0000",
  "2020-01-01T00:00:00Z|2030-01-01T00:00:00Z",
  "2030-01-01T00:00:00Z|2020-01-01T00:00:00Z",
  "+275760-09-13T00:00:00Z",
  "gt:20",
  "contains:o",
  "lt:",
  "neq:null",
  "+title,-created",
  "-__proto__",
  "true",
  "%00",
  "%ff",
  "%",
  "boiler",
  "x".repeat(3_000),
];

function query(dice: Dice, route: Route, ids: readonly string[]): string {
  if (dice.chance(0.6)) return "";
  const odd = ["__proto__", "limit", "at", "next_cursor", "a%ff"];
  const known = route.query ?? [];
  const names = dice.chance(0.8) && known.length > 0 ? known : [...known, ...odd];
  const pairs = Array.from({ length: 1 + dice.below(2) }, () => {
    const name = dice.pick(names).replace("*", dice.pick(["temperature", "", "none"]));
    const value = dice.pick([...ODD_QUERY_VALUES, ...ids.slice(-5)]);
    const isRaw = value.startsWith("%") || name.includes("%");
    return isRaw ? `${name}=${value}` : `${encodeURIComponent(name)}=${encodeURIComponent(value)}`;
  });
  return `?${pairs.join(dice.chance(0.95) ? "&" : "&&=")}`;
}

function authorization(dice: Dice, target: Target, asker: Asker): readonly string[] {
  const basic = (user: string, password: string): string =>
    `Authorization: Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  switch (asker) {
    case "admin":
      return [`Authorization: Bearer ${target.admin}`];
    case "site":
      return [`authorization: bearer ${target.siteToken}`];
    case "other":
      return [`Authorization: Bearer ${target.otherToken}`];
    case "device":
      return [basic(target.logins.device.user, target.logins.device.password)];
    case "nobody":
      return dice.pick([
        [],
        ["Authorization: Bearer "],
        ["Authorization: Bearer slu_wrongwrongwrongwrong"],
        ["Authorization: Basic !!!"],
        [basic(target.logins.device.user, "wrong")],
        [basic("app::01ARZ3NDEKTSV4RRFFQ69G5FAV", "wrong")],
        ["Authorization: Digest x"],
        [`Authorization: Bearer ${"x".repeat(4_000)}`],
      ]);
  }
}

function oddHeaders(dice: Dice, ids: readonly string[]): readonly string[] {
  if (dice.chance(0.8)) return [];
  return Array.from({ length: 1 + dice.below(2) }, () =>
    dice.pick([
      'If-Match: "x"',
      "If-Match: *",
      "If-None-Match: *",
      `If-None-Match: "${dice.pick(["1", ...ids])}"`,
      "If-Match: ,,,",
      'If-Match: "unterminated',
      "Accept: text/html",
      "Accept: */*;q=x",
      "Accept: application/td+json",
      "X-Request-Id: <script>",
      `X-Request-Id: ${"x".repeat(300)}`,
      "Content-Encoding: gzip",
      "Content-Encoding: identity",
      "Origin: http://evil.example",
      "X-HTTP-Method-Override: DELETE",
      "X-Forwarded-For: 10.0.0.1",
      "Expect: 100-continue",
      "Expect: 200-ok",
      "Upgrade: websocket",
      "Range: bytes=0-",
      "Cookie: a=b",
      `X-Long: ${"y".repeat(dice.pick([100, 8_000, 20_000]))}`,
      "é: latin",
    ]),
  );
}

type Framed = {
  readonly headers: readonly string[];
  readonly bytes: Buffer;
  readonly isHttp: boolean;
};

/** The body with its length, as it should be or not. */
function frame(dice: Dice, body: Buffer | undefined): Framed {
  if (body === undefined) return { headers: [], bytes: Buffer.alloc(0), isHttp: true };
  const length = `Content-Length: ${body.length}`;
  const chunk = `${body.length.toString(16)}\r\n`;
  if (!dice.chance(0.1)) return { headers: [length], bytes: body, isHttp: true };
  switch (dice.below(6)) {
    case 0:
      return {
        headers: ["Transfer-Encoding: chunked"],
        bytes: Buffer.concat([Buffer.from(chunk), body, Buffer.from("\r\n0\r\n\r\n")]),
        isHttp: body.length > 0,
      };
    case 1:
      return { headers: ["Transfer-Encoding: chunked"], bytes: body, isHttp: false };
    case 2:
      return { headers: [`Content-Length: ${body.length + 10}`], bytes: body, isHttp: false };
    case 3:
      return { headers: [length, "Transfer-Encoding: chunked"], bytes: body, isHttp: false };
    case 4:
      return { headers: ["Content-Length: -1"], bytes: body, isHttp: false };
    default:
      return { headers: [length, length], bytes: body, isHttp: false };
  }
}

function bodyFor(
  dice: Dice,
  path: string,
  method: string,
): [string | undefined, Buffer | undefined] {
  if (["GET", "HEAD", "DELETE", "OPTIONS", "TRACE"].includes(method) && dice.chance(0.9)) {
    return [undefined, undefined];
  }
  const size = dice.chance(0.01) ? 70_000 : 0;
  if (path.startsWith("/oauth2/")) return ["application/x-www-form-urlencoded", form(dice)];
  const [natural, value] = valueFor(dice, path, method);
  const mediaType = dice.chance(0.9) ? natural : dice.pick(MEDIA_TYPES);
  return [mediaType, Buffer.concat([mutatedJson(dice, value), Buffer.alloc(size, " ")])];
}

function form(dice: Dice): Buffer {
  const pairs = [
    `grant_type=${dice.pick(["client_credentials", "password", "", "%ff", "__proto__"])}`,
    `client_id=${dice.pick(["app%3A%3A01ARZ3NDEKTSV4RRFFQ69G5FAV", "x", "%00", ""])}`,
    `client_secret=${SECRET}`,
    `scope=${dice.pick(["", "thing.read", "gateway.manage thing.read", "x".repeat(2_000)])}`,
    `token=${SECRET}`,
    "grant_type=client_credentials",
    "%=%&&==",
  ];
  return Buffer.from(pairs.filter(() => dice.chance(0.7)).join("&"));
}

/** A media type and a value that the route would take. */
function valueFor(dice: Dice, path: string, method: string): [string, unknown] {
  const json = "application/json";
  if (method === "PATCH" && path.endsWith("/:thing")) {
    const operations = [
      { op: "replace", path: "/title", value: "x" },
      { op: "add", path: "/properties/extra", value: { type: "number" } },
      { op: "remove", path: "/properties/mode" },
      { op: "copy", from: "/properties", path: "/__proto__/polluted" },
      { op: "move", from: "/actions", path: "/constructor/prototype/polluted" },
      { op: "test", path: "/title", value: "Boiler" },
      { op: "add", path: "/@type/-", value: "Lamp" },
    ];
    if (dice.chance(0.5)) return ["application/json-patch+json", [dice.pick(operations)]];
    return ["application/merge-patch+json", { title: "x", properties: { mode: null } }];
  }
  if (path.includes("/properties-history")) {
    const at = dice.pick(["2020-04-02T15:37:46Z", `2021-01-01T00:00:${10 + dice.below(50)}Z`]);
    return [json, [{ at, properties: { temperature: dice.below(90) } }]];
  }
  if (path.includes("/properties")) return [json, { temperature: 20.5, mode: "auto", target: 3 }];
  if (path.includes("/actions")) {
    const request = { purge: { input: { seconds: 1 }, timeout: 5 } };
    return [json, method === "PUT" ? { purge: { status: "completed", output: 1 } } : request];
  }
  if (path.includes("/events")) return [json, { alarm: { data: "hot" } }];
  if (path.includes("/data")) return [json, { any: [1, "2"] }];
  if (path.includes("/things")) {
    return [
      json,
      { ...SITE.things.boiler, ...(dice.chance(0.7) ? { id: `t${dice.below(9)}` } : {}) },
    ];
  }
  if (path.includes("/mqtt")) {
    const resources = [
      { entity: "things", id: [dice.pick(["boiler", "*", "none"])], role: "device" },
      { entity: "topics", patterns: [{ pub: "line/#", sub: "+/x" }] },
    ];
    const named = { user: `u${dice.below(30)}`, password: SECRET };
    return [json, { resources, ...(dice.chance(0.5) ? named : {}), client_id: null, overlap: 1 }];
  }
  if (path.includes("/clients")) return [json, { scopes: ["thing.read"], description: "d" }];
  if (path.includes("/tokens")) {
    return [json, { account: "site", scopes: ["thing.read"], expires_at: "2030-01-01T00:00:00Z" }];
  }
  if (path.startsWith("/gateway/uplinks")) return [json, uplink(dice)];
  return [json, {}];
}

/** Where nobody listens. */
function uplink(dice: Dice): unknown {
  const parts = [
    { username: "u", password: SECRET },
    { shape: dice.pick(["mirror", "peer"]), order: dice.pick(["strict", "live-first"]) },
    { prefix: dice.pick(["p/", "", "+/"]), accounts: { site: dice.pick(["plant", "other"]) } },
    { proxy: `http://u:${SECRET}@127.0.0.1:1`, protocol: dice.pick([3, 4, 5]) },
    { filter: { things: ["site/*"], classes: ["property"] }, rate: { messages_per_s: 1 } },
    { bounds: { property: { rows: 2, rule: "latest-only" }, event: { bytes: 4096 } }, window: 1 },
  ];
  const given = parts.filter(() => dice.chance(0.3));
  return Object.assign({ url: "mqtt://127.0.0.1:1" }, ...given) as unknown;
}
