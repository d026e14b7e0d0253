import { test } from "tap";
import { authenticateBasic } from "../../src/interactions/authentication.ts";
import { changeUser, createUser, putUser } from "../../src/interactions/users.ts";
import { ROLES } from "../../src/thing/access.ts";
import { startGateway } from "../http/harness.ts";

const PASSWORD = "kettle orbit 41";

await test("a person logs in with name and password, as the role he has, and with no other", async (t) => {
  const { deps } = await startGateway(t);
  for (const role of ["admin", "installer", "viewer"] as const) {
    await createUser(deps, { name: `the.${role}`, role, password: PASSWORD });
    const principal = await authenticateBasic(deps, `the.${role}`, PASSWORD, "192.0.2.1");
    t.match(principal, { kind: "token", name: `user the.${role}`, account: undefined });
    t.same(principal?.kind === "token" ? [...principal.scopes] : [], ROLES[role]);
    t.equal(await authenticateBasic(deps, `the.${role}`, `${PASSWORD} `, "192.0.2.1"), undefined);
  }
  t.equal(await authenticateBasic(deps, "nobody", PASSWORD, "192.0.2.1"), undefined);
});

await test("names of people are those of credentials, and unique among both", async (t) => {
  const gateway = await startGateway(t);
  const { deps } = gateway;
  const wanted = { role: "viewer", password: PASSWORD } as const;
  const json = { resources: [{ entity: "things", id: ["*"] }], user: "press-1" };
  t.equal((await gateway.call("POST", "/A/mqtt", { json })).status, 201);
  await createUser(deps, { ...wanted, name: "anna" });
  await t.rejects(createUser(deps, { ...wanted, name: "anna" }), { code: "conflict" });
  await t.rejects(createUser(deps, { ...wanted, name: "press-1" }), { code: "conflict" });
  for (const name of ["", "a b", "ä", "x".repeat(65), "a:b"]) {
    await t.rejects(createUser(deps, { ...wanted, name }), { code: "malformed" }, name);
  }
  const taken = await gateway.call("POST", "/A/mqtt", { json: { ...json, user: "anna" } });
  t.match(taken, { status: 409, json: { code: "conflict" } });
});

await test("a new password is one at once, and the old one none any more", async (t) => {
  const { deps } = await startGateway(t);
  await createUser(deps, { name: "anna", role: "viewer", password: PASSWORD });
  const underWay = authenticateBasic(deps, "anna", PASSWORD, "192.0.2.1");
  putUser(deps, { name: "anna", role: "viewer", phc: "changed meanwhile" });
  t.equal(await underWay, undefined, "also while the old one is checked");
  const user = await changeUser(deps, "anna", { password: "another orbit 99" });
  t.match(user, { revision: 3, role: "viewer" });
  t.equal(await authenticateBasic(deps, "anna", PASSWORD, "192.0.2.1"), undefined);
  t.ok(await authenticateBasic(deps, "anna", "another orbit 99", "192.0.2.1"));
  await t.rejects(changeUser(deps, "anna", { password: "anna 12345678" }), {
    code: "weak-password",
  });
  await t.rejects(changeUser(deps, "ben", { password: PASSWORD }), { code: "not-found" });
});
