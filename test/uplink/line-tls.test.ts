import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server } from "node:net";
import { createSecureContext, createServer as createTlsServer, type TlsOptions } from "node:tls";
import { generate, parser } from "mqtt-packet";
import { test, type Test } from "tap";
import { needs } from "../systemd/programs.ts";
import { temporaryFolder } from "./brokers.ts";
import { Authority, type Pem } from "./certificates.ts";
import { connectLine, failureOf, lineSettings } from "./line-site.ts";

// What is asked for in a TLS handshake, as the server sees it; and what is said when it wants another.

const WITH_TLS = needs("openssl");

async function listen(t: Test, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  return (server.address() as AddressInfo).port;
}

/** A server that takes every CONNECT, and notes the name and the protocol of each handshake. */
async function startTls(t: Test, options: TlsOptions) {
  const asked: (readonly [name: unknown, protocol: unknown])[] = [];
  const server = createTlsServer(options, (socket) => {
    asked.push([socket.servername, socket.alpnProtocol]);
    socket.on("error", () => undefined);
    const read = parser({ protocolVersion: 5 });
    const connack = { cmd: "connack", sessionPresent: false, reasonCode: 0 } as const;
    read.on("packet", ({ cmd }) => {
      if (cmd === "connect") socket.write(generate(connack, { protocolVersion: 5 }));
      else socket.end();
    });
    socket.on("data", (bytes: Buffer) => read.parse(bytes));
  });
  return { asked, port: await listen(t, server) };
}

/** Two certificates of one authority: for this machine, and for `broker.test`. */
function certificates(t: Test): { readonly ca: string; readonly here: Pem; readonly named: Pem } {
  const authority = new Authority(temporaryFolder(t), "upstream");
  const here = authority.issue("here", ["DNS:localhost", "IP:127.0.0.1"]);
  return { ca: authority.own.cert, here, named: authority.issue("named", ["DNS:broker.test"]) };
}

await test(
  "SNI: the name asked for is servername, else the host of the url",
  WITH_TLS,
  async (t) => {
    const { ca, here, named } = certificates(t);
    const { asked, port } = await startTls(t, {
      ...{ cert: here.cert, key: here.key },
      SNICallback: (name, choose) =>
        choose(null, createSecureContext(name === "broker.test" ? named : here)),
    });
    const at = async (host: string, given: object): Promise<void> => {
      await connectLine(t, lineSettings(`mqtts://${host}:${port}`, { ca, ...given }));
    };
    await at("localhost", {});
    await at("127.0.0.1", { servername: "broker.test" });
    // RFC 6066 §3: an address is no name.
    await at("127.0.0.1", {});
    t.same(
      asked.map(([name]) => name),
      ["localhost", "broker.test", false],
    );
    const url = `mqtts://127.0.0.1:${port}`;
    const failure = await failureOf(
      connectLine(t, lineSettings(url, { ca, servername: "other.test" })),
    );
    t.match(failure, { kind: "tls", message: /for another name: .*servername/ });
  },
);

await test("ALPN: the server chooses among what is offered, or has none", WITH_TLS, async (t) => {
  const { ca, here } = certificates(t);
  const { cert, key } = here;
  const alpn = ["x-amzn-mqtt-ca", "mqtt"];
  const knowing = await startTls(t, { cert, key, ALPNProtocols: ["http/1.1", "mqtt"] });
  const offered = lineSettings(`mqtts://127.0.0.1:${knowing.port}`, { ca, alpn });
  await connectLine(t, offered);
  // RFC 7301 §3.1: one that knows nothing of it leaves it out, and is an upstream like others.
  const simple = await startTls(t, { cert, key });
  await connectLine(t, lineSettings(`mqtts://127.0.0.1:${simple.port}`, { ca, alpn }));
  t.same(
    [...knowing.asked, ...simple.asked],
    [
      [false, "mqtt"],
      [false, false],
    ],
  );
  const none = lineSettings(`mqtts://127.0.0.1:${knowing.port}`, { ca, alpn: ["x-amzn-mqtt-ca"] });
  t.match(await failureOf(connectLine(t, none)), {
    kind: "tls",
    message: /^127\.0\.0\.1:\d+: it does not speak the protocol given as alpn$/,
  });
});

await test(
  "ALPN: a server that chooses what nobody offered is not believed",
  WITH_TLS,
  async (t) => {
    const { ca, here } = certificates(t);
    // Up to TLS 1.2 the choice is sent in the clear.
    const { cert, key } = here;
    const honest = await startTls(t, { cert, key, maxVersion: "TLSv1.2", ALPNProtocols: ["mqtt"] });
    const port = await startChanging(t, honest.port, "\x04mqtt", "\x04http");
    const failure = await failureOf(
      connectLine(t, lineSettings(`mqtts://127.0.0.1:${port}`, { ca, alpn: ["mqtt"] })),
    );
    t.match(failure, { kind: "tls", message: /chose a protocol that alpn does not offer$/ });
  },
);

/** Passes everything on, with another text in what comes back. */
async function startChanging(t: Test, to: number, from: string, into: string): Promise<number> {
  const relay = createServer((near) => {
    const far = connect(to, "127.0.0.1");
    for (const socket of [near, far]) socket.on("error", () => undefined);
    near.pipe(far);
    far.on("data", (bytes) => {
      near.write(Buffer.from(bytes.toString("latin1").replace(from, into), "latin1"));
    });
    near.on("close", () => far.destroy());
    far.on("close", () => near.destroy());
  });
  return listen(t, relay);
}

/** `alert`: RFC 8446 §6, in place of a handshake. */
const REFUSALS: readonly (readonly [what: string, alert: number, words: RegExp])[] = [
  ["a protocol that it does not speak", 120, /does not speak the protocol given as alpn$/],
  ["a name that it does not know", 112, /does not know the name .*\(SNI\).*servername$/],
  ["a version that is too new for it", 70, /neither TLS 1\.2 nor a newer version$/],
  ["nothing in common", 40, /nothing in common, .*cert and key$/],
  ["a certificate that is missing", 116, /wants a client certificate: give cert and key$/],
  ["a certificate that it does not know", 48, /does not take our client certificate$/],
];

await test("a handshake that is refused is told in plain words", async (t) => {
  for (const [what, alert, words] of REFUSALS) {
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, alert])));
    });
    const url = `mqtts://127.0.0.1:${await listen(t, server)}`;
    const failure = await failureOf(connectLine(t, lineSettings(url)));
    t.match(failure, { kind: "tls", message: words }, what);
  }
});
