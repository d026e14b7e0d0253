import { test, type Test } from "tap";
import { startGateway, type Gateway, type Reply } from "./harness.ts";

const PASSWORD = "correct horse battery";
const headers = (user: string): Readonly<Record<string, string>> => ({
  authorization: `Basic ${Buffer.from(`${user}:${PASSWORD}`).toString("base64")}`,
});

/** A gateway with the admins anna and bert. */
async function startSite(t: Test): Promise<Gateway> {
  const gateway = await startGateway(t);
  for (const name of ["anna", "bert"]) {
    const json = { role: "admin", password: PASSWORD };
    t.equal((await gateway.call("PUT", `/gateway/users/${name}`, { json })).status, 201);
  }
  return gateway;
}

/** By a person, or by another token. */
async function makeToken(
  { call }: Gateway,
  by: string,
  scopes = ["gateway.read", "gateway.manage"],
): Promise<Reply["json"]> {
  const as = by.startsWith("slu_") ? { token: by } : { token: undefined, headers: headers(by) };
  return (await call("POST", "/gateway/tokens", { ...as, json: { scopes } })).json;
}

async function audited({ call }: Gateway): Promise<readonly unknown[]> {
  const { json } = await call("GET", "/gateway/audit?action=token.delete");
  const entries = json.data as unknown as readonly Record<string, unknown>[];
  return entries.map(({ principal, target, detail }) => [principal, target, detail]);
}

await test("the tokens of a person who is deleted end with him, and those made with them", async (t) => {
  const gateway = await startSite(t);
  const { call, admin } = gateway;
  const own = await makeToken(gateway, "anna");
  const grandchild = await makeToken(gateway, (await makeToken(gateway, own.token)).token);
  const berts = await makeToken(gateway, "bert");
  const nobodys = await makeToken(gateway, admin);
  t.match(
    [own, grandchild, berts, nobodys],
    [...[{ owner: "anna" }, { owner: "anna" }, { owner: "bert" }, { owner: null }]],
  );
  const shown = await call("GET", `/gateway/tokens/${own.ulid}`);
  t.match(shown.json, { owner: "anna" });
  const statusOf = async ({ token }: { readonly token: string }): Promise<number> =>
    (await call("GET", "/gateway", { token })).status;
  t.equal((await call("DELETE", "/gateway/users/anna")).status, 204);
  t.equal(await statusOf(own), 401);
  t.equal(await statusOf(grandchild), 401);
  t.equal(await statusOf(berts), 200);
  t.equal(await statusOf(nobodys), 200);
  const records = await audited(gateway);
  t.equal(records.length, 3);
  const why = "its owner anna was deleted";
  t.match(records[2], ["gateway", `/gateway/tokens/${own.ulid}`, why]);
});

await test("who may do less than before keeps the tokens that do no more than he may", async (t) => {
  const gateway = await startSite(t);
  const { call } = gateway;
  const manages = await makeToken(gateway, "anna");
  const reads = await makeToken(gateway, "anna", ["gateway.read", "thing.read"]);
  const json = { password: "quite another phrase" };
  t.equal((await call("PUT", "/gateway/users/anna/password", { json })).status, 204);
  const statusOf = async ({ token }: { readonly token: string }): Promise<number> =>
    (await call("GET", "/gateway", { token })).status;
  t.equal(await statusOf(manages), 200, "another password is no reason");
  const viewer = { json: { role: "viewer" } };
  t.equal((await call("PUT", "/gateway/users/anna", viewer)).status, 200);
  t.equal(await statusOf(manages), 401);
  t.equal(await statusOf(reads), 200);
  const why = "its owner anna may do less now";
  t.match(await audited(gateway), [["gateway", `/gateway/tokens/${manages.ulid}`, why]]);
});
