import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import mqtt, { type IClientOptions, type MqttClient } from "mqtt";
import { test, type Test } from "tap";
import type { RefusalCause } from "../../src/refusal-causes.ts";
import { Daemon, daemonEnvironment } from "../daemon.ts";

const TOKEN = "slu_refusals-through-the-real-ports";

type Refusal = {
  readonly cause: RefusalCause;
  readonly title: string;
  readonly remedy: string;
  readonly detail: string;
  readonly protocol: string;
  readonly client: string | null;
  readonly user: string | null;
  readonly topic: string | null;
  readonly count: number;
};

type Box = {
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly call: (method: string, path: string, json?: unknown, auth?: string) => Promise<Response>;
  readonly refusals: (query?: string) => Promise<readonly Refusal[]>;
  /** Ended with the test, whatever becomes of it. */
  readonly client: (options: IClientOptions) => MqttClient;
};

async function startBox(t: Test, env: NodeJS.ProcessEnv = {}): Promise<Box> {
  const daemon = new Daemon(t, [], {
    ...daemonEnvironment(t),
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
    ...env,
  });
  const { mqttPort, httpPort } = await daemon.ready;
  const call: Box["call"] = async (method, path, json, auth = `Bearer ${TOKEN}`) =>
    fetch(`http://127.0.0.1:${httpPort}${path}`, {
      method,
      headers: {
        ...(auth === "" ? {} : { authorization: auth }),
        "content-type": "application/json",
      },
      ...(json === undefined ? {} : { body: JSON.stringify(json) }),
    });
  await call("PUT", "/site/things/boiler", { properties: { target: { type: "number" } } });
  return {
    mqttPort,
    httpPort,
    call,
    refusals: async (query = "") => {
      const { data } = (await (await call("GET", `/gateway/refusals${query}`)).json()) as {
        readonly data: readonly Refusal[];
      };
      return data;
    },
    client: (options) => {
      const made = mqtt.connect({
        ...{ host: "127.0.0.1", port: mqttPort, reconnectPeriod: 0 },
        ...options,
      });
      made.on("error", () => undefined);
      t.teardown(() => made.end(true));
      return made;
    },
  };
}

async function makeCredential(box: Box, user: string, more: object = {}): Promise<string> {
  const resources = [{ entity: "things", id: ["boiler"] }];
  const reply = await box.call("POST", "/site/mqtt", {
    resources,
    user,
    password: `right-for-${user}`,
    ...more,
  });
  if (reply.status !== 201) throw new Error(await reply.text());
  return reply.headers.get("location") ?? "";
}

/** Tries to connect, and resolves when that has come to its end. */
async function tryConnect(box: Box, options: IClientOptions): Promise<MqttClient> {
  const client = box.client(options);
  await new Promise<void>((resolve) => {
    for (const event of ["connect", "close"] as const) client.once(event, () => resolve());
  });
  return client;
}

/** Resolves when the gateway has hung up, however it did so. */
async function closed(socket: Socket): Promise<void> {
  socket.on("error", () => undefined);
  socket.resume();
  await new Promise<void>((resolve) => void socket.once("close", () => resolve()));
}

const as = (user: string, clientId: string): IClientOptions => ({
  username: user,
  password: `right-for-${user}`,
  clientId,
});

await test("a CONNECT that is refused is told of with its cause, and the client is not", async (t) => {
  const box = await startBox(t);
  await makeCredential(box, "pump");
  await makeCredential(box, "bound", { client_id: "only-this" });
  await makeCredential(box, "off", { enabled: false });
  const soon = new Date(Date.now() + 1_000).toISOString();
  await makeCredential(box, "over", { expires_at: soon });
  const owner = await tryConnect(box, { ...as("pump", "pump-1"), clean: false });
  await makeCredential(box, "other");
  while (Date.now() < Date.parse(soon)) await new Promise((resolve) => setTimeout(resolve, 50));

  const will = { topic: "set/site/things/other/properties/p", payload: Buffer.alloc(0) };
  const cases: readonly (readonly [string, RefusalCause, IClientOptions])[] = [
    ["c1", "wrong-password", { ...as("pump", "c1"), password: "wrong" }],
    ["c2", "unknown-user", as("nobody", "c2")],
    ["c3", "no-credentials", { clientId: "c3" }],
    ["c4", "disabled-credential", as("off", "c4")],
    ["c5", "expired-credential", as("over", "c5")],
    ["c6", "wrong-client-id", as("bound", "c6")],
    ["pump-1", "in-use-elsewhere", as("other", "pump-1")],
    ["c7", "not-its-topic", { ...as("pump", "c7"), will: { ...will, qos: 0, retain: false } }],
  ];
  for (const [clientId, cause, options] of cases) {
    await tryConnect(box, options);
    const [found, ...more] = await box.refusals(`?client=${clientId}`);
    t.match(
      found,
      { cause, client: clientId, protocol: "mqtt", count: 1 },
      `${clientId}: ${cause}`,
    );
    t.ok(found?.title !== "" && found?.remedy !== "", "with what it means and what to do");
    t.equal(more.length, 0);
  }
  await tryConnect(box, { ...as("pump", "c1"), password: "wrong" });
  t.match(await box.refusals("?client=c1"), [{ count: 2 }], "again is one more, not another row");
  t.match(await box.refusals("?user=bound"), [{ cause: "wrong-client-id" }]);
  t.ok(owner.connected, "nobody else is disturbed");
});

await test("another version of MQTT, another protocol and TLS are told apart", async (t) => {
  const box = await startBox(t);
  await tryConnect(box, { ...as("pump", "five"), protocolVersion: 5 });
  t.match((await box.refusals())[0], { cause: "bad-protocol", detail: /version of MQTT/ });
  const http = connect(box.mqttPort, "127.0.0.1");
  http.write("GET / HTTP/1.1\r\n\r\n");
  await closed(http);
  t.match((await box.refusals())[0], { cause: "bad-protocol", protocol: "mqtt" });
  for (const [port, protocol] of [
    [box.mqttPort, "mqtt"],
    [box.httpPort, "http"],
  ] as const) {
    const secure = connectTls({ port, host: "127.0.0.1" });
    await closed(secure);
    t.match((await box.refusals())[0], { cause: "tls-on-plain-port", protocol });
  }
  const noise = connect(box.httpPort, "127.0.0.1");
  noise.write("\0\0\0\0\r\n\r\n");
  await closed(noise);
  t.match((await box.refusals())[0], { cause: "bad-protocol", protocol: "http" });
});

await test("what a client may not publish and subscribe to is told with the topic", async (t) => {
  const box = await startBox(t, {
    SLUICE_LIMITS__PACKET_BYTES: "2048",
    SLUICE_LIMITS__SUBSCRIPTIONS_PER_SESSION: "1",
  });
  await makeCredential(box, "pump");
  const client = await tryConnect(box, as("pump", "pump-1"));
  const publish = async (topic: string, payload: string): Promise<unknown> =>
    client.publishAsync(topic, payload, { qos: 1 });
  await publish("set/site/things/other/properties/target", "{}");
  await publish("set/site/things/boiler/properties/target", "no json");
  await publish("set/site/things/boiler/properties/target", "x".repeat(4096));
  const subscribe = async (filter: string): Promise<unknown> =>
    client.subscribeAsync(filter).catch(() => undefined);
  await subscribe("status/site/things/other/#");
  await subscribe("status/site/things/boiler/#");
  await subscribe("status/site/things/boiler/errors");
  const found = await box.refusals("?client=pump-1");
  t.same(
    found.map(({ cause, topic, user }) => [cause, topic, user]),
    [
      ["limits", "status/site/things/boiler/errors", "pump"],
      ["not-its-topic", "status/site/things/other/#", "pump"],
      ["limits", "set/site/things/boiler/properties/target", "pump"],
      ["bad-message", "set/site/things/boiler/properties/target", "pump"],
      ["not-its-topic", "set/site/things/other/properties/target", "pump"],
    ],
  );
});

await test("over HTTP, who is not let in is told of, and with which user", async (t) => {
  const box = await startBox(t);
  await makeCredential(box, "pump");
  const basic = (user: string, password: string): string =>
    `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
  const cases: readonly (readonly [RefusalCause, string | null, string])[] = [
    ["no-credentials", null, ""],
    ["unknown-token", null, "Bearer slu_0000000000000000000000"],
    ["unknown-user", "nobody", basic("nobody", "x")],
    ["wrong-password", "pump", basic("pump", "x")],
    ["not-its-right", null, basic("pump", "right-for-pump")],
  ];
  for (const [cause, user, auth] of cases) {
    await box.call("DELETE", "/site/things/boiler", undefined, auth);
    t.match((await box.refusals())[0], { cause, user, protocol: "http" }, cause);
    t.equal((await box.refusals())[0]?.topic, "/site/things/boiler");
  }
});

await test("too many connections, and too many failed log-ins, are limits that are named", async (t) => {
  const box = await startBox(t, {
    SLUICE_LIMITS__CONNECTIONS_PER_ADDRESS: "1",
    SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "1",
  });
  await tryConnect(box, as("nobody", "c1"));
  await tryConnect(box, as("nobody", "c2"));
  t.match(await box.refusals("?client=c2"), [{ cause: "too-many-failures", user: "nobody" }]);
  const held = connect(box.mqttPort, "127.0.0.1");
  await once(held, "connect");
  const second = connect(box.mqttPort, "127.0.0.1");
  await closed(second);
  held.destroy();
  t.match((await box.refusals())[0], {
    cause: "limits",
    detail: "limits.connections_per_address is reached",
  });
});
