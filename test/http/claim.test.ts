import { createHash } from "node:crypto";
import { test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { makeRoutes } from "../../src/http/routes.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { basic, startGateway, type Body, type Gateway, type Reply } from "./harness.ts";

const PASSWORD = "kettle orbit 41";

function codeOf({ deps }: Gateway): string {
  const { code } = deps.claim;
  if (code === undefined) throw new Error("there is no code");
  return code;
}

async function claim(gateway: Gateway, json: object): Promise<Reply> {
  return gateway.call("POST", "/gateway/claim", { json, token: undefined });
}

await test("an unclaimed box answers 403 unclaimed to everything but the routes that are for it", async (t) => {
  const gateway = await startGateway(t, { isClaimed: false });
  const routes = makeRoutes(new AddressRate(0, { monotonicMs: () => 0 }));
  const open = routes.filter(({ whileUnclaimed }) => whileUnclaimed === true);
  t.same(
    open.map(({ method, path }) => `${method} ${path}`).sort(),
    [
      "GET /.well-known/est/cacerts",
      "GET /ca.crt",
      "GET /ca.der",
      "GET /ca.sha256",
      "GET /gateway/claim",
      "GET /healthz",
      "GET /problems/:code",
      "GET /readyz",
      "GET /ui/claim",
      "POST /gateway/claim",
      "POST /gateway/claim/code",
    ].sort(),
  );
  const asked = [
    ...routes.filter((route) => !open.includes(route)),
    { method: "GET", path: "/" },
    { method: "GET", path: "/A/nothing" },
    { method: "OPTIONS", path: "/A/things" },
    { method: "DELETE", path: "/healthz" },
    { method: "POST", path: "/%zz" },
  ];
  t.ok(asked.length > 60, "the routes were found");
  for (const { method, path } of asked) {
    const target = path.replace(":account", "A").replaceAll(/:\w+/g, "boiler");
    for (const options of [{}, { token: undefined }, { headers: basic("admin", PASSWORD) }]) {
      const reply = await gateway.call(method, target, options);
      t.equal(reply.status, 403, `${method} ${target}`);
      t.equal(reply.json.type, "/problems/unclaimed", `${method} ${target}`);
    }
  }
  for (const path of ["/healthz", "/readyz", "/problems/unclaimed", "/ui/claim"]) {
    t.equal((await gateway.call("GET", path, { token: undefined })).status, 200, path);
  }
});

await test("who has the code claims the box, once, and then it serves", async (t) => {
  const gateway = await startGateway(t, { isClaimed: false });
  const code = codeOf(gateway);
  const typed = code.toLowerCase().replaceAll("-", " ");
  const first = await claim(gateway, { code: typed, password: PASSWORD });
  t.equal(first.status, 201, first.text);
  t.same(first.json, { user: "admin", account: "site" });
  t.equal(first.headers.get("location"), "/gateway/users/admin");
  t.equal(gateway.deps.claim.code, undefined);
  t.ok(gateway.deps.store.accounts.has("site"));
  t.equal((await gateway.call("GET", "/gateway")).status, 200);
  const second = await claim(gateway, { code, password: PASSWORD });
  t.match(second, { status: 409, json: { code: "claimed" } });
  const { items: entries } = await gateway.deps.store.audit.read({
    limit: 10,
    matches: () => true,
  });
  t.match(entries.toReversed(), [
    {
      action: "gateway.claim",
      principal: "user admin",
      result: "ok",
      target: "/gateway/users/admin",
    },
    { action: "gateway.claim", principal: "nobody", result: "claimed" },
  ]);
  t.notMatch(JSON.stringify([gateway.logged, entries]), new RegExp(`${code}|${typed}|${PASSWORD}`));
});

await test("user and account of the claim can be chosen", async (t) => {
  const gateway = await startGateway(t, { isClaimed: false });
  const names = { user: "anna@plant", account: "hall-7" };
  const reply = await claim(gateway, { code: codeOf(gateway), password: PASSWORD, ...names });
  t.match(reply, { status: 201, json: names });
  t.ok(gateway.deps.store.accounts.has("hall-7"));
  t.notOk(gateway.deps.store.accounts.has("site"));
});

await test("what cannot be claims nothing, and the code stays", async (t) => {
  const gateway = await startGateway(t, { isClaimed: false });
  const code = codeOf(gateway);
  for (const [change, status, problem, pointer] of [
    [{ code: "AAAA-AAAA-AAAA" }, 403, "wrong-claim-code", undefined],
    [{ code: "" }, 403, "wrong-claim-code", undefined],
    [{ code: 7 }, 400, "malformed", "/code"],
    [{ password: undefined }, 400, "malformed", "/password"],
    [{ password: "short" }, 400, "weak-password", "/password"],
    [{ password: "password123" }, 400, "weak-password", "/password"],
    [{ password: "site-2024-2024" }, 400, "weak-password", "/password"],
    [{ password: "box-2024-2024" }, 400, "weak-password", "/password"],
    [{ user: "anna", password: "Anna 1234567" }, 400, "weak-password", "/password"],
    [{ account: "gateway" }, 400, "malformed", "/account"],
    [{ user: "a b" }, 400, "malformed", "/user"],
    [{ role: "admin" }, 400, "unknown-member", "/role"],
  ] as const) {
    const reply = await claim(gateway, { code, password: PASSWORD, ...change });
    t.match(reply, { status, json: { code: problem } }, JSON.stringify(change));
    const errors = (reply.json as Partial<Body>).errors ?? [];
    t.equal(errors[0]?.pointer, pointer, JSON.stringify(change));
    t.equal(gateway.deps.claim.code, code);
  }
  t.equal(gateway.deps.store.accounts.has("site"), false);
});

await test("two at once with the right code: one claims the box", async (t) => {
  const gateway = await startGateway(t, { isClaimed: false });
  const code = codeOf(gateway);
  const replies = await Promise.all(
    ["anna", "ben", "carl"].map(async (user) => claim(gateway, { code, password: PASSWORD, user })),
  );
  t.same(replies.map(({ status }) => status).sort(), [201, 409, 409]);
});

await test("a code that was renewed while the password was hashed claims nothing", async (t) => {
  const gateway = await startGateway(t, { isClaimed: false });
  const asked = gateway.deps.claim.claim(codeOf(gateway), { password: PASSWORD });
  gateway.deps.claim.renew();
  await t.rejects(asked, { code: "wrong-claim-code" });
  t.equal(gateway.deps.claim.isClaimed, false);
});

await test("wrong codes are slowed down, and cost the right one nothing once there is an attempt", async (t) => {
  const time = { ms: 0 };
  const clock = { monotonicMs: () => time.ms };
  const gateway = await startGateway(t, { isClaimed: false, clock });
  const most = FIXED_LIMITS.claimAttemptsPerMinutePerAddress;
  const guess = { code: "AAAA-AAAA-AAAA", password: PASSWORD };
  const guesses = await Promise.all(
    Array.from({ length: 5 * most }, async () => claim(gateway, guess)),
  );
  const statuses = guesses.map(({ status }) => status);
  t.equal(statuses.filter((status) => status === 403).length, most);
  t.equal(statuses.filter((status) => status === 429).length, 4 * most);
  const right = { code: codeOf(gateway), password: PASSWORD };
  const refused = await claim(gateway, right);
  t.match(refused, { status: 429, json: { code: "rate-limited" } });
  t.equal(refused.headers.get("retry-after"), String(60 / most));
  time.ms += 60_000 / most;
  t.equal((await claim(gateway, right)).status, 201);
});

await test("the page is one document that takes nothing from elsewhere and runs nothing else", async (t) => {
  const gateway = await startGateway(t, { isClaimed: false });
  const { status, headers, text } = await gateway.call("GET", "/ui/claim", { token: undefined });
  t.equal(status, 200);
  t.equal(headers.get("content-type"), "text/html; charset=utf-8");
  const policy = headers.get("content-security-policy") ?? "";
  t.match(policy, /^default-src 'none'; .*connect-src 'self'; .*frame-ancestors 'none'$/);
  t.notMatch(policy, /unsafe|\*|https?:/);
  for (const [tag, directive] of [
    ["style", "style-src"],
    ["script", "script-src"],
  ] as const) {
    const [, source = ""] = new RegExp(`<${tag}>([^]*?)</${tag}>`).exec(text) ?? [];
    const digest = createHash("sha256").update(source).digest("base64");
    t.ok(source.length > 500 && policy.includes(`${directive} 'sha256-${digest}'`), tag);
    t.equal(text.match(new RegExp(`<${tag}`, "g"))?.length, 1, `one ${tag}`);
  }
  t.notMatch(text, /\b(?:src|style|on[a-z]+)=/i, "nothing is fetched, nothing inline besides");
  t.same(text.match(/\bhref="[^"]*"/g), ['href="/ca.crt"']);
  t.match(text, /<html lang="en">/);
  t.match(text, /name="viewport" content="width=device-width, initial-scale=1"/);
  for (const id of ["code", "password", "user", "account"]) {
    t.match(text, new RegExp(`<label for="${id}">`), `${id} has a label`);
  }
  t.notMatch(text, codeOf(gateway), "the page does not know the code");
  t.match(text, '<form id="claim" method="post" novalidate hidden>', "no password in an address");
  await claim(gateway, { code: codeOf(gateway), password: PASSWORD });
  const later = await gateway.call("GET", "/ui/claim", { token: undefined });
  t.match(later, {
    status: 200,
    text: '<h1 id="title" tabindex="-1">This gateway is claimed</h1>',
  });
  t.notMatch(later.text, "<form");
  t.equal(later.headers.get("content-security-policy"), policy);
});

await test("the state of the claim and a new code are for the socket at the box only", async (t) => {
  for (const isClaimed of [false, true]) {
    const gateway = await startGateway(t, { isClaimed });
    const code = isClaimed ? "forbidden" : "unclaimed";
    for (const [method, path] of [
      ["GET", "/gateway/claim"],
      ["POST", "/gateway/claim/code"],
    ] as const) {
      const reply = await gateway.call(method, path);
      t.match(reply, { status: 403, json: { code } }, `${method} ${path}`);
    }
  }
});
