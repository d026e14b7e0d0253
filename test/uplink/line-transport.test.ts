import { once } from "node:events";
import { createServer, type AddressInfo, type Server } from "node:net";
import { test, type Test } from "tap";
import type { UpMessage } from "../../src/uplink/message.ts";
import { needs } from "../systemd/programs.ts";
import { startMosquitto, temporaryFolder } from "./brokers.ts";
import { Authority, type Pem } from "./certificates.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { connectLine, failureOf, lineSettings } from "./line-site.ts";
import { startHttpProxy, startSocksProxy, startWebSocketProxy } from "./proxies.ts";

// The ways to an upstream: TLS, WebSockets, proxies; and what is said where there is none.

const MOSQUITTO = needs("mosquitto");
const WITH_TLS = needs("mosquitto", "openssl");

const message = (topic: string, payload: string): UpMessage => ({
  topic,
  payload: Buffer.from(payload),
  retain: false,
});

function secureBroker(t: Test): {
  readonly authority: Authority;
  readonly client: Pem;
  readonly lines: (port: number) => readonly string[];
} {
  const authority = new Authority(temporaryFolder(t), "upstream");
  const server = authority.issue("server", ["DNS:broker.test", "IP:127.0.0.1"]);
  const lines = (port: number): readonly string[] => [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    `cafile ${authority.own.certFile}`,
    `certfile ${server.certFile}`,
    `keyfile ${server.keyFile}`,
  ];
  return { authority, client: authority.issue("gateway"), lines };
}

await test(
  "TLS: a certificate is believed for its issuer and its name only",
  WITH_TLS,
  async (t) => {
    const { authority, lines } = secureBroker(t);
    const stranger = new Authority(temporaryFolder(t), "stranger");
    const { port } = await startMosquitto(t, lines);
    const url = `mqtts://127.0.0.1:${port}`;
    const ca = authority.own.cert;
    for (const given of [{ ca }, { ca, servername: "broker.test" }, { ca, alpn: ["mqtt"] }]) {
      const { line } = await connectLine(t, lineSettings(url, given));
      await line.publish(message("a", "b"));
    }
    const wrong = [
      [{}, /certificate is not trusted: give it, or its issuer, as ca/],
      [{ ca: stranger.own.cert }, /certificate is not trusted/],
      [{ ca, servername: "other.test" }, /for another name/],
    ] as const;
    for (const [given, words] of wrong) {
      const failure = await failureOf(connectLine(t, lineSettings(url, given)));
      t.equal(failure.kind, "tls");
      t.match(failure.message, words);
    }
  },
);

await test("TLS: a broker that wants a client certificate gets ours", WITH_TLS, async (t) => {
  const { authority, client, lines } = secureBroker(t);
  const { port } = await startMosquitto(t, (port) => [...lines(port), "require_certificate true"]);
  const url = `mqtts://127.0.0.1:${port}`;
  const ca = authority.own.cert;
  const { cert, key } = client;
  const { line } = await connectLine(t, lineSettings(url, { ca, cert, key }));
  await line.publish(message("a", "b"));
  const failure = await failureOf(connectLine(t, lineSettings(url, { ca })));
  t.match(failure.message, /wants a client certificate|connection was (reset|closed)|closed the/);
});

await test("TLS: a port that speaks none is told so", MOSQUITTO, async (t) => {
  const { port } = await startMosquitto(t);
  const failure = await failureOf(connectLine(t, lineSettings(`mqtts://127.0.0.1:${port}`)));
  t.match(failure.message, /does not speak TLS|connection was reset|closed|TLS/);
});

for (const scheme of ["ws", "wss"] as const) {
  await test(`${scheme}: MQTT goes through WebSockets`, WITH_TLS, async (t) => {
    const { port: upstream } = await startMosquitto(t);
    const authority = new Authority(temporaryFolder(t), "upstream");
    const server = authority.issue("server", ["IP:127.0.0.1"]);
    const proxy = await startWebSocketProxy(t, upstream, scheme === "ws" ? undefined : server);
    const ca = scheme === "ws" ? {} : { ca: authority.own.cert };
    const url = `${scheme}://127.0.0.1:${proxy.port}`;
    const { line, next } = await connectLine(t, lineSettings(url, ca));
    await line.subscribe([{ filter: "a", qos: 1 }]);
    const payload = "x".repeat(200_000);
    await line.publish(message("a", payload));
    const came = await next("the message");
    came.acknowledge();
    t.equal(came.payload.toString(), payload);
    await connectLine(t, lineSettings(`${url}/own/path?key=1`, ca));
    t.same(proxy.asked, ["/mqtt", "/own/path?key=1"]);
  });
}

await test("ws, mqtt: a port that speaks neither is told so", MOSQUITTO, async (t) => {
  const { port } = await startMosquitto(t);
  const failure = await failureOf(connectLine(t, lineSettings(`ws://127.0.0.1:${port}`)));
  t.ok(["unreachable", "closed"].includes(failure.kind), failure.message);
  const http = await startHttpProxy(t);
  const other = await failureOf(connectLine(t, lineSettings(`ws://127.0.0.1:${http.port}`)));
  t.match(other, { kind: "unreachable", message: /takes no WebSockets there \(HTTP 404\)/ });
  const web = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.once("data", () => socket.end(`HTTP/1.1 400 Bad Request\r\n\r\n${"x".repeat(99)}`));
  });
  const at = `127.0.0.1:${await listen(t, web)}`;
  const plain = await failureOf(connectLine(t, lineSettings(`mqtt://${at}`)));
  t.match(plain, { kind: "protocol", message: `${at} does not answer as MQTT does` });
});

async function listen(t: Test, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

const HANG_UPS: readonly (readonly [url: string, proxy: string | undefined, words: RegExp])[] = [
  ["mqtt://", undefined, /without an answer to our CONNECT; if it wants TLS, .*mqtts; .*MQTT 5/],
  ["mqtts://", undefined, /: does it speak TLS on this port\?$/],
  ["ws://", undefined, /: does it take WebSockets there\?$/],
  ["mqtt://", "http://", /^the proxy: .*: is it an HTTP proxy\?$/],
  ["mqtt://", "socks5://", /^the proxy: it does not answer as a SOCKS proxy$/],
  ["mqtt://", "socks4://", /^the proxy: it does not answer as a SOCKS proxy$/],
];

for (const how of ["closes", "resets"] as const) {
  await test(`a port that ${how} at our first word: it is said what it may not be`, async (t) => {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => (how === "closes" ? socket.end() : socket.resetAndDestroy()));
    });
    const at = `127.0.0.1:${await listen(t, server)}`;
    for (const [url, proxy, words] of HANG_UPS) {
      const given = proxy === undefined ? {} : { proxy: proxy + at };
      const failure = await failureOf(connectLine(t, lineSettings(url + at, given)));
      t.match(failure.message, words);
    }
  });
}

await test("nobody there: it is said what was tried", async (t) => {
  const { port } = await startClosed(t);
  const failure = await failureOf(connectLine(t, lineSettings(`mqtt://127.0.0.1:${port}`)));
  t.equal(failure.kind, "unreachable");
  t.match(failure.message, `127.0.0.1:${port}: nothing listens there`);
  const six = await failureOf(connectLine(t, lineSettings(`mqtt://[::1]:${port}`)));
  t.match(six.message, `[::1]:${port}: `);
  const unknown = await failureOf(connectLine(t, lineSettings("mqtt://upstream.invalid")));
  t.equal(unknown.kind, "unreachable");
  t.match(unknown.message, /^upstream\.invalid:1883: the name/);
});

async function startClosed(t: Test): Promise<{ readonly port: number }> {
  const proxy = await FaultProxy.start(t, 1);
  await proxy.cut();
  return proxy;
}

await test("an HTTP proxy and a SOCKS proxy are passed, with TLS too", WITH_TLS, async (t) => {
  const { authority, lines } = secureBroker(t);
  const { port } = await startMosquitto(t, lines);
  const given = { ca: authority.own.cert };
  const target = `127.0.0.1:${port}`;
  const http = await startHttpProxy(t, "me:pass word");
  const socks = await startSocksProxy(t, "me:pass word");
  const open = await startSocksProxy(t);
  for (const [proxy, url] of [
    [http, `http://me:pass%20word@127.0.0.1:${http.port}`],
    [socks, `socks5://me:pass%20word@127.0.0.1:${socks.port}`],
    [open, `socks5://127.0.0.1:${open.port}`],
  ] as const) {
    const { line } = await connectLine(
      t,
      lineSettings(`mqtts://${target}`, { ...given, proxy: url }),
    );
    await line.publish(message("a", "b"));
    t.same(proxy.asked, [target]);
  }
  for (const url of [
    `http://127.0.0.1:${http.port}`,
    `http://me:wrong@127.0.0.1:${http.port}`,
    `socks5://me:wrong@127.0.0.1:${socks.port}`,
  ]) {
    const failure = await failureOf(
      connectLine(t, lineSettings(`mqtts://${target}`, { ...given, proxy: url })),
    );
    t.match(failure, { kind: "refused", message: /^the proxy: .*user name and password/ });
    t.notMatch(String(failure.stack), "wrong", "no password is told");
  }
  const nobody = await startClosed(t);
  const failure = await failureOf(
    connectLine(t, lineSettings("mqtt://a.test", { proxy: `http://127.0.0.1:${nobody.port}` })),
  );
  t.match(failure.message, /^the proxy 127.0.0.1:\d+: nothing listens there/);
});
