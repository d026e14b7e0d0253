import { test } from "tap";
import { authenticateCredential } from "../../src/interactions/authentication.ts";
import { showPatterns, showResources } from "../../src/interactions/credential-resources.ts";
import * as credentials from "../../src/interactions/credentials.ts";
import type { ResourceRequest } from "../../src/interactions/credential-resources.ts";
import type { Credential } from "../../src/store/credentials.ts";
import type { Principal } from "../../src/thing/access.ts";
import { isUlid } from "../../src/thing/thing.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN } = setup;
const at = { principal: ADMIN, account: ACCOUNT };
const ON_BOILER = [{ entity: "things", id: ["boiler"] }] as const;

async function start(t: Parameters<typeof setup.startHarness>[0], options?: setup.HarnessOptions) {
  const harness = await setup.startHarness(t, options);
  setup.makeBoiler(harness);
  return harness;
}

async function create(
  harness: setup.Harness,
  request: credentials.CredentialRequest = {},
): Promise<credentials.CredentialOutcome> {
  const whole = { resources: ON_BOILER, ...request };
  return credentials.createCredential(harness.deps, { ...at, request: whole });
}

async function change(
  harness: setup.Harness,
  { ulid }: Credential,
  request: credentials.CredentialRequest,
): Promise<credentials.CredentialOutcome> {
  harness.credentialChanges.length = 0;
  return credentials.changeCredential(harness.deps, { ...at, ulid, request });
}

async function opens(harness: setup.Harness, user: string, password = ""): Promise<boolean> {
  return (await authenticateCredential(harness.deps, user, password, "192.0.2.1")) !== undefined;
}

await test("user and password are generated, told once, and stored as a hash only", async (t) => {
  const harness = await start(t);
  const { credential, password = "" } = await create(harness, { user: "", password: "" });
  t.ok(isUlid(credential.ulid));
  t.match(credential.username, /^[a-z0-9]{11}$/);
  t.match(password, /^[A-Za-z0-9!#$%*+\-=@^_~.:]{20,}$/);
  t.equal(credential.secret.kind, "sha256");
  t.equal(credential.enabled, true);
  const rows = [...(await harness.rows())].map(([key, value]) => key + value).join("\n");
  t.notOk(rows.includes(password));
  t.ok(rows.includes(credential.username));
  await harness.restart();
  t.ok(await opens(harness, credential.username, password));
  t.notOk(await opens(harness, credential.username, `${password} `));
});

await test("a chosen user and password are taken, the password hashed with scrypt", async (t) => {
  const harness = await start(t);
  const chosen = { user: "line-1@site.x_y", password: "$hunter2'\"\\" };
  const { credential, password } = await create(harness, chosen);
  t.equal(credential.username, chosen.user);
  t.equal(password, chosen.password);
  t.equal(credential.secret.kind, "scrypt");
  const rows = [...(await harness.rows())].map(([key, value]) => key + value).join("\n");
  t.notOk(rows.includes(JSON.stringify(chosen.password).slice(1, -1)));
  t.ok(await opens(harness, chosen.user, chosen.password));
  t.notOk(await opens(harness, chosen.user, "$hunter2"));
});

const REFUSED: readonly (readonly [
  why: string,
  request: credentials.CredentialRequest,
  code: string,
  pointer: string,
])[] = [
  ["no resources", { resources: [] }, "malformed", "/resources"],
  ["no ids", { resources: [{ entity: "things", id: [] }] }, "malformed", "/resources/0/id"],
  [
    "an unknown Thing",
    { resources: [...ON_BOILER, { entity: "data", id: ["boiler", "none"] }] },
    "unknown-thing",
    "/resources/1/id/1",
  ],
  [
    "* among others",
    { resources: [{ entity: "data", id: ["*", "boiler"] }] },
    "malformed",
    "/resources/0/id",
  ],
  [
    "free topics where they are off",
    { resources: [{ entity: "topics", patterns: [{ pub: "a", sub: "a" }] }] },
    "malformed",
    "/resources/0/entity",
  ],
  [
    "more resources than are looked through",
    { resources: Array.from({ length: 101 }, () => ON_BOILER[0]) },
    "malformed",
    "/resources",
  ],
  ["a user with a space", { user: "a b" }, "malformed", "/user"],
  ["a user that is too long", { user: "a".repeat(65) }, "malformed", "/user"],
  ["a user with a line end", { user: "a\n" }, "malformed", "/user"],
  ["a user that is taken", { user: "taken" }, "conflict", "/user"],
  ["a password with NUL", { password: "a\0" }, "malformed", "/password"],
  ["a password that is too long", { password: "é".repeat(129) }, "malformed", "/password"],
  ["a password that is no text", { password: "\ud800" }, "malformed", "/password"],
  ["an empty client id", { clientId: "" }, "malformed", "/client_id"],
  ["a client id with NUL", { clientId: "a\0" }, "malformed", "/client_id"],
  ["a client id that is too long", { clientId: "a".repeat(257) }, "malformed", "/client_id"],
  ["an overlap below zero", { overlapS: -1 }, "malformed", "/overlap"],
  ["an overlap that is no number", { overlapS: Number.NaN }, "malformed", "/overlap"],
];
for (const [why, request, code, pointer] of REFUSED) {
  await test(`a request with ${why} is refused as ${code}, made or changed`, async (t) => {
    const harness = await start(t);
    const { credential } = await create(harness, { user: "taken" });
    const { credential: mine } = await create(harness, { user: "mine" });
    const { store } = harness.deps;
    const faults = [{ pointer }];
    await t.rejects(create(harness, request), { code, faults });
    await t.rejects(change(harness, mine, request), { code, faults });
    t.same(store.credentials.all(), [credential, mine], "nothing is made or changed");
    t.same(harness.credentialChanges, []);
  });
}

const T = "things/boiler";
const PAIRS = (thing: string) =>
  ["properties/#", "actions/#", "events/#"].map((tail) => ({
    pattern_pub: `set/site/${thing}/${tail}`,
    pattern_sub: `status/site/${thing}/${tail}`,
  }));
const DEFINITION = { pattern_pub: `set/site/${T}`, pattern_sub: `status/site/${T}` };
const SILENT_EVENTS = { pattern_pub: "", pattern_sub: `status/site/${T}/events/#` };

const PATTERNS: readonly (readonly [
  what: string,
  resources: readonly ResourceRequest[],
  patterns: readonly object[],
])[] = [
  ["a device", [{ entity: "things", id: ["boiler"] }], PAIRS(T)],
  [
    "a consumer",
    [{ entity: "things", id: ["boiler"], role: "consumer" }],
    [...PAIRS(T).slice(0, 2), SILENT_EVENTS],
  ],
  [
    "definition",
    [{ entity: "things", id: ["boiler"], definition: true }],
    [...PAIRS(T), DEFINITION],
  ],
  ["every Thing", [{ entity: "things", id: ["*"] }], PAIRS("things/+")],
  [
    "the definition of every Thing",
    [{ entity: "things", id: ["*"], definition: true }],
    [
      ...PAIRS("things/+"),
      { pattern_pub: "set/site/things/+", pattern_sub: "status/site/things/+" },
    ],
  ],
  [
    "data",
    [{ entity: "data", id: ["boiler"] }],
    [{ pattern_pub: "site/data/boiler", pattern_sub: "site/data/boiler" }],
  ],
  [
    "all data",
    [{ entity: "data", id: ["*"] }],
    [{ pattern_pub: "site/data/+", pattern_sub: "site/data/+" }],
  ],
  [
    "two Things and data",
    [
      { entity: "things", id: ["boiler", "pump"] },
      { entity: "data", id: ["pump"] },
    ],
    [
      ...PAIRS(T),
      ...PAIRS("things/pump"),
      { pattern_pub: "site/data/pump", pattern_sub: "site/data/pump" },
    ],
  ],
];
for (const [what, resources, patterns] of PATTERNS) {
  await test(`the patterns of ${what} are those of the contract`, async (t) => {
    const harness = await start(t);
    setup.makeBoiler(harness, { id: "pump" });
    const { credential } = await create(harness, { resources });
    await harness.restart();
    const { store } = harness.deps;
    const { grants } = store.credentials.get(credential.ulid) ?? credential;
    t.strictSame(showPatterns(store, ACCOUNT, grants), patterns);
    t.match(showResources(store, grants), resources);
  });
}

await test("a grant by uid is shown by id, and the same grant", async (t) => {
  const harness = await start(t);
  const thing = harness.deps.store.things.find(ACCOUNT, "boiler");
  const ids = [thing?.uid ?? "", "boiler"];
  const { credential } = await create(harness, { resources: [{ entity: "data", id: ids }] });
  const shown = showResources(harness.deps.store, credential.grants);
  t.same(shown, [{ entity: "data", id: ["boiler"] }]);
});

await test("free topics need the configuration and gateway.manage, and never reach a reserved tree", async (t) => {
  const harness = await start(t, { freeTopics: true });
  const grant = async (principal: Principal, ...patterns: { pub: string; sub: string }[]) => {
    const request = { resources: [{ entity: "topics", patterns }] } as const;
    return credentials.createCredential(harness.deps, { principal, account: ACCOUNT, request });
  };
  const { credential } = await grant(ADMIN, { pub: "line1/#", sub: "" }, { pub: "", sub: "#" });
  const { store } = harness.deps;
  t.strictSame(showPatterns(store, ACCOUNT, credential.grants), [
    { pattern_pub: "line1/#", pattern_sub: "" },
    { pattern_pub: "", pattern_sub: "#" },
  ]);
  const installer = setup.tokenOf(ACCOUNT, "mqtt.credentials", "gateway.manage");
  await t.rejects(grant(installer, { pub: "a", sub: "a" }), { code: "forbidden" });
  for (const bad of [
    "set/#",
    "status/site/#",
    "$SYS/#",
    "site/data/boiler",
    "+/data/#",
    "a/#/b",
    "a+",
  ]) {
    const faults = [{ pointer: "/resources/0/patterns/0/sub" }];
    await t.rejects(grant(ADMIN, { pub: "", sub: bad }), { code: "malformed", faults });
    await t.rejects(grant(ADMIN, { pub: bad, sub: "" }), { code: "malformed" });
  }
  await t.rejects(grant(ADMIN, { pub: "", sub: "" }), { code: "malformed" });
  await t.rejects(grant(ADMIN), { code: "malformed" });
});

await test("a new password closes what the old one opened, at once or after the overlap", async (t) => {
  const harness = await start(t);
  const { credential, password: first } = await create(harness, { user: "device" });
  const changed = await change(harness, credential, { password: "" });
  t.same(harness.credentialChanges, [[credential.ulid, "password"]]);
  t.not(changed.password, first);
  t.notOk(await opens(harness, "device", first));
  t.ok(await opens(harness, "device", changed.password));
  t.equal(changed.credential.revision, credential.revision + 1);
  const kept = await change(harness, credential, { password: "chosen one", overlapS: 60 });
  t.ok(await opens(harness, "device", changed.password), "both work");
  t.ok(await opens(harness, "device", "chosen one"));
  t.equal(kept.password, "chosen one");
  await harness.restart();
  t.ok(await opens(harness, "device", changed.password), "after a restart, too");
  harness.clock.advance(60_000);
  t.notOk(await opens(harness, "device", changed.password));
  t.ok(await opens(harness, "device", "chosen one"));
});

await test("a missing password is kept, and other members can be changed and taken away", async (t) => {
  const harness = await start(t);
  const given = { description: "d", expiresAt: 9e15, clientId: "c" };
  const { credential, password } = await create(harness, { user: "device", ...given });
  t.match(credential, given);
  const same = await change(harness, credential, {});
  t.equal(same.password, undefined);
  t.same(harness.credentialChanges, []);
  t.match(same.credential, given);
  const bare = { description: null, expiresAt: null, clientId: null };
  const { credential: after } = await change(harness, credential, bare);
  for (const member of Object.keys(bare)) t.notOk(member in after, member);
  t.same(
    harness.credentialChanges,
    [[credential.ulid, "password"]],
    "another client id reconnects",
  );
  const { credential: renamed } = await change(harness, credential, { user: "renamed" });
  t.same(harness.credentialChanges, [[credential.ulid, "password"]]);
  t.equal(renamed.secret, credential.secret);
  t.ok(await opens(harness, "renamed", password));
  t.notOk(await opens(harness, "device", password));
  await t.resolves(create(harness, { user: "device" }), "the old name is free");
});

await test("other resources are told as other grants, disabling as revocation", async (t) => {
  const harness = await start(t);
  const { credential, password } = await create(harness, { user: "device" });
  await change(harness, credential, { resources: [{ entity: "data", id: ["*"] }] });
  t.same(harness.credentialChanges, [[credential.ulid, "grants"]]);
  await change(harness, credential, { enabled: false, password: "x" });
  t.same(harness.credentialChanges, [[credential.ulid, "revoked"]]);
  t.notOk(await opens(harness, "device", "x"));
  await change(harness, credential, { enabled: true, password: "" });
  t.notOk(await opens(harness, "device", password));
  credentials.deleteCredential(harness.deps, { ...at, ulid: credential.ulid });
  t.same(harness.credentialChanges.at(-1), [credential.ulid, "revoked"]);
  t.throws(() => credentials.findCredential(harness.deps, { ...at, ulid: credential.ulid }), {
    code: "not-found",
  });
});

await test("what changes while a password is stretched is looked at again", async (t) => {
  const harness = await start(t, { limits: { credentials: 2 } });
  const { credential } = await create(harness, { user: "device" });
  const chosen = { password: "chosen" };
  const racing = await Promise.allSettled([
    create(harness, { user: "same", ...chosen }),
    create(harness, { user: "same", ...chosen }),
  ]);
  t.same(racing.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  await t.rejects(create(harness, { user: "third" }), { code: "limit-reached" });
  const late = change(harness, credential, chosen);
  credentials.deleteCredential(harness.deps, { ...at, ulid: credential.ulid });
  await t.rejects(late, { code: "not-found" });
  t.equal(harness.deps.store.credentials.get(credential.ulid), undefined);
  let asked = 0;
  const { credential: other } = await create(harness, { user: "fourth" });
  const precondition = (): void => {
    asked += 1;
    if (asked > 1) throw new Error("changed meanwhile");
  };
  const on = { ...at, ulid: other.ulid, request: chosen, precondition };
  await t.rejects(credentials.changeCredential(harness.deps, on), { message: "changed meanwhile" });
});

await test("only mqtt.credentials of the account may see or change its credentials", async (t) => {
  const harness = await start(t);
  const { credential } = await create(harness);
  harness.deps.store.accounts.put({ name: "b", created: 1, revision: 1 });
  const { deps } = harness;
  const { ulid } = credential;
  const refused = [
    setup.tokenOf(ACCOUNT, "thing.manage", "gateway.manage"),
    setup.tokenOf("b", "mqtt.credentials"),
    setup.credentialOf(ACCOUNT, {
      entity: "things",
      things: { all: true },
      role: "device",
      definition: true,
    }),
  ];
  for (const principal of refused) {
    const on = { principal, account: ACCOUNT, ulid };
    const request = { resources: ON_BOILER };
    t.throws(() => credentials.findCredential(deps, on), { code: "forbidden" });
    t.throws(() => credentials.deleteCredential(deps, on), { code: "forbidden" });
    await t.rejects(credentials.changeCredential(deps, { ...on, request }), { code: "forbidden" });
    await t.rejects(credentials.createCredential(deps, { ...on, request }), { code: "forbidden" });
  }
  const other = { principal: ADMIN, account: "b", ulid };
  t.throws(() => credentials.findCredential(deps, other), { code: "not-found" });
  t.equal(deps.store.credentials.count, 1);
});
