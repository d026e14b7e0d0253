import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import mqtt from "mqtt";
import { test } from "tap";
import { WebSocket } from "ws";
import { openTlsSite, run } from "./site.ts";

await test("curl, openssl and mosquitto believe the ports by the CA they fetched, and without it they do not", async (t) => {
  const { httpsPort, mqttsPort, ca, status, makeCredential } = await openTlsSite(t);
  const url = `https://localhost:${httpsPort}/healthz`;
  t.match(await run(t, "curl", ["-sS", "--cacert", ca, url]), { code: 0, output: "ok" });
  t.equal((await run(t, "curl", ["-sS", url])).code, 60, "no chain");
  for (const version of ["-tls1_2", "-tls1_3"]) {
    for (const port of [httpsPort, mqttsPort]) {
      const args = ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", ca, version];
      const checks = ["-verify_return_error", "-verify_ip", "127.0.0.1", "-brief"];
      t.match(await run(t, "openssl", [...args, ...checks]), {
        code: 0,
        output: "Verification: OK",
      });
    }
  }
  const old = ["s_client", "-connect", `127.0.0.1:${mqttsPort}`, "-tls1_1", "-cipher"];
  t.not((await run(t, "openssl", [...old, "ALL:@SECLEVEL=0"])).code, 0, "TLS 1.1 is not spoken");

  const { username, password } = await makeCredential("device");
  const at = ["-h", "localhost", "-p", String(mqttsPort), "-u", username, "-P", password];
  const topic = "set/site/things/boiler";
  const description = JSON.stringify({ properties: { mode: { type: "string" } } });
  const publish = ["-q", "1", "-t", topic, "-m", description];
  t.equal((await run(t, "mosquitto_pub", [...at, "--cafile", ca, ...publish])).code, 0);
  const value = ["-q", "1", "-t", `${topic}/properties/mode`, "-m", '{"mode":"on"}'];
  t.equal((await run(t, "mosquitto_pub", [...at, "--cafile", ca, ...value])).code, 0);
  const other = "/etc/ssl/certs/ca-certificates.crt";
  t.not((await run(t, "mosquitto_pub", [...at, "--cafile", other, ...publish])).code, 0);
  const subscribe = [
    "-q",
    "1",
    "-C",
    "1",
    "-W",
    "20",
    "-t",
    "status/site/things/boiler/properties/mode",
  ];
  t.match(await run(t, "mosquitto_sub", [...at, "--cafile", ca, ...subscribe]), {
    code: 0,
    output: '{"mode":"on"}',
  });
  const { tls } = await status();
  t.match(tls.handshakes_refused, { "unknown-ca": 2, "tls-version": 1 });
});

await test("who speaks without TLS on a TLS port, hangs up in the handshake or says nothing harms nobody", async (t) => {
  const { httpsPort, mqttsPort, ca, status } = await openTlsSite(t);
  const connected = Buffer.from("101000044d5154540402003c0004746573740000", "hex");
  for (const [port, bytes] of [
    [mqttsPort, connected],
    [httpsPort, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"],
    [httpsPort, "PATCH / HTTP/1.1\r\nHost: x\r\n\r\n"],
  ] as const) {
    const socket = connect(port, "127.0.0.1").on("error", () => undefined);
    socket.write(bytes);
    socket.resume();
    await once(socket, "close");
  }
  const scan = connect(mqttsPort, "127.0.0.1");
  await once(scan, "connect");
  scan.destroy();
  const url = `https://localhost:${httpsPort}/healthz`;
  t.equal((await run(t, "curl", ["-sS", "--cacert", ca, url])).code, 0);
  t.same((await status()).tls.handshakes_refused, { "plain-on-tls-port": 3 });
});

await test("who does not finish his handshakes has as many places as anybody, and takes none from others", async (t) => {
  const { httpsPort, mqttsPort } = await openTlsSite(t, {
    SLUICE_LIMITS__CONNECTIONS_PER_ADDRESS: "3",
  });
  for (const port of [httpsPort, mqttsPort]) {
    const from = { port, host: "127.0.0.1", localAddress: "127.0.0.5" };
    const sockets = Array.from({ length: 4 }, () => connect(from).on("error", () => undefined));
    const closed = sockets.map(async (socket, n) => once(socket, "close").then(() => n));
    t.type(await Promise.race(closed), "number", "one too many is closed");
    t.equal(sockets.filter(({ closed: isClosed }) => isClosed).length, 1);
    sockets.forEach((socket) => socket.destroy());
    await Promise.all(closed);
  }
  const url = `https://localhost:${httpsPort}/healthz`;
  for (let n = 0; n < 5; n += 1) {
    const asked = await run(t, "curl", ["-sSk", "--interface", "127.0.0.5", url]);
    t.equal(asked.code, 0, "a handshake that is done gives its place back");
  }
});

await test("MQTT.js over wss publishes and hears, packets larger than a frame of the engine included", async (t) => {
  const { httpsPort, ca, makeCredential } = await openTlsSite(t);
  const login = await makeCredential("panel");
  const client = await mqtt.connectAsync(`wss://localhost:${httpsPort}/mqtt`, {
    ...login,
    ca: readFileSync(ca),
    reconnectPeriod: 0,
  });
  const topic = "things/big/properties/text";
  const description = { properties: { text: { type: "string" } } };
  await client.publishAsync("set/site/things/big", JSON.stringify(description), { qos: 1 });
  await client.subscribeAsync(`status/site/${topic}`, { qos: 1 });
  const heard = new Promise<Buffer>((resolve) =>
    client.once("message", (_, bytes) => resolve(bytes)),
  );
  const value = JSON.stringify({ text: "x".repeat(60_000) });
  await client.publishAsync(`set/site/${topic}`, value, { qos: 1 });
  t.equal((await heard).toString(), value);
  await client.endAsync();
});

await test("a WebSocket without the sub-protocol, with text, or of another origin is refused", async (t) => {
  const { httpsPort, httpPort, ca } = await openTlsSite(t);
  const options = { ca: readFileSync(ca) };
  const url = `wss://localhost:${httpsPort}/mqtt`;
  const statusOf = async (socket: WebSocket): Promise<number | undefined> => {
    socket.on("error", () => undefined);
    const [, response] = (await once(socket, "unexpected-response")) as [
      unknown,
      { statusCode: number },
    ];
    return response.statusCode;
  };
  t.equal(await statusOf(new WebSocket(url, options)), 400);
  t.equal(await statusOf(new WebSocket(url, "chat", options)), 400);
  const foreign = { ...options, origin: "https://evil.example" };
  t.equal(await statusOf(new WebSocket(url, "mqtt", foreign)), 403);
  const rebound = { ...options, headers: { host: "evil.example", origin: "https://evil.example" } };
  t.equal(await statusOf(new WebSocket(url, "mqtt", rebound)), 421);
  t.equal(await statusOf(new WebSocket(`ws://localhost:${httpPort}/other`, "mqtt")), 401);
  const own = { ...options, origin: `https://localhost:${httpsPort}` };
  const text = new WebSocket(url, ["other", "mqtt"], own);
  await once(text, "open");
  t.equal(text.protocol, "mqtt");
  text.send("hello");
  t.equal(((await once(text, "close")) as [number])[0], 1003);
});

await test("who is refused and resets the connection, or does not hang up, harms nobody", async (t) => {
  const { httpPort, ca, httpsPort } = await openTlsSite(t);
  const upgrade = (more: string): string =>
    "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
  const said = [upgrade(""), upgrade("Origin: https://evil.example\r\n"), "nonsense\r\n\r\n"];
  for (const request of said) {
    for (const isReset of [true, false]) {
      const at = { port: httpPort, host: "127.0.0.1", allowHalfOpen: true };
      const socket = connect(at).on("error", () => undefined);
      socket.write(request);
      await once(socket, "data");
      await once(socket.resume(), "end");
      if (isReset) socket.resetAndDestroy();
      else {
        // Of a connection that is closed on the other side a byte is answered with a reset.
        const writing = setInterval(() => socket.write("x"), 100);
        await new Promise((resolve) => socket.once("close", resolve));
        clearInterval(writing);
      }
    }
  }
  const url = `https://localhost:${httpsPort}/healthz`;
  t.equal((await run(t, "curl", ["-sS", "--cacert", ca, url])).code, 0);
});

await test("a packet may stand in several WebSocket messages, and several in one", async (t) => {
  const { httpPort, makeCredential } = await openTlsSite(t);
  const { username, password } = await makeCredential("bytes");
  const socket = new WebSocket(`ws://127.0.0.1:${httpPort}/mqtt`, "mqtt");
  await once(socket, "open");
  const field = (given: string): Buffer => {
    const bytes = Buffer.from(given);
    return Buffer.concat([Buffer.of(0, bytes.length), bytes]);
  };
  const body = Buffer.concat([
    Buffer.from("00044d51545404c2003c", "hex"),
    ...[field("split"), field(username), field(password)],
  ]);
  const connectPacket = Buffer.concat([Buffer.of(0x10, body.length), body]);
  const answered: Buffer[] = [];
  socket.on("message", (chunk: Buffer) => answered.push(chunk));
  socket.send(connectPacket.subarray(0, 5));
  socket.send(Buffer.alloc(0));
  socket.send(connectPacket.subarray(5));
  await once(socket, "message");
  socket.send(Buffer.from("c000c000", "hex"));
  while (Buffer.concat(answered).length < 8) await once(socket, "message");
  t.equal(Buffer.concat(answered).toString("hex"), "20020000d000d000");
  socket.send(Buffer.from("e000", "hex"));
  await once(socket, "close");
});

await test("an upgrade to anything else is passed over, and the connection goes on", async (t) => {
  const { httpPort } = await openTlsSite(t);
  const asked = ["-sS", "--http2", `http://127.0.0.1:${httpPort}/healthz`];
  const twice = await run(t, "curl", [...asked, `http://127.0.0.1:${httpPort}/readyz`]);
  t.match(twice, { code: 0, output: /"ok".*"ready"/s });
});

await test("a stop ends handshakes and WebSockets under way, at once", async (t) => {
  const { httpsPort, mqttsPort, httpPort, daemon } = await openTlsSite(t);
  const idle = [httpsPort, mqttsPort].map((port) => connect(port, "127.0.0.1"));
  await Promise.all(idle.map(async (socket) => once(socket, "connect")));
  const socket = new WebSocket(`ws://127.0.0.1:${httpPort}/mqtt`, "mqtt");
  await once(socket, "open");
  const stoppedMs = performance.now();
  daemon.signal("SIGTERM");
  t.equal((await daemon.ended).code, 0);
  t.ok(performance.now() - stoppedMs < 3_000, "it waits for none of them");
});
