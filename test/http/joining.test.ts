import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { test } from "tap";
import { authenticateCredential } from "../../src/interactions/authentication.ts";
import { joinRoutes } from "../../src/http/join.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { startGateway, type CallOptions, type Gateway } from "./harness.ts";

type Asked = { readonly id: string; readonly poll: string; readonly code: string };
type Known = { readonly status: string; readonly id: string; readonly challenge: string };
type Status = {
  readonly status: string;
  readonly card: { readonly user: string; readonly password: string; readonly topics: unknown };
};

const TD = { id: "pump", properties: { speed: { type: "number" } } };

const open = async ({ call }: Gateway, body: object = { seconds: 600, account: "A" }) =>
  call("PUT", "/gateway/joining", { json: body });

/** As the device, which has no token. */
async function ask({ call }: Gateway, body: object): Promise<Asked> {
  const reply = await call("POST", "/join", { token: undefined, json: body });
  return { ...(JSON.parse(reply.text) as Asked) };
}

async function poll({ call }: Gateway, { id, poll: token }: Asked): Promise<Status> {
  return JSON.parse((await call("GET", `/join/${id}`, { token })).text) as Status;
}

const approve = async ({ call }: Gateway, { id }: { id: string }, options: CallOptions = {}) =>
  call("POST", `/gateway/joining/requests/${id}/approve`, options);

/** A clock whose running time the test moves. */
function movedClock() {
  const moved = { ms: 1_000_000 };
  return { moved, clock: { monotonicMs: () => moved.ms } };
}

await test("a device asks, a person looks, and it gets its card once", async (t) => {
  const gateway = await startGateway(t, { deps: { mqttPort: 1883 } });
  const { call, deps, admin } = gateway;
  t.equal((await open(gateway)).status, 200);
  const asked = await ask(gateway, { name: "Pump 3", serial: "0815", thing: TD });
  t.match(asked.code, /^\d{6}$/);
  t.match(await poll(gateway, asked), { status: "pending", code: asked.code });

  const [shown] = (await call("GET", "/gateway/joining/requests")).json.data;
  t.match(shown, { name: "Pump 3", serial: "0815", thing: TD, code: asked.code, by: "http" });
  t.notMatch(JSON.stringify(shown), asked.poll);
  t.same(deps.store.credentials.count, 0);

  const approved = await approve(gateway, asked);
  t.equal(approved.status, 200, approved.text);
  t.match(approved.json, { status: "approved", account: "A", thing: "pump" });
  t.notMatch(approved.text, "password");
  t.same((await call("GET", "/A/things/pump")).json.properties, { speed: { type: "number" } });

  const { status, card } = await poll(gateway, asked);
  t.equal(status, "approved");
  t.ok(await authenticateCredential(deps, card.user, card.password, "127.0.0.1"));
  t.match(card.topics, [{ pattern_pub: "set/A/things/pump/properties/#" }]);
  t.match(await poll(gateway, asked), { status: "approved", card: { password: null } });
  t.equal((await approve(gateway, asked)).json.code, "conflict");

  const other = { ...asked, poll: "slu_0123456789abcdefghij" };
  t.match(await poll(gateway, other), { status: 404 });
  t.match(await poll(gateway, { ...asked, poll: admin }), { status: 404 }, "not even an admin");
  t.equal((await call("GET", "/join/01J00000000000000000000000")).status, 404);
});

await test("what is refused, closed or too late gets nothing", async (t) => {
  const { moved, clock } = movedClock();
  const gateway = await startGateway(t, { clock });
  const { call, deps } = gateway;
  const closed = await call("POST", "/join", { token: undefined, json: { name: "x" } });
  t.equal(closed.json.code, "joining-closed");
  t.match((await call("GET", "/problems/joining-closed")).text, "PUT /gateway/joining");

  await open(gateway);
  const wrong = await call("POST", "/join", {
    token: undefined,
    json: { name: "x", account: "B" },
  });
  t.equal(wrong.json.code, "joining-closed", "it is open for another account");
  const refused = await ask(gateway, { name: "refused", thing: TD });
  const path = `/gateway/joining/requests/${refused.id}/refuse`;
  t.equal((await call("POST", path)).status, 200);
  t.same(await poll(gateway, refused), { status: "refused", id: refused.id });
  const late = await ask(gateway, { name: "late", thing: TD });
  moved.ms += 599_999;
  t.match((await call("GET", "/gateway/joining")).json, { open: true, pending: 1 });
  moved.ms += 1;
  t.match((await call("GET", "/gateway/joining")).json, { open: false, pending: 0 });
  t.equal((await poll(gateway, late)).status, "expired");
  t.equal((await approve(gateway, late)).json.code, "conflict");
  await open(gateway);
  t.equal((await approve(gateway, late)).json.code, "conflict", "also when it is opened again");

  const cut = await ask(gateway, { name: "cut", thing: TD });
  t.equal((await call("DELETE", "/gateway/joining")).status, 204);
  t.equal((await poll(gateway, cut)).status, "expired");
  moved.ms += FIXED_LIMITS.joinAnswerKeptMs;
  t.match(await poll(gateway, cut), { status: 404 });
  t.same((await call("GET", "/gateway/joining/requests")).json.data, []);
  t.equal(deps.store.credentials.count, 0);
  t.equal(deps.store.things.count, 0);
});

await test("a password that nobody fetches is forgotten", async (t) => {
  const { moved, clock } = movedClock();
  const timers: (() => void)[] = [];
  const after = (_ms: number, callback: () => void) => {
    timers.push(callback);
    return () => undefined;
  };
  const gateway = await startGateway(t, { clock: { ...clock, after } });
  await open(gateway);
  const asked = await ask(gateway, { name: "gone", thing: TD });
  await approve(gateway, asked);
  const held = (): string => JSON.stringify(gateway.deps.joining.all());
  t.match(held(), '"password"');
  moved.ms += FIXED_LIMITS.joinAnswerKeptMs;
  for (const timer of timers.splice(0)) timer();
  t.notMatch(held(), '"password"');
});

await test("what a person approves is what is made, or nothing is", async (t) => {
  const gateway = await startGateway(t);
  const { call, deps, token } = gateway;
  await call("PUT", "/A/things/pump", { json: TD });
  await open(gateway, { seconds: 600 });
  const asked = await ask(gateway, { name: "x", thing: TD });
  const rows: readonly (readonly [json: unknown, code: string, token?: string])[] = [
    [{}, "malformed"],
    [{ account: "A" }, "conflict"],
    [{ account: "A", thing: "none" }, "unknown-thing"],
    [{ account: "C", thing: "pump" }, "unknown-account"],
    [{ account: "A", thing: { properties: 7 } }, "description-invalid"],
    [{ account: "A", thing: "pump", role: "king" }, "malformed"],
    [{ account: "A", thing: "pump", user: "x" }, "unknown-member"],
    [{ account: "A", thing: "pump" }, "forbidden", token(["gateway.read"])],
    [{ account: "A", thing: "pump" }, "forbidden", token(["mqtt.credentials"], "A")],
    [{ account: "A", thing: { id: "new" } }, "forbidden", token(["mqtt.credentials"])],
  ];
  for (const [json, code, as] of rows) {
    const options = as === undefined ? { json } : { json, token: as };
    t.equal((await approve(gateway, asked, options)).json.code, code, JSON.stringify(json));
  }
  t.equal(deps.store.credentials.count, 0);
  t.equal(deps.store.things.count, 1);
  const installer = token(["mqtt.credentials", "thing.manage"]);
  const json = { account: "A", thing: "pump", role: "consumer", definition: true };
  t.equal((await approve(gateway, asked, { json, token: installer })).status, 200);
  const [made] = (await call("GET", "/A/mqtt")).json.data;
  t.match(made, {
    resources: [{ entity: "things", id: ["pump"], role: "consumer", definition: true }],
    description: "joined: x",
  });
});

await test("Thing, credential and grant are put in one turn, and so are one batch", async (t) => {
  const gateway = await startGateway(t);
  const { commit } = gateway.deps.store;
  await open(gateway);
  const asked = await ask(gateway, { name: "x", thing: TD });
  const turns = new Map<string, number>();
  let turn = 0;
  const put = commit.put.bind(commit);
  commit.put = (key, value) => {
    turns.set(key.slice(0, 2), turn);
    queueMicrotask(() => (turn += 1));
    put(key, value);
  };
  t.equal((await approve(gateway, asked)).status, 200);
  t.type(turns.get("t:"), "number");
  t.equal(turns.get("u:"), turns.get("t:"));
});

await test("who may open the window, and who may decide", async (t) => {
  const gateway = await startGateway(t);
  const { call, token } = gateway;
  for (const body of [{}, { seconds: 59 }, { seconds: 3601 }, { seconds: 60.5 }, { x: 1 }]) {
    t.equal((await open(gateway, body)).status, 400, JSON.stringify(body));
  }
  t.equal((await open(gateway, { seconds: 60, account: "C" })).json.code, "unknown-account");
  const installer = token(["mqtt.credentials", "gateway.read"]);
  const json = { seconds: 60 };
  t.equal((await call("PUT", "/gateway/joining", { json, token: installer })).status, 403);
  t.equal((await call("DELETE", "/gateway/joining", { token: installer })).status, 403);
  await open(gateway, { seconds: 60 });
  const ofA = await ask(gateway, { name: "of A", account: "A" });
  await ask(gateway, { name: "of B", account: "B" });
  const seen = async (as: string) =>
    (await call("GET", "/gateway/joining/requests", { token: as })).json.data.length;
  t.equal(await seen(installer), 2);
  const ofAccount = token(["mqtt.credentials"], "A");
  for (const path of ["/gateway/joining", "/gateway/joining/requests"]) {
    t.equal((await call("GET", path, { token: ofAccount })).status, 403, "it is of the box");
  }
  const path = `/gateway/joining/requests/${ofA.id}/refuse`;
  t.equal((await call("POST", path, { token: ofAccount })).status, 403);
  t.equal((await call("POST", path, { token: installer })).status, 200);
});

const REFUSED: readonly (readonly [body: unknown, code: string])[] = [
  [{}, "malformed"],
  [{ name: "" }, "malformed"],
  [{ name: "x".repeat(129) }, "malformed"],
  [{ name: "x\u202ey" }, "malformed"],
  [{ name: "x\ny" }, "malformed"],
  [{ name: "x", extra: 1 }, "unknown-member"],
  [{ name: "x", account: "no/account" }, "malformed"],
  [{ name: "x", thing: { properties: 7 } }, "description-invalid"],
  [{ name: "x", thing: { title: "x".repeat(40_000) } }, "too-large"],
  [{ name: "x", public_key: "nonsense" }, "malformed"],
];

await test("what a device says has bounds, and so has how often and how many", async (t) => {
  const { moved, clock } = movedClock();
  const gateway = await startGateway(t, { clock });
  const { call, deps } = gateway;
  await open(gateway, { seconds: 3600 });
  const request = async (json: unknown) => {
    moved.ms += 60_000 / FIXED_LIMITS.joinRequestsPerMinutePerAddress;
    return call("POST", "/join", { token: undefined, json });
  };
  for (const [json, code] of REFUSED) {
    t.equal((await request(json)).json.code, code, JSON.stringify(json).slice(0, 60));
  }
  const { joinRequestsPerNetworkMax, joinRequestsMax, joinRequestsPerMinutePerAddress } =
    FIXED_LIMITS;
  for (let n = 0; n < joinRequestsPerNetworkMax; n += 1) {
    t.equal((await request({ name: `device ${n}` })).status, 202);
  }
  t.equal((await request({ name: "one more" })).json.code, "limit-reached");
  for (let n = 0; n < 2 * joinRequestsPerMinutePerAddress; n += 1) {
    await call("POST", "/join", { token: undefined, json: { name: "flood" } });
  }
  const last = await call("POST", "/join", { token: undefined, json: { name: "flood" } });
  t.equal(last.json.code, "rate-limited");
  t.ok(Number(last.headers.get("retry-after")) > 0);
  for (let n = 0; n < 2 * joinRequestsMax; n += 1) {
    const user = `u${n}`;
    const password = Buffer.from("p");
    deps.joining.meet({ address: `10.0.0.${n}`, clientId: user, user, password });
  }
  t.equal(deps.joining.all().length, joinRequestsMax, "whoever they are and however they ask");
});

const jwk = (key: KeyObject): object => key.export({ format: "jwk" });

await test("a known device gets a new password by proof of its key, and only so", async (t) => {
  const { moved, clock } = movedClock();
  const gateway = await startGateway(t, { clock });
  const { call, deps, credentialChanges } = gateway;
  const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const stranger = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = publicKey.export({ type: "spki", format: "pem" }) as string;
  await open(gateway);
  const first = await ask(gateway, { name: "keyed", thing: TD, public_key: pem });
  const twin = await ask(gateway, { name: "twin", thing: { id: "twin" }, public_key: pem });
  await approve(gateway, first);
  t.equal((await approve(gateway, twin)).json.code, "conflict", "a key has one credential");
  t.equal(deps.store.things.count, 1);
  const { card: old } = await poll(gateway, first);
  await call("DELETE", "/gateway/joining");

  const challenge = async (): Promise<Known> => {
    moved.ms += 10_000;
    const json = { name: "keyed", public_key: jwk(publicKey) };
    const reply = await call("POST", "/join", { token: undefined, json });
    t.equal(reply.status, 200, reply.text);
    return JSON.parse(reply.text) as Known;
  };
  const prove = async ({ id }: Known, signature: Buffer) => {
    const json = { signature: signature.toString("base64") };
    return call("POST", `/join/${id}/proof`, { token: undefined, json });
  };
  const der = (text: string, key: KeyObject) => sign("sha256", Buffer.from(text), key);
  const raw = (text: string, key: KeyObject) =>
    sign("sha256", Buffer.from(text), { key, dsaEncoding: "ieee-p1363" });

  const known = await challenge();
  t.equal(known.status, "known");
  t.match(known.challenge, deps.store.gatewayId);
  t.equal((await prove(known, der(known.challenge, stranger.privateKey))).status, 401);
  t.equal((await prove(known, der(known.challenge, privateKey))).status, 404, "it was used up");
  const replayed = await challenge();
  t.equal((await prove(replayed, der(known.challenge, privateKey))).status, 401);
  const late = await challenge();
  moved.ms += FIXED_LIMITS.joinChallengeLifeMs;
  t.equal((await prove(late, der(late.challenge, privateKey))).status, 404);
  t.ok(
    await authenticateCredential(deps, old.user, old.password, "127.0.0.1"),
    "the old one still works",
  );

  for (const signed of [der, raw]) {
    const good = await challenge();
    credentialChanges.length = 0;
    const reply = await prove(good, signed(good.challenge, privateKey));
    const { card } = JSON.parse(reply.text) as Status;
    t.equal(card.user, old.user);
    t.ok(await authenticateCredential(deps, card.user, card.password, "127.0.0.1"));
    t.notOk(await authenticateCredential(deps, old.user, old.password, "127.0.0.1"));
    t.match(credentialChanges, [[/^/, "password"]]);
  }
  const ulid = (await call("GET", "/A/mqtt")).json.data[0]?.ulid ?? "";
  await call("PATCH", `/A/mqtt/${ulid}`, { json: { enabled: false } });
  const disabled = await challenge();
  t.equal((await prove(disabled, der(disabled.challenge, privateKey))).json.code, "forbidden");
  await call("DELETE", `/A/mqtt/${ulid}`);
  moved.ms += 10_000;
  const json = { name: "keyed", public_key: pem };
  t.equal((await call("POST", "/join", { token: undefined, json })).json.code, "joining-closed");
});

await test("challenges that are open have a bound", async (t) => {
  const { moved, clock } = movedClock();
  const { deps } = await startGateway(t, { clock });
  const { challenges } = deps.joining;
  for (let n = 0; n < FIXED_LIMITS.joinChallengesMax; n += 1) challenges.issue("key");
  t.throws(() => challenges.issue("key"), { code: "rate-limited" });
  moved.ms += FIXED_LIMITS.joinChallengeLifeMs;
  t.ok(challenges.issue("key").id);
});

await test("where there is TLS, another machine is handed nothing without it", async (t) => {
  const { call, deps } = await startGateway(t, { deps: { mqttsPort: 8883 } });
  const reply = await call("POST", "/join", { token: undefined, json: { name: "x" } });
  t.equal(reply.json.code, "joining-closed", "this machine itself may ask");
  for (const route of joinRoutes) {
    const remote = { deps, channel: { kind: "plain", isLoopback: false } } as unknown;
    const answer = route.answer as (call: unknown) => Promise<unknown>;
    await t.rejects(answer(remote), { code: "insecure-channel" }, route.path);
  }
});
