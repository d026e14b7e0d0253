import { execFileSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { request as requestPlain, type IncomingMessage } from "node:http";
import { request as requestSecure } from "node:https";
import { connect as connectTls } from "node:tls";
import { test, type Test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { makeRoutes } from "../../src/http/routes.ts";
import { connack, connect } from "../conformance/wire.ts";
import { daemonEnvironment } from "../daemon.ts";
import { folderOf, foreignPair } from "../tls/kit.ts";
import { run, type TlsStatus } from "../tls/site.ts";
import { serveBox, TOKEN, WITH_TLS, type Box } from "./box.ts";

const ROUTES = makeRoutes(new AddressRate(0, { monotonicMs: () => 0 }));
const SKIP = { skip: existsSync("/proc/net/tcp") ? false : "looks into /proc" };
/** As many requests as there are, from one address and without a pause. */
const ON_THE_NETWORK = {
  ...WITH_TLS,
  SLUICE_MQTT__HOST: "0.0.0.0",
  SLUICE_HTTP__HOST: "0.0.0.0",
  SLUICE_TLS__HOST: "0.0.0.0",
  SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "0",
} as const;

/** Paths that other gateways have, and this one may have some day. */
const ELSEWHERE = [
  "/",
  "/metrics",
  "/docs",
  "/ui",
  "/spaces",
  "/debug/pprof",
  "/%2e%2e/etc/passwd",
];

/** What a port says to a stranger, in a few words. */
type Speech = "http" | "mqtt" | "webSocket" | "garbage";

const WEB_SOCKET =
  "GET /mqtt HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
  "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" +
  "Sec-WebSocket-Protocol: mqtt\r\n\r\n";
const CONNECT = connect({ id: "stranger" });
const SPEECHES: Readonly<Record<Speech, Buffer>> = {
  http: Buffer.from("GET /site/things HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"),
  mqtt: CONNECT,
  // A frame with a mask of zeros, RFC 6455 §5.2.
  webSocket: Buffer.concat([
    Buffer.from(WEB_SOCKET),
    Buffer.of(0x82, 0x80 | CONNECT.length, 0, 0, 0, 0),
    CONNECT,
  ]),
  garbage: Buffer.from("\0\0\xff\xffsluice\r\n\r\n", "latin1"),
};

/** Everything that is said until the other end closes; `undefined`: there is no TLS. */
async function saidTo(
  t: Test,
  port: number,
  bytes: Buffer,
  isSecure: boolean,
): Promise<Buffer | undefined> {
  const host = "127.0.0.1";
  const socket: Socket = isSecure
    ? connectTls({ port, host, rejectUnauthorized: false })
    : connectTcp({ port, host });
  t.teardown(() => socket.destroy());
  const heard: Buffer[] = [];
  let isOpen = !isSecure;
  socket.once("secureConnect", () => (isOpen = true));
  socket.on("data", (chunk: Buffer) => heard.push(chunk));
  socket.on("error", () => undefined);
  socket.write(bytes);
  await new Promise<void>((resolve) => void socket.once("close", () => resolve()));
  return isOpen ? Buffer.concat(heard) : undefined;
}

const REFUSED = connack(false, 5);

function inWords(said: Buffer | undefined): string {
  if (said === undefined) return "no TLS";
  const text = said.toString("latin1");
  if (text === "") return "nothing";
  // RFC 8446 §6: its record has a type, two bytes of a version, and a length of two.
  if (said[0] === 21 && said.length === 7) return "an alert";
  if (said.equals(REFUSED)) return "CONNACK 5";
  const [, status] = /^HTTP\/1\.1 (\d+) /.exec(text) ?? [];
  const inFrame = Buffer.concat([Buffer.of(0x82, REFUSED.length), REFUSED]);
  if (status === "101") return `101, ${said.includes(inFrame) ? "CONNACK 5" : text}`;
  const [, code] = /"code":"([^"]+)"/.exec(text) ?? [];
  return status === undefined ? text : `${status} ${code ?? text}`;
}

type Listener = { readonly port: number; readonly speaks: "mqtt" | "http"; readonly tls: boolean };

function listenersOf({ mqttPort, httpPort, mqttsPort, httpsPort }: Box): readonly Listener[] {
  return [
    { port: mqttPort, speaks: "mqtt", tls: false },
    { port: httpPort, speaks: "http", tls: false },
    { port: mqttsPort, speaks: "mqtt", tls: true },
    { port: httpsPort, speaks: "http", tls: true },
  ];
}

/** Inodes of the sockets of a process. */
function socketsOf(pid: number): ReadonlySet<string> {
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).map((fd) => {
    try {
      return readlinkSync(`${folder}/${fd}`);
    } catch {
      return ""; // It was closed meanwhile.
    }
  });
  return new Set(targets.flatMap((target) => /^socket:\[(\d+)\]$/.exec(target)?.[1] ?? []));
}

const LISTENING = "0A";

/** Ports of the process: those of TCP that it listens on, all of UDP. */
function portsOf(pid: number, table: "tcp" | "tcp6" | "udp" | "udp6"): readonly number[] {
  const own = socketsOf(pid);
  const [, ...rows] = readFileSync(`/proc/${pid}/net/${table}`, "utf8").trim().split("\n");
  return rows.flatMap((row) => {
    const [, local = "", , state, , , , , , inode = ""] = row.trim().split(/\s+/);
    if (!own.has(inode) || (table.startsWith("tcp") && state !== LISTENING)) return [];
    return [Number.parseInt(local.split(":")[1] ?? "", 16)];
  });
}

/** Paths of the Unix sockets that the process listens on. */
function localSocketsOf(pid: number): readonly string[] {
  const own = socketsOf(pid);
  const [, ...rows] = readFileSync(`/proc/${pid}/net/unix`, "utf8").trim().split("\n");
  return rows.flatMap((row) => {
    const [, , , flags, , , inode = "", path] = row.split(/\s+/);
    const listens = flags === "00010000" && own.has(inode);
    return listens && path !== undefined ? [path] : [];
  });
}

/** Nothing is open that is not known, and each port says this and no more to who has no credential. */
async function scan(t: Test, box: Box, refusal: string): Promise<void> {
  const { pid } = box.daemon;
  const listeners = listenersOf(box);
  const open = [...portsOf(pid, "tcp"), ...portsOf(pid, "tcp6")].sort();
  t.same(open, listeners.map(({ port }) => port).sort(), "what listens is what was said");
  t.same([...portsOf(pid, "udp"), ...portsOf(pid, "udp6")], [], "no UDP");
  const local = localSocketsOf(pid);
  t.equal(local.length, 1);
  for (const path of local) t.equal(statSync(path).mode & 0o777, 0o600, path);

  const answers = {
    mqtt: { http: "nothing", mqtt: "CONNACK 5", webSocket: "nothing", garbage: "nothing" },
    http: {
      ...{ http: refusal, mqtt: "400 malformed" },
      ...{ webSocket: "101, CONNACK 5", garbage: "400 malformed" },
    },
  } as const;
  for (const { port, speaks, tls } of listeners) {
    for (const speech of ["http", "mqtt", "webSocket", "garbage"] as const) {
      for (const isSecure of [false, true]) {
        const said = inWords(await saidTo(t, port, SPEECHES[speech], isSecure));
        const name = `${speech}${isSecure ? " over TLS" : ""} to ${speaks}${tls ? "s" : ""}`;
        if (isSecure === tls) t.equal(said, answers[speaks][speech], name);
        else t.match(said, tls ? /^(nothing|an alert)$/ : /^no TLS$/, name);
      }
    }
  }
}

type Outcome = { readonly name: string; readonly status: number; readonly code: string };

/** Every route there is, and some there are not, without a credential. */
async function askAll(port: number, isSecure: boolean): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  const others = ELSEWHERE.map((path) => ({ method: "GET", path }));
  for (const { method, path } of [...ROUTES, ...others]) {
    const target = path.replace(":account", "site").replace(/:code$/, "unclaimed");
    const to = {
      ...{ host: "127.0.0.1", port, method, path: target.replaceAll(/:\w+/g, "boiler") },
      headers: { "content-type": "application/json" },
    };
    const asked = isSecure ? requestSecure({ ...to, rejectUnauthorized: false }) : requestPlain(to);
    asked.end(method === "POST" || method === "PUT" ? "{}" : "");
    const [response] = (await once(asked, "response")) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const [, code = ""] = /"code":"([^"]+)"/.exec(Buffer.concat(chunks).toString()) ?? [];
    outcomes.push({ name: `${method} ${path}`, status: response.statusCode ?? 0, code });
  }
  return outcomes;
}

const namesOf = (outcomes: readonly Outcome[]): readonly string[] =>
  outcomes.map(({ name }) => name).sort();

/** For everybody, whosever the box is. */
const PUBLIC = [
  ...["GET /.well-known/est/cacerts", "GET /ca.crt", "GET /ca.der", "GET /ca.sha256"],
  ...["GET /healthz", "GET /problems/:code", "GET /readyz", "GET /ui/claim"],
];

await test("an unclaimed box lets nobody in, on any port that it has", SKIP, async (t) => {
  const box = await serveBox(t, { ...daemonEnvironment(t), ...ON_THE_NETWORK });
  await scan(t, box, "403 unclaimed");
  for (const { port, tls } of listenersOf(box).filter(({ speaks }) => speaks === "http")) {
    const outcomes = await askAll(port, tls);
    t.same(namesOf(outcomes.filter(({ status }) => status < 300)), PUBLIC);
    const others = outcomes.filter(({ status, code }) => status !== 403 || code !== "unclaimed");
    const claiming = ["POST /gateway/claim"];
    t.same(namesOf(others), [...PUBLIC, ...claiming].sort(), "all else is refused as one thing");
  }
});

await test(
  "a claimed box serves nobody without a credential, on any port that it has",
  SKIP,
  async (t) => {
    const env = {
      ...daemonEnvironment(t),
      ...ON_THE_NETWORK,
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
    };
    const box = await serveBox(t, env);
    await scan(t, box, "401 unauthorized");
    for (const { port, tls } of listenersOf(box).filter(({ speaks }) => speaks === "http")) {
      const outcomes = await askAll(port, tls);
      t.same(namesOf(outcomes.filter(({ status }) => status < 300)), PUBLIC);
      const guarded = ROUTES.filter(({ scopes }) => scopes !== "none");
      const served = new Set(guarded.map(({ method, path }) => `${method} ${path}`));
      for (const { name, status, code } of outcomes.filter((outcome) => served.has(outcome.name))) {
        t.match({ status, code }, { status: 401, code: "unauthorized" }, name);
      }
    }
  },
);

await test("the CA is there while the box is nobody's, and nothing is to be had with it", async (t) => {
  const box = await serveBox(t, { ...daemonEnvironment(t), ...ON_THE_NETWORK });
  const ask = async (path: string, method = "GET"): Promise<Response> =>
    box.call(method, path, method === "POST" ? { id: "pump" } : undefined, "");
  t.match(await (await ask("/ca.crt")).text(), /^-----BEGIN CERTIFICATE-----/);
  const est = await ask("/.well-known/est/cacerts");
  t.match(est.headers.get("content-type"), /^application\/pkcs7-mime/);
  for (const path of [
    "/join",
    "/.well-known/est/simpleenroll",
    "/.well-known/est/simplereenroll",
  ]) {
    const refused = await ask(path, "POST");
    t.equal(refused.status, 403, path);
    t.match(await refused.json(), { code: "unclaimed" }, path);
  }
});

await test("with a certificate of the operator's own there is no CA to trust, and one that signs", async (t) => {
  const { cert, key } = foreignPair(folderOf(t), "own");
  const own = { SLUICE_TLS__CERT_FILE: cert, SLUICE_TLS__KEY_FILE: key };
  const env = { ...daemonEnvironment(t), ...WITH_TLS, ...own };
  const box = await serveBox(t, { ...env, SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN });
  for (const path of ["/ca.crt", "/ca.der", "/ca.sha256"]) {
    const reply = await box.call("GET", path, undefined, "");
    t.match(await reply.json(), { status: 404, code: "not-found", detail: /which CA to trust/ });
  }
  const { tls } = (await (await box.call("GET", "/gateway")).json()) as TlsStatus;
  t.equal(tls.source, "file");
  const url = `https://localhost:${box.httpsPort}/.well-known/est/cacerts`;
  const { output } = await run(t, "curl", ["-sS", "--cacert", cert, url]);
  const read = ["pkcs7", "-inform", "DER", "-print_certs"];
  const certs = execFileSync("openssl", read, { input: Buffer.from(output, "base64") });
  const { fingerprint256 } = new X509Certificate(certs.toString().slice(certs.indexOf("-----")));
  t.equal(fingerprint256, tls.ca.sha256_fingerprint, "what client certificates are checked by");
});
