import { readdirSync, readFileSync, statSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { join } from "node:path";
import mqtt, { type IClientOptions } from "mqtt";
import { test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";

/** Secrets that are planted: each is found by its text, wherever it turns up. */
const CANARY = {
  adminToken: "slu_canary-admin-token-0123456789",
  strangerToken: "slu_canary-stranger-token-9876543210",
  tokenAsUser: "slu_canary-token-in-the-wrong-field",
  devicePassword: "canary-device-password",
  newPassword: "canary-new-device-password",
  wrongPassword: "canary-wrong-password",
  basicPassword: "canary-basic-password",
  inBrokenJson: "canary-in-broken-json",
  inWrongType: "canary-in-the-wrong-type",
  inUnknownMember: "canary-in-an-unknown-member",
  inPath: "slu_canary-token-in-a-path",
  inQuery: "canary-in-a-query",
  inHeader: "canary-in-a-header",
  clientSecret: "canary-client-secret",
  uplinkPassword: "canary-uplink-password",
  uplinkInUrl: "canary-uplink-password-in-its-url",
  privateKey: "canaryPrivateKeyCanaryPrivateKey",
  publishedValue: "canary-published-to-a-wrong-topic",
  willPayload: "canary-will-payload",
  tooLarge: "canary-in-what-is-too-large",
} as const;

type Name = keyof typeof CANARY;

/** An uplink logs in upstream with it, over restarts: the store has it, in a folder of the daemon's. */
const KEPT_ON_DISK: readonly Name[] = ["uplinkPassword", "privateKey"];

await test("planted secrets are in no log, error, audit, refusal, status or file", async (t) => {
  const env = {
    ...daemonEnvironment(t),
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: CANARY.adminToken,
    SLUICE_LOG__LEVEL: "debug",
    SLUICE_LIMITS__PACKET_BYTES: "4096",
    SLUICE_LIMITS__HTTP_BODY_BYTES: "16384",
  };
  const daemon = new Daemon(t, [], env);
  const { mqttPort, httpPort } = await daemon.ready;
  const answers: string[] = [];
  const admin = { authorization: `Bearer ${CANARY.adminToken}` };
  const send = async (
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string>> = admin,
  ): Promise<string> => {
    const reply = await fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      headers: { "content-type": "application/json", ...headers },
      ...(body === undefined
        ? {}
        : { body: typeof body === "string" ? body : JSON.stringify(body) }),
    });
    const text = [...reply.headers].join("\n") + (await reply.text());
    answers.push(`${method} ${reply.status} ${text}`);
    return text;
  };
  const basic = (user: string, password: string) => ({
    authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
  });

  // What is meant to hold a secret, given it as it should be.
  const resources = [{ entity: "things", id: ["*"], definition: true }];
  await send("PUT", "/site/things/boiler", { properties: { target: { type: "number" } } });
  const given = { resources, user: "pump", password: CANARY.devicePassword };
  const made = await send("POST", "/site/mqtt", given);
  const ulid = /"ulid":"([0-9A-Z]{26})"/.exec(made)?.[1] ?? "";
  // The password is in this one answer, and in that of its change.
  t.ok(answers.pop()?.includes(CANARY.devicePassword));
  await send("PATCH", `/site/mqtt/${ulid}`, { password: CANARY.newPassword, overlap: 60 });
  t.ok(answers.pop()?.includes(CANARY.newPassword));
  await send("PUT", "/gateway/uplinks/plant", {
    url: "mqtt://127.0.0.1:1",
    username: "gateway",
    password: CANARY.uplinkPassword,
  });
  const key = `-----BEGIN PRIVATE KEY-----\n${CANARY.privateKey}\n-----END PRIVATE KEY-----\n`;
  await send("PUT", "/gateway/uplinks/plant", { url: "mqtts://127.0.0.1:1", key, cert: "none" });
  await send("POST", "/gateway/uplinks/plant/test");

  // The same and others where they do not belong.
  await send("PUT", "/gateway/uplinks/other", {
    url: `mqtt://u:${CANARY.uplinkInUrl}@127.0.0.1:1`,
  });
  await send("POST", "/site/mqtt", `{"password": "${CANARY.inBrokenJson}"`);
  await send("POST", "/site/mqtt", { resources, user: 7, password: [CANARY.inWrongType] });
  await send("POST", "/site/mqtt", { resources, secret: CANARY.inUnknownMember });
  await send("PUT", "/site/things/boiler/properties/target", { target: CANARY.inWrongType });
  await send("POST", "/gateway/tokens", { scopes: [CANARY.inWrongType] });
  await send("POST", "/site/things", `{"title": "${CANARY.tooLarge}${"x".repeat(40_000)}"}`);
  await send("DELETE", `/gateway/tokens/${CANARY.inPath}`);
  await send("GET", `/site/things/${CANARY.inPath}`);
  await send("GET", `/${CANARY.inPath}`);
  await send("GET", `/site/things?limit=${CANARY.inQuery}&token=${CANARY.inQuery}`);
  await send("GET", "/gateway", undefined, { ...admin, "x-request-id": `"${CANARY.inHeader}"` });
  await send("GET", "/gateway", undefined, { authorization: `Bearer ${CANARY.strangerToken}` });
  await send("GET", "/gateway", undefined, basic("pump", CANARY.basicPassword));
  await send("GET", "/gateway", undefined, basic(CANARY.tokenAsUser, ""));
  await send("GET", "/gateway", undefined, { authorization: `Digest ${CANARY.inHeader}` });
  const form = `grant_type=client_credentials&client_id=app::x&client_secret=${CANARY.clientSecret}`;
  const isForm = { "content-type": "application/x-www-form-urlencoded" };
  await send("POST", "/oauth2/token", form, isForm);
  await send("POST", "/oauth2/token", `${form}&client_secret=${CANARY.clientSecret}`, isForm);

  // No HTTP at all, with a secret in it.
  await new Promise<void>((resolve) => {
    const socket = connectSocket(httpPort, "127.0.0.1");
    socket.on("data", (chunk) => answers.push(chunk.toString()));
    socket.on("error", () => undefined);
    socket.on("close", () => resolve());
    socket.write(`GET / HTTP/1.1\r\nBad Header: ${CANARY.inHeader}\r\n\r\n`);
  });

  // Over MQTT.
  const tryMqtt = async (
    options: IClientOptions,
    then?: (client: mqtt.MqttClient) => Promise<void>,
  ) => {
    const client = mqtt.connect({
      ...{ host: "127.0.0.1", port: mqttPort, reconnectPeriod: 0 },
      ...options,
    });
    client.on("error", () => undefined);
    const isConnected = await new Promise<boolean>((resolve) => {
      client.once("connect", () => resolve(true));
      client.once("close", () => resolve(false));
    });
    if (isConnected) await then?.(client);
    await client.endAsync(true);
    return isConnected;
  };
  await tryMqtt({ clientId: "c1", username: "pump", password: CANARY.wrongPassword });
  await tryMqtt({ clientId: "c2", username: CANARY.tokenAsUser, password: CANARY.wrongPassword });
  await tryMqtt({ clientId: CANARY.tokenAsUser, username: "pump", password: CANARY.wrongPassword });
  const pump = { username: "pump", password: CANARY.newPassword };
  const wasLetIn = await tryMqtt({ ...pump, clientId: "c3" }, async (client) => {
    const at = async (topic: string, payload: string) =>
      client.publishAsync(topic, payload, { qos: 1 });
    await at("set/other/things/boiler/properties/target", CANARY.publishedValue);
    await at("set/site/things/boiler/properties/target", CANARY.publishedValue);
    await at("set/site/things/boiler/properties/target", `{"target":"${CANARY.inWrongType}"}`);
    await at("set/site/things/boiler", `{"properties": "${CANARY.inWrongType}"}`);
    await at(`set/site/things/${CANARY.inPath}/properties/p`, "1");
    await at("set/site/things/boiler/events/e", CANARY.tooLarge + "x".repeat(8_000));
  });
  t.ok(wasLetIn);
  const payload = Buffer.from(CANARY.willPayload);
  const will = {
    topic: "set/other/things/boiler/events/e",
    payload,
    qos: 1,
    retain: false,
  } as const;
  await tryMqtt({ ...pump, clientId: "c4", will });

  // What the gateway shows of all that.
  const shown: string[] = [];
  for (const path of [
    "/gateway",
    "/gateway/audit?limit=1000",
    "/gateway/refusals?limit=1000",
    "/gateway/tokens",
    "/gateway/uplinks",
    "/gateway/uplinks/plant",
    "/site/mqtt",
    `/site/mqtt/${ulid}/card?format=env`,
    "/site/things/boiler",
  ]) {
    shown.push(await send("GET", path));
  }
  t.match(shown[1], /access\.login/, "the audit log has seen it");
  t.match(shown[2], /wrong-password/, "so has the log of refusals");
  daemon.signal("SIGTERM");
  const { stdout, stderr } = await daemon.ended;
  t.match(stdout, /http\.request/, "everything was logged");
  const files = filesBelow(env.SLUICE_STORE__PATH).map(
    (path) => [path, readFileSync(path, "latin1")] as const,
  );
  t.ok(files.length > 3, "there are files");

  for (const [name, secret] of Object.entries(CANARY)) {
    const holders = [...answers, ...shown].filter((text) => text.includes(secret));
    t.same(holders, [], `${name} is in no answer`);
    t.notOk(stdout.includes(secret), `${name} is not in the log`);
    t.notOk(stderr.includes(secret), `${name} is not on standard error`);
    if (KEPT_ON_DISK.some((kept) => kept === name)) continue;
    const found = files.filter(([, text]) => text.includes(secret)).map(([path]) => path);
    t.same(found, [], `${name} is in no file of the store`);
  }
  t.equal(statSync(env.SLUICE_STORE__PATH).mode & 0o077, 0, "and its folder is the daemon's own");
});

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
