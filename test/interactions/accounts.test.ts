import { test } from "tap";
import * as accounts from "../../src/interactions/accounts.ts";
import { createCredential } from "../../src/interactions/credentials.ts";
import { updateProperty } from "../../src/interactions/property-update.ts";
import { createThing } from "../../src/interactions/provisioning.ts";
import { createClient, createToken } from "../../src/interactions/tokens.ts";
import { RESERVED_ACCOUNT_NAMES } from "../../src/thing/thing.ts";
import * as setup from "./harness.ts";

const { ADMIN } = setup;

await test("an account is made once, and its description replaced", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps, clock } = harness;
  const made = accounts.putAccount(deps, "plant-2", { description: "north" });
  t.equal(made.created, true);
  clock.advance(1_000);
  const again = accounts.putAccount(deps, "plant-2", {});
  t.equal(again.created, false);
  t.equal(again.account.created, made.account.created);
  t.equal(again.account.description, undefined);
  t.equal(again.account.revision, made.account.revision + 1);
  await harness.restart();
  t.same(accounts.findAccount(harness.deps, "plant-2"), again.account);
  t.throws(() => accounts.findAccount(harness.deps, "none"), { code: "unknown-account" });
});

await test("a name that is reserved, or is none, is refused", async (t) => {
  const harness = await setup.startHarness(t);
  const names = [
    ...RESERVED_ACCOUNT_NAMES,
    "",
    ".",
    "a.b",
    "-a",
    "a/b",
    "a b",
    "é",
    "x".repeat(65),
  ];
  for (const name of names) {
    t.throws(() => accounts.putAccount(harness.deps, name, {}), { code: "malformed" }, name);
  }
  t.equal(harness.deps.store.accounts.count, 1);
});

await test("there is a bound on accounts", async (t) => {
  const harness = await setup.startHarness(t, { limits: { accounts: 2 } });
  accounts.putAccount(harness.deps, "b", {});
  t.throws(() => accounts.putAccount(harness.deps, "c", {}), { code: "limit-reached" });
  t.equal(accounts.putAccount(harness.deps, "b", { description: "d" }).created, false);
});

await test("an empty account can be deleted, one that holds anything only by force", async (t) => {
  const fillings: readonly (readonly [what: string, fill: (harness: setup.Harness) => unknown])[] =
    [
      [
        "a Thing",
        ({ deps }) => createThing(deps, { principal: ADMIN, account: "b", description: {} }),
      ],
      ["a token", ({ deps }) => createToken(deps, { account: "b", scopes: [] })],
      ["a client", ({ deps }) => createClient(deps, { account: "b", scopes: [] })],
      [
        "a credential",
        async ({ deps }) => {
          const request = { resources: [{ entity: "data", id: ["*"] }] } as const;
          await createCredential(deps, { principal: ADMIN, account: "b", request });
        },
      ],
    ];
  for (const [what, fill] of fillings) {
    const harness = await setup.startHarness(t);
    accounts.putAccount(harness.deps, "b", {});
    await fill(harness);
    const remove = (force: boolean) => accounts.deleteAccount(harness.deps, "b", { force });
    t.throws(() => remove(false), { code: "account-not-empty" }, what);
    t.ok(harness.deps.store.accounts.has("b"));
    remove(true);
    t.throws(() => remove(true), { code: "unknown-account" });
  }
});

await test("force takes all that the account holds, and nothing of another", async (t) => {
  const harness = await setup.startHarness(t);
  const { deps } = harness;
  accounts.putAccount(deps, "b", {});
  const fill = async (account: string) => {
    const description = { id: "boiler", properties: { p: {} } };
    const thing = createThing(deps, { principal: ADMIN, account, description });
    const on = { principal: ADMIN, account, thing: "boiler", name: "p", body: { p: 1 } };
    updateProperty(deps, { ...on, others: "refuse" });
    const request = { resources: [{ entity: "things", id: ["boiler"] }] } as const;
    const { credential } = await createCredential(deps, { principal: ADMIN, account, request });
    const { token } = createToken(deps, { account, scopes: [] });
    const { client } = createClient(deps, { account, scopes: [] });
    return { thing, credential, token, client };
  };
  const [kept, gone] = [await fill("site"), await fill("b")];
  const { token: box } = createToken(deps, { scopes: [] });
  accounts.deleteAccount(deps, "b", { force: true });
  t.same(harness.credentialChanges, [[gone.credential.ulid, "revoked"]]);
  await deps.store.retention.sweep();
  await harness.restart();
  const { store } = harness.deps;
  t.same(store.things.byUid(kept.thing.uid), kept.thing);
  t.equal(store.things.count, 1);
  t.equal(store.properties.ofThing(gone.thing.number).size, 0);
  t.equal(store.properties.ofThing(kept.thing.number).size, 1);
  t.same(store.credentials.all(), [kept.credential]);
  t.same(new Set(store.tokens.all()), new Set([kept.token, box]));
  t.same(store.clients.ofAccount("site"), [kept.client]);
  t.equal(store.clients.count, 1);
  t.notOk(store.accounts.has("b"));
  const rows = [...(await harness.rows()).keys()].filter((key) => /^[hrst]:000002/.test(key));
  t.same(rows, []);
});
