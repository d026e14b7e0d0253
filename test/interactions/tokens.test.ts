import { test } from "tap";
import { authenticateToken } from "../../src/interactions/authentication.ts";
import * as tokens from "../../src/interactions/tokens.ts";
import * as setup from "./harness.ts";

const { ACCOUNT } = setup;

await test("a token is told once and stored as a digest", async (t) => {
  const harness = await setup.startHarness(t);
  const { token, text } = tokens.createToken(harness.deps, {
    account: ACCOUNT,
    scopes: ["thing.read", "thing.read", "data.read"],
    description: "d",
  });
  t.match(text, /^slu_/);
  t.same(token.scopes, ["thing.read", "data.read"]);
  const rows = [...(await harness.rows())].map(([key, value]) => key + value).join("\n");
  t.notOk(rows.includes(text));
  t.notOk(rows.includes(text.slice(4)));
  await harness.restart();
  t.ok(authenticateToken(harness.deps, text, "192.0.2.1"));
  harness.deps.store.tokens.delete(token);
  t.equal(authenticateToken(harness.deps, text, "192.0.2.1"), undefined, "revocable at once");
  const given = tokens.createToken(harness.deps, { scopes: [] }, "slu_given-by-the-configuration");
  t.equal(given.text, "slu_given-by-the-configuration");
  t.ok(authenticateToken(harness.deps, given.text, "192.0.2.1"));
});

await test("a token of an account that does not exist is refused", async (t) => {
  const harness = await setup.startHarness(t);
  const make = () => tokens.createToken(harness.deps, { account: "none", scopes: [] });
  t.throws(make, { code: "unknown-account" });
});

await test("an access token has what was asked for and no more than the client has", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps, clock } = harness;
  const wanted = { account: ACCOUNT, scopes: ["thing.read", "data.read"] } as const;
  const { client } = tokens.createClient(deps, wanted);
  const scopesOf = (...asked: readonly string[]) =>
    tokens.issueAccessToken(deps, client, asked)?.token.scopes;
  t.same(scopesOf(), ["thing.read", "data.read"], "all of them");
  t.same(scopesOf("data.read"), ["data.read"]);
  t.equal(scopesOf("data.read", "data.write"), undefined);
  t.equal(scopesOf("root"), undefined);
  t.equal(scopesOf("__proto__"), undefined);
  const issued = tokens.issueAccessToken(deps, client, []);
  t.match(issued?.token, { account: ACCOUNT, client: client.ulid });
  t.equal(issued?.lifeS, 3_600);
  t.ok(authenticateToken(deps, issued?.text ?? "", "192.0.2.1"));
  clock.advance(3_600_000);
  t.equal(authenticateToken(deps, issued?.text ?? "", "192.0.2.1"), undefined);
});

await test("a client is known by id and secret, and takes its tokens with it", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps } = harness;
  const { client, secret } = tokens.createClient(deps, { account: ACCOUNT, scopes: ["data.read"] });
  const other = tokens.createClient(deps, { account: ACCOUNT, scopes: ["data.read"] });
  const id = tokens.clientIdOf(client);
  t.equal(id, `app::${client.ulid}`);
  t.equal(tokens.authenticateClient(deps, id, secret), client);
  for (const [wrongId, wrongSecret] of [
    [id, other.secret],
    [id, ""],
    [tokens.clientIdOf(other.client), secret],
    [client.ulid, secret],
    ["app::", secret],
    ["app::__proto__", secret],
  ] as const) {
    t.equal(tokens.authenticateClient(deps, wrongId, wrongSecret), undefined);
  }
  const issued = tokens.issueAccessToken(deps, client, []);
  const kept = tokens.issueAccessToken(deps, other.client, []);
  tokens.deleteClient(deps, client);
  t.equal(tokens.authenticateClient(deps, id, secret), undefined);
  t.equal(authenticateToken(deps, issued?.text ?? "", "192.0.2.1"), undefined);
  t.ok(authenticateToken(deps, kept?.text ?? "", "192.0.2.1"));
});

await test("tokens and clients have one bound, and expired ones make room", async (t) => {
  const harness = await setup.startHarness(t, { limits: { tokens: 4 } });
  const { deps, clock } = harness;
  const short = { scopes: [], expiresAt: clock.wall + 1_000 };
  tokens.createToken(deps, short);
  const { client } = tokens.createClient(deps, { account: ACCOUNT, scopes: [] });
  tokens.createToken(deps, short);
  const lasting = tokens.createToken(deps, { scopes: [] });
  t.throws(() => tokens.createToken(deps, short), { code: "limit-reached" });
  t.throws(() => tokens.issueAccessToken(deps, client, []), { code: "limit-reached" });
  t.throws(() => tokens.createClient(deps, { account: ACCOUNT, scopes: [] }), {
    code: "limit-reached",
  });
  clock.wall += 1e10;
  clock.synced = false;
  t.throws(() => tokens.createToken(deps, short), { code: "limit-reached" });
  t.equal(deps.store.tokens.count, 3, "a clock that is not known deletes nothing");
  clock.synced = true;
  tokens.createToken(deps, { scopes: [] });
  t.equal(deps.store.tokens.count, 2);
  t.ok(authenticateToken(deps, lasting.text, "192.0.2.1"));
});

await test("when and from where a token was last used is noted once a minute, over a restart too", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps } = harness;
  const { token, text } = tokens.createToken(deps, { scopes: ["thing.read"] });
  const used = () => deps.store.tokens.get(token.ulid)?.lastUsed;
  t.equal(used(), undefined);
  const first = deps.clock.wallMs();
  t.ok(authenticateToken(deps, text, "192.0.2.1"));
  t.same(used(), { at: first, address: "192.0.2.1" });
  harness.clock.advance(59_000);
  t.ok(authenticateToken(deps, text, "192.0.2.2"));
  t.same(used(), { at: first, address: "192.0.2.1" }, "a read is no reason to write");
  harness.clock.advance(1_000);
  t.ok(authenticateToken(deps, text, "192.0.2.2"));
  t.same(used(), { at: first + 60_000, address: "192.0.2.2" });
  t.equal(authenticateToken(deps, `${text}x`, "192.0.2.3"), undefined);
  t.equal(used()?.address, "192.0.2.2", "who has not the token used nothing");
  t.equal(deps.store.tokens.get(token.ulid)?.prefix, text.slice(0, 8));
});
