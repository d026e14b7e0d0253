import { test, type Test } from "tap";
import { GatewayError } from "../../src/errors.ts";
import * as authentication from "../../src/interactions/authentication.ts";
import { CredentialDeadlines } from "../../src/interactions/credential-deadlines.ts";
import { changeCredential, createCredential } from "../../src/interactions/credentials.ts";
import type { CredentialRequest } from "../../src/interactions/credentials.ts";
import { clientIdOf, createClient, createToken } from "../../src/interactions/tokens.ts";
import type { Credential } from "../../src/store/credentials.ts";
import { countStretches } from "../stretches.ts";
import * as setup from "./harness.ts";

const { ACCOUNT, ADMIN } = setup;
const at = { principal: ADMIN, account: ACCOUNT };
const resources = [{ entity: "things", id: ["*"] }] as const;
const YEAR = 365 * 86_400_000;

async function make(
  harness: setup.Harness,
  request: CredentialRequest = {},
): Promise<{ readonly credential: Credential; readonly password: string }> {
  const whole = { resources, user: "device", ...request };
  const outcome = await createCredential(harness.deps, { ...at, request: whole });
  return { credential: outcome.credential, password: outcome.password ?? "" };
}

await test("a user and password open exactly their credential", async (t) => {
  const harness = await setup.startHarness(t);
  const first = await make(harness, { user: "first" });
  const second = await make(harness, { user: "second", password: "chosen" });
  const open = async (user: string, password: string): Promise<string | undefined> =>
    (await authentication.authenticateCredential(harness.deps, user, password, "192.0.2.1"))
      ?.credential.username;
  t.equal(await open("first", first.password), "first");
  t.equal(await open("second", "chosen"), "second");
  t.equal(await open("second", "chosen"), "second", "remembered");
  const wrong: readonly (readonly [string, string])[] = [
    ["first", "chosen"],
    ["first", ""],
    ["first", first.password.toLowerCase()],
    ["second", first.password],
    ["second", "Chosen"],
    ["second", ""],
    ["", "chosen"],
    ["third", "chosen"],
    ["__proto__", "chosen"],
    ["FIRST", first.password],
    [second.credential.ulid, "chosen"],
  ];
  for (const [user, password] of wrong) t.equal(await open(user, password), undefined, user);
});

await test("the principal of a revision is one object, with the grants of the credential", async (t) => {
  const harness = await setup.startHarness(t);
  const { credential, password } = await make(harness);
  const principal = await authentication.authenticateBasic(
    harness.deps,
    "device",
    password,
    "192.0.2.1",
  );
  t.equal(principal, authentication.principalOf(credential));
  t.match(principal, { kind: "credential", id: credential.ulid, account: ACCOUNT });
  t.match(principal, { name: "credential device" });
  t.notOk(principal?.name.includes(password));
});

await test("a disabled or expired credential opens nothing", async (t) => {
  const harness = await setup.startHarness(t);
  const { clock, deps } = harness;
  const { credential, password } = await make(harness, { expiresAt: clock.wall + 1_000 });
  const open = async (): Promise<boolean> =>
    (await authentication.authenticateBasic(deps, "device", password, "192.0.2.1")) !== undefined;
  t.ok(await open());
  clock.advance(999);
  t.ok(await open());
  clock.advance(1);
  t.notOk(await open());
  const { ulid } = credential;
  await changeCredential(deps, { ...at, ulid, request: { expiresAt: null, enabled: false } });
  t.notOk(await open());
  await changeCredential(deps, { ...at, ulid, request: { enabled: true } });
  t.ok(await open());
});

await test("a credential that is changed while its password is checked is not opened", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps } = harness;
  const { credential } = await make(harness, { password: "chosen" });
  const late = authentication.authenticateCredential(deps, "device", "chosen", "192.0.2.1");
  deps.store.credentials.put({ ...credential, enabled: false });
  t.equal(await late, undefined);
  deps.store.credentials.put(credential);
  const removed = authentication.authenticateCredential(deps, "device", "chosen", "192.0.2.1");
  deps.store.credentials.delete(credential);
  t.equal(await removed, undefined);
});

await test("a password that was right once is not right after another was set", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps } = harness;
  const { credential } = await make(harness, { password: "old" });
  const open = async (password: string) =>
    authentication.authenticateCredential(deps, "device", password, "192.0.2.1");
  const before = await open("old");
  const request = { password: "new", overlapS: 10 };
  await changeCredential(deps, { ...at, ulid: credential.ulid, request });
  const during = await open("old");
  t.equal(during?.secret, before?.secret, "connections of the old password are told by its hash");
  t.not((await open("new"))?.secret, before?.secret);
  const valid = authentication.validSecrets(deps, deps.store.credentials.all()[0] ?? credential);
  t.equal(valid.length, 2);
  harness.clock.advance(10_000);
  t.equal(await open("old"), undefined);
  t.ok(await open("new"));
});

await test("a hundred clients of one credential cost one check", async (t) => {
  const harness = await setup.startHarness(t);
  await make(harness, { password: "chosen" });
  const open = async () =>
    authentication.authenticateCredential(harness.deps, "device", "chosen", "192.0.2.1");
  const all = async (): Promise<void> => {
    const found = await Promise.all(Array.from({ length: 100 }, open));
    t.ok(found.every((one) => one !== undefined));
  };
  t.equal((await countStretches(all)).count, 1);
  t.equal((await countStretches(all)).count, 0, "and none when it was right once");
});

await test("a hundred guesses at once cost as many checks at whatever name", async (t) => {
  const harness = await setup.startHarness(t);
  await make(harness, { user: "chosen", password: "chosen" });
  await make(harness, { user: "made" });
  const { deps } = harness;
  for (const user of ["chosen", "made", "nobody"]) {
    const guess = async (password: string) =>
      authentication.authenticateCredential(deps, user, password, "192.0.2.1");
    const passwords = Array.from({ length: 100 }, (_, n) => (n % 2 === 0 ? "this" : "that"));
    const { count } = await countStretches(async () => Promise.all(passwords.map(guess)));
    t.equal(count, 2, `${user}: one for each password`);
  }
  const atEach = async () =>
    Promise.all(
      ["chosen", "made", "nobody"].map(async (user) =>
        authentication.authenticateCredential(deps, user, "the same", "192.0.2.1"),
      ),
    );
  t.equal((await countStretches(atEach)).count, 3, "names share no check");
});

await test("a bearer token is its own text and nothing near it, until it expires", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps, clock } = harness;
  const expiresAt = clock.wall + 1_000;
  const { token, text } = createToken(deps, {
    account: ACCOUNT,
    scopes: ["thing.read"],
    expiresAt,
  });
  const box = createToken(deps, { scopes: ["gateway.manage"] });
  t.match(authentication.authenticateToken(deps, text, "192.0.2.1"), {
    kind: "token",
    account: ACCOUNT,
  });
  t.match(authentication.authenticateToken(deps, text, "192.0.2.1"), {
    scopes: new Set(["thing.read"]),
  });
  t.notOk(authentication.authenticateToken(deps, text, "192.0.2.1")?.name.includes(text));
  t.equal(authentication.authenticateToken(deps, box.text, "192.0.2.1")?.account, undefined);
  for (const wrong of ["", "slu_", `${text} `, text.slice(0, -1), token.ulid, token.digest]) {
    t.equal(authentication.authenticateToken(deps, wrong, "192.0.2.1"), undefined, wrong);
  }
  clock.advance(1_000);
  t.equal(authentication.authenticateToken(deps, text, "192.0.2.1"), undefined);
  t.ok(authentication.authenticateToken(deps, box.text, "192.0.2.1"));
});

await test("a client's id and secret are a token of its scopes", async (t) => {
  const harness = await setup.startHarness(t);
  const { client, secret } = createClient(harness.deps, {
    account: ACCOUNT,
    scopes: ["data.read"],
  });
  const id = clientIdOf(client);
  const principal = await authentication.authenticateBasic(harness.deps, id, secret, "192.0.2.1");
  t.match(principal, { kind: "token", name: id, account: ACCOUNT, scopes: new Set(["data.read"]) });
  t.equal(
    await authentication.authenticateBasic(harness.deps, id, `${secret}x`, "192.0.2.1"),
    undefined,
  );
  t.equal(
    await authentication.authenticateBasic(harness.deps, client.ulid, secret, "192.0.2.1"),
    undefined,
  );
});

async function watch(t: Test, request: CredentialRequest) {
  const harness = await setup.startHarness(t);
  const { clock } = harness;
  const { credential } = await make(harness, request);
  const deadlines = new CredentialDeadlines(harness.deps);
  deadlines.start();
  t.teardown(() => deadlines.stop());
  return { harness, clock, credential, deadlines };
}

await test("an expiry ends connections once, and again after it was moved", async (t) => {
  const expiresAt = Date.parse("2027-03-01T12:00:10.000Z");
  const { harness, clock, credential, deadlines } = await watch(t, { expiresAt });
  clock.advance(9_000);
  t.same(harness.credentialChanges, []);
  clock.advance(5_000);
  const revoked = [credential.ulid, "revoked"] as const;
  t.same(harness.credentialChanges, [revoked]);
  const request = { expiresAt: clock.wall + 1_000 };
  await changeCredential(harness.deps, { ...at, ulid: credential.ulid, request });
  clock.advance(5_000);
  t.same(harness.credentialChanges, [revoked, revoked]);
  deadlines.stop();
  t.equal(clock.waiting, 0, "no timer is left");
});

await test("the end of an overlap closes what the old password opened, once, and forgets it", async (t) => {
  const { harness, clock, credential } = await watch(t, {});
  const { ulid } = credential;
  await changeCredential(harness.deps, { ...at, ulid, request: { password: "", overlapS: 10 } });
  harness.credentialChanges.length = 0;
  clock.advance(9_000);
  t.same(harness.credentialChanges, []);
  clock.advance(5_000);
  t.same(harness.credentialChanges, [[ulid, "password"]]);
  const now = harness.deps.store.credentials.get(ulid);
  t.equal(now?.previous, undefined);
  t.equal(now?.revision, 2, "its ETag stays: nothing that is shown has changed");
  t.same(harness.deps.store.credentials.withDeadline(), []);
});

await test("a time that is not known, or cannot be, ends no connection", async (t) => {
  const expiresAt = Date.parse("2027-03-01T12:00:10.000Z");
  const { harness, clock } = await watch(t, { expiresAt });
  clock.synced = false;
  clock.wall += 10 * YEAR;
  clock.advance(5_000);
  t.same(harness.credentialChanges, []);
  clock.synced = true;
  clock.advance(500);
  t.same(harness.credentialChanges, [], "nobody is away for ten years");
  clock.wall -= 10 * YEAR;
  clock.advance(5_000);
  t.equal(harness.credentialChanges.length, 1);
});

await test("guessing is slowed by name, and locks out nobody who was right before", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps } = harness;
  await make(harness, { user: "chosen", password: "a chosen password" });
  const { password: made } = await make(harness, { user: "made" });
  const logIn = async (user: string, password: string, address: string): Promise<string> => {
    try {
      return (await authentication.authenticateBasic(deps, user, password, address))?.name ?? "";
    } catch (error) {
      return error instanceof GatewayError ? error.code : String(error);
    }
  };
  const right = "credential chosen";
  t.equal(await logIn("chosen", "a chosen password", "192.0.2.7"), right);
  for (const user of ["chosen", "made", "nobody"]) {
    const outcomes = new Set<string>();
    for (let guess = 0; guess < 12; guess += 1) {
      outcomes.add(await logIn(user, `guess ${guess}`, `198.51.100.${guess}`));
    }
    t.same([...outcomes], ["", "rate-limited"], `${user}: the same, whatever is there`);
  }
  const elsewhere = "203.0.113.9";
  t.equal(await logIn("chosen", "a chosen password", elsewhere), "rate-limited", "a stranger");
  t.equal(await logIn("chosen", "a chosen password", "192.0.2.7"), right, "a known address");
  t.equal(await logIn("made", made, elsewhere), "credential made", "what cannot be guessed");
});
