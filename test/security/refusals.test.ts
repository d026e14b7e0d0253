import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { IClientOptions } from "mqtt";
import { test, type Test } from "tap";
import { REFUSAL_CAUSES, type RefusalCause } from "../../src/refusal-causes.ts";
import { daemonEnvironment } from "../daemon.ts";
import { folderOf, foreignPair } from "../tls/kit.ts";
import { run } from "../tls/site.ts";
import {
  closed,
  fetchCa,
  makeCertificate,
  makeCredential,
  seenCauses,
  serveBox,
  startBox,
  TOKEN,
  told,
  tryConnect,
  WITH_TLS,
} from "./box.ts";

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
    const query = `?client=${clientId}`;
    await told(t, box, { cause, client: clientId, protocol: "mqtt", count: 1 }, query);
    t.equal((await box.refusals(query)).length, 1);
  }
  await tryConnect(box, { ...as("pump", "c1"), password: "wrong" });
  t.match(await box.refusals("?client=c1"), [{ count: 2 }], "again is one more, not another row");
  t.match(await box.refusals("?user=bound"), [{ cause: "wrong-client-id" }]);
  t.ok(owner.connected, "nobody else is disturbed");
});

await test("another version of MQTT, another protocol and TLS are told apart", async (t) => {
  const box = await startBox(t);
  await tryConnect(box, { ...as("pump", "five"), protocolVersion: 5 });
  await told(t, box, { cause: "bad-protocol", detail: /version of MQTT/ });
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
    await told(t, box, { cause: "tls-on-plain-port", protocol });
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
  await told(t, box, { cause: "limits" }, "?client=pump-1");
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
  for (const { cause } of found) seenCauses.add(cause);
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
    await told(t, box, { cause, user, protocol: "http" });
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
  await told(t, box, { cause: "too-many-failures", user: "nobody" }, "?client=c2");
  const held = connect(box.mqttPort, "127.0.0.1");
  await once(held, "connect");
  const second = connect(box.mqttPort, "127.0.0.1");
  await closed(second);
  held.destroy();
  await told(t, box, { cause: "limits", detail: "limits.connections_per_address is reached" });
});

await test("a client of a box that is nobody's is told of to who claims it then", async (t) => {
  const password = "kettle orbit 41";
  const env = { ...daemonEnvironment(t), SLUICE_HTTP__HOST: "0.0.0.0" };
  const basic = `Basic ${Buffer.from(`admin:${password}`).toString("base64")}`;
  const box = await serveBox(t, env, basic);
  await tryConnect(box, as("pump", "early"));
  t.equal((await box.call("GET", "/site/things")).status, 403);
  t.equal((await box.call("GET", "/gateway/refusals")).status, 403, "and to nobody before");
  const code = await box.daemon.printed(/^claim code: (\S+)$/m);
  t.equal((await box.call("POST", "/gateway/claim", { code, password }, "")).status, 201);
  await told(t, box, { cause: "unclaimed", protocol: "mqtt", user: "pump" }, "?client=early");
  await told(t, box, { cause: "unclaimed", protocol: "http", topic: "/gateway/refusals" });
});

await test("why a handshake of TLS failed is told by the address, on both ports", async (t) => {
  const box = await startBox(t, WITH_TLS);
  const ca = await fetchCa(t, box);
  const { cert: foreign } = foreignPair(folderOf(t), "elsewhere");
  for (const [protocol, port] of [
    ["MQTT", box.mqttsPort],
    ["HTTPS", box.httpsPort],
  ] as const) {
    const tell = async (cause: RefusalCause, detail: RegExp, count: number): Promise<void> => {
      const seen = protocol === "MQTT" ? count : undefined;
      await told(t, box, {
        ...{ cause, detail, protocol: "tls", client: null },
        ...(seen === undefined ? {} : { count: seen }),
      });
    };
    const secure = async (...args: readonly string[]): Promise<void> => {
      const at = ["s_client", "-connect", `localhost:${port}`, "-brief", ...args];
      t.not((await run(t, "openssl", at)).code, 0, `${protocol} ${args.join(" ")}`);
    };
    await secure("-tls1_1", "-cipher", "ALL:@SECLEVEL=0");
    await tell("tls-version", /no version of TLS/, 1);
    await secure("-CAfile", foreign, "-verify_return_error");
    await tell("unknown-ca", /does not know the CA/, 1);
    const in2040 = String(Date.UTC(2040, 0) / 1_000);
    await secure("-CAfile", ca, "-verify_return_error", "-attime", in2040);
    await tell("expired-certificate", /to its clock/, 1);
    await secure("-tls1_2", "-cipher", "AES128-SHA256");
    await tell("tls-handshake", /cipher suite/, 1);
    const plain = connect(port, "127.0.0.1");
    plain.write(
      protocol === "MQTT" ? Buffer.from("100c00044d5154540402003c0000", "hex") : "GET / ",
    );
    await closed(plain);
    await tell("plain-on-tls-port", /not TLS/, 1);
  }
  const { code } = await run(t, "mosquitto_pub", [
    ...["-h", "localhost", "-p", String(box.mqttsPort), "--cafile", foreign, "-t", "a", "-m", "b"],
  ]);
  t.not(code, 0);
  await told(t, box, { cause: "unknown-ca", protocol: "tls" });
});

/** The first bytes of a handshake of TLS 1.2, in which an alert is not encrypted yet. */
async function clientHello(t: Test): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  t.teardown(() => server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const client = connectTls({ port, host: "127.0.0.1", maxVersion: "TLSv1.2" });
  client.on("error", () => undefined);
  const [socket] = (await once(server, "connection")) as [Socket];
  const [bytes] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  return bytes;
}

await test("what a client's library says by an alert is told in words", async (t) => {
  const box = await startBox(t, WITH_TLS);
  const hello = await clientHello(t);
  for (const [alert, cause, detail] of [
    // RFC 8446 §6.2: bad_certificate, certificate_revoked, _expired, _unknown, unknown_ca, and so on.
    [42, "unknown-ca", /its name, or its CA/],
    [44, "revoked-certificate", /was revoked/],
    [45, "expired-certificate", /has ended/],
    [46, "unknown-ca", /does not say why/],
    [48, "unknown-ca", /does not know the CA/],
    [70, "tls-version", /no version of TLS/],
    [80, "tls-handshake", /ERR_SSL/],
  ] as const) {
    const socket = connect(box.mqttsPort, "127.0.0.1");
    socket.write(hello);
    await once(socket, "data");
    socket.write(Buffer.of(21, 3, 3, 0, 2, 2, alert));
    await closed(socket);
    await told(t, box, { cause, detail, protocol: "tls" });
  }
  const half = connect(box.httpsPort, "127.0.0.1");
  half.end(hello.subarray(0, 20));
  await closed(half);
  await told(t, box, { cause: "tls-handshake", detail: /hung up/ });
});

await test("a client certificate that is not good is told of with what is wrong with it", async (t) => {
  const env = { ...daemonEnvironment(t), ...WITH_TLS, SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN };
  const box = await startBox(t, env);
  const ca = await fetchCa(t, box);
  const path = await makeCredential(box, "pump");
  const good = await makeCertificate(t, box, path);
  const other = foreignPair(folderOf(t), "pump", { use: "clientAuth" });
  type Files = typeof other;
  const publish = async (at: typeof box, { cert, key }: Files, ...more: readonly string[]) =>
    run(t, "mosquitto_pub", [
      ...["-h", "localhost", "-p", String(at.mqttsPort), "--cafile", ca, "--cert", cert],
      ...["--key", key, "-q", "1", "-t", "set/site/things/boiler/properties/target", ...more],
      ...["-m", '{"target":1}'],
    ]);
  const get = async (at: typeof box, { cert, key }: Files) =>
    run(t, "curl", [
      ...["-sS", "--cacert", ca, "--cert", cert, "--key", key],
      `https://localhost:${at.httpsPort}/site/things/boiler/properties`,
    ]);
  t.equal((await publish(box, good.files, "-i", "c0")).code, 0, "a good one logs in");
  await publish(box, other, "-i", "c1");
  await told(t, box, { cause: "unknown-certificate", protocol: "mqtts" }, "?client=c1");
  await get(box, other);
  await told(t, box, { cause: "unknown-certificate", protocol: "https" });
  await publish(box, good.files, "-i", "c2", "-u", "other");
  await told(t, box, { cause: "other-user", user: "other" }, "?client=c2");
  t.equal((await box.call("DELETE", good.path)).status, 204);
  await publish(box, good.files, "-i", "c3");
  await told(t, box, { cause: "revoked-certificate", protocol: "mqtts" }, "?client=c3");
  await get(box, good.files);
  await told(t, box, { cause: "revoked-certificate", protocol: "https" });
});

await test("every cause there is has come about here, and was told", (t) => {
  t.same([...seenCauses].sort(), Object.keys(REFUSAL_CAUSES).sort());
  t.end();
});
