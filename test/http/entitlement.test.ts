import { test } from "tap";
import { systemRandom } from "../../src/clock.ts";
import { startGateway, type Reply } from "./harness.ts";

const PASSWORD = "correct horse battery";
const OTHER = "quite another phrase";
const ON_ALL = [{ entity: "things", id: ["*"] }];

await test("who loses his rights while a password waits to be stretched changes nothing with it", async (t) => {
  // The salt is drawn when all that was to be asked before has been asked.
  let revoke: (() => void) | undefined;
  const bytes = (count: number): Uint8Array => {
    const now = revoke;
    revoke = undefined;
    now?.();
    return systemRandom.bytes(count);
  };
  const gateway = await startGateway(t, { deps: { random: { bytes } } });
  const { call, deps } = gateway;
  const { users, tokens, credentials, browserSessions } = deps.store;
  const made = await call("PUT", "/gateway/users/anna", {
    json: { role: "admin", password: PASSWORD },
  });
  t.equal(made.status, 201);
  await call("PUT", "/gateway/users/bert", { json: { role: "viewer", password: PASSWORD } });
  const device = await call("POST", "/A/mqtt", { json: { resources: ON_ALL, user: "pump" } });
  const path = `/A/mqtt/${device.json.ulid}`;
  const before = [users.get("bert"), credentials.get(device.json.ulid)];

  const byToken = async (method: string, to: string, json: unknown): Promise<Reply> => {
    const token = gateway.token(["gateway.manage", "mqtt.credentials"]);
    const [own] = tokens.all().slice(-1);
    revoke = () => own !== undefined && tokens.delete(own);
    return call(method, to, { token, json });
  };
  const ofToken = [
    ["PUT", "/gateway/users/carl", { role: "admin", password: OTHER }],
    ["PUT", "/gateway/users/bert", { role: "admin", password: OTHER }],
    ["PUT", "/gateway/users/bert/password", { password: OTHER }],
    ["POST", "/A/mqtt", { resources: ON_ALL, user: "spy", password: OTHER }],
    ["PATCH", path, { password: OTHER }],
  ] as const;
  for (const [method, to, json] of ofToken) {
    const { status } = await byToken(method, to, json);
    t.match([status, revoke], [401, undefined], `${method} ${to}, revoked meanwhile`);
  }

  const origin = `http://127.0.0.1:${gateway.port}`;
  const logIn = async (): Promise<string> => {
    const json = { user: "bert", password: PASSWORD };
    const opened = await call("POST", "/gateway/sessions", {
      ...{ token: undefined, headers: { origin }, json },
    });
    return opened.headers.get("set-cookie")?.split(";")[0] ?? "";
  };
  const cookie = await logIn();
  revoke = () => browserSessions.all().forEach((session) => browserSessions.delete(session));
  const own = { json: { password: OTHER, current: PASSWORD }, headers: { origin, cookie } };
  const changed = await call("PUT", "/gateway/users/bert/password", { token: undefined, ...own });
  t.match([changed.status, revoke], [401, undefined], "logged out meanwhile");

  const anna = users.get("anna");
  revoke = () => anna && users.put({ ...anna, role: "viewer" });
  const basic = `Basic ${Buffer.from(`anna:${PASSWORD}`).toString("base64")}`;
  const demoted = await call("PUT", "/gateway/users/carl", {
    ...{ token: undefined, headers: { authorization: basic } },
    json: { role: "admin", password: OTHER },
  });
  t.match([demoted.status, revoke], [403, undefined], "a viewer meanwhile");

  t.same(
    users.all().map(({ name }) => name),
    ["anna", "bert"],
  );
  t.same([users.get("bert"), credentials.get(device.json.ulid)], before);
  t.equal(credentials.byUsername("spy"), undefined);
});

await test("who loses his rights while the password of a device is stretched does not let it in", async (t) => {
  const gateway = await startGateway(t);
  const { call, deps } = gateway;
  const { joining, store } = deps;
  await call("PUT", "/A/things/boiler", { json: {} });
  await call("PUT", "/gateway/joining", { json: { seconds: 60, account: "A" } });
  const password = Buffer.from(PASSWORD);
  joining.meet({ address: "192.0.2.1", clientId: "pump-1", user: "pump", password });
  const [asked] = joining.all();
  const path = `/gateway/joining/requests/${asked?.id ?? ""}/approve`;
  const token = gateway.token(["mqtt.credentials"]);
  const [own] = store.tokens.all().slice(-1);
  // It is looked at before the password is waited for, and after.
  const get = joining.get.bind(joining);
  joining.get = (id) => {
    joining.get = get;
    if (own !== undefined) store.tokens.delete(own);
    return get(id);
  };
  const json = { thing: "boiler" };
  t.equal((await call("POST", path, { token, json })).status, 401);
  t.equal(store.credentials.byUsername("pump"), undefined);
  t.equal((await call("POST", path, { json })).status, 200, "another may");
});

await test("If-Match is looked at again when the password has been stretched", async (t) => {
  let meanwhile: (() => void) | undefined;
  const bytes = (count: number): Uint8Array => {
    meanwhile?.();
    meanwhile = undefined;
    return systemRandom.bytes(count);
  };
  const { call, deps } = await startGateway(t, { deps: { random: { bytes } } });
  const { users } = deps.store;
  const json = { role: "viewer", password: PASSWORD };
  const made = await call("PUT", "/gateway/users/anna", { json });
  const headers = { "if-match": made.headers.get("etag") ?? "" };
  const [anna] = users.all();
  meanwhile = () => anna && users.put({ ...anna, role: "admin", revision: anna.revision + 1 });
  const changed = await call("PUT", "/gateway/users/anna", { headers, json });
  t.equal(changed.status, 412);
  t.match(users.get("anna"), { role: "admin", phc: anna?.phc });
});
