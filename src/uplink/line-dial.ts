import { once } from "node:events";
import { connect as connectTcp, isIP, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { createWebSocketStream, WebSocket } from "ws";
import { lookupUpstream, upstreamAddressFault } from "../upstream-addresses.ts";
import { LineFailure, lineFailureOf } from "./line-failure.ts";
import { hostOf, passProxy, proxyEndpoint, type Endpoint } from "./line-proxy.ts";

/** The way to upstream. PEM texts, not paths. */
export type Route = {
  /** mqtt, mqtts, ws or wss. */
  readonly url: string;
  /** Trusted in place of the system's authorities. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  /** Asked for (SNI) and expected in the certificate; without: the host of the url. */
  readonly servername?: string;
  readonly alpn?: readonly string[];
  /** http, socks4 or socks5, with user and password percent-encoded. */
  readonly proxy?: string;
};

/** Brokers listen for WebSockets here, and those that do not care take any path. */
const WEBSOCKET_PATH = "/mqtt";

const DEFAULT_PORTS: Readonly<Record<string, number>> = {
  "mqtt:": 1883,
  "mqtts:": 8883,
  "ws:": 80,
  "wss:": 443,
};

/**
 * A connection that carries MQTT's bytes. Each write to it is one frame where it is a WebSocket.
 * @throws LineFailure; `signal` ends the wait and destroys what was opened so far.
 */
export async function dial(
  route: Route,
  messageBytesMax: number,
  signal: AbortSignal,
): Promise<Duplex> {
  const url = new URL(route.url);
  const target = targetOf(url);
  const name = nameOf(target);
  const socket = await openSocket(route, target, signal);
  const isSecure = url.protocol === "mqtts:" || url.protocol === "wss:";
  const stream = isSecure ? await secure(route, target, socket, signal) : socket;
  if (!url.protocol.startsWith("ws")) return stream;
  return openWebSocket(url, stream, { name, messageBytesMax, signal });
}

function targetOf(url: URL): Endpoint {
  const port = url.port === "" ? (DEFAULT_PORTS[url.protocol] ?? 1883) : Number(url.port);
  return { host: hostOf(url), port };
}

async function openSocket(route: Route, target: Endpoint, signal: AbortSignal): Promise<Socket> {
  if (route.proxy === undefined) return connect(target, "", signal);
  requireAllowed(target, "");
  const proxy = new URL(route.proxy);
  const socket = await connect(proxyEndpoint(proxy), "the proxy ", signal);
  const step = async (): Promise<Socket> => {
    await passProxy(socket, proxy, target);
    return socket;
  };
  return within(socket, signal, "the proxy", step, "is it an HTTP proxy?");
}

async function connect(to: Endpoint, whose: string, signal: AbortSignal): Promise<Socket> {
  const { host, port } = to;
  requireAllowed(to, whose);
  const socket = connectTcp({ host, port, noDelay: true, keepAlive: true, lookup: lookupUpstream });
  return within(socket, signal, whose + nameOf(to), async () => {
    await once(socket, "connect", { signal });
    return socket;
  });
}

/** @throws LineFailure for an IP address that no uplink must be at; names are looked at when looked up. */
function requireAllowed(to: Endpoint, whose: string): void {
  const fault = upstreamAddressFault(to.host);
  if (fault !== undefined) throw new LineFailure("forbidden", `${whose}${nameOf(to)} ${fault}`);
}

/** RFC 3986 §3.2.2: an IPv6 address stands in brackets before a port. */
function nameOf({ host, port }: Endpoint): string {
  return `${isIP(host) === 6 ? `[${host}]` : host}:${port}`;
}

async function secure(
  route: Route,
  target: Endpoint,
  socket: Socket,
  signal: AbortSignal,
): Promise<Duplex> {
  const { host } = target;
  const { ca, cert, key, alpn } = route;
  const servername = route.servername ?? (isIP(host) === 0 ? host : undefined);
  const open = (): ReturnType<typeof connectTls> =>
    connectTls({
      socket,
      host,
      minVersion: "TLSv1.2",
      ...(servername === undefined ? {} : { servername }),
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
      ...(alpn === undefined ? {} : { ALPNProtocols: [...alpn] }),
    });
  const step = async (): Promise<Duplex> => {
    const secured = open();
    secured.on("error", () => socket.destroy());
    await once(secured, "secureConnect", { signal });
    return secured;
  };
  return within(socket, signal, nameOf(target), step, "does it speak TLS on this port?");
}

async function openWebSocket(
  url: URL,
  stream: Duplex,
  options: {
    readonly name: string;
    readonly messageBytesMax: number;
    readonly signal: AbortSignal;
  },
): Promise<Duplex> {
  const asked = new URL(url);
  if (asked.pathname === "/") asked.pathname = WEBSOCKET_PATH;
  const step = async (): Promise<Duplex> => {
    // [MQTT-6.0.0-3]: the subprotocol is mqtt, and `ws` insists on it.
    const socket = new WebSocket(asked, ["mqtt"], {
      createConnection: () => stream,
      perMessageDeflate: false,
      maxPayload: options.messageBytesMax,
    });
    const carried = createWebSocketStream(socket);
    carried.on("error", ignore);
    await openOf(socket, options.name);
    return carried;
  };
  return within(stream, options.signal, options.name, step, "does it take WebSockets there?");
}

async function openOf(socket: WebSocket, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("open", resolve);
    socket.once("error", reject);
    socket.once("unexpected-response", (_request, response) => {
      const words = `${name} takes no WebSockets there (HTTP ${response.statusCode ?? 0})`;
      reject(new LineFailure("unreachable", words));
    });
  });
}

/**
 * Does a step of the way; if it fails or `signal` comes, nothing is left open. `asWell`: what to think of
 * where the other end just hangs up.
 */
async function within<Result extends Duplex>(
  stream: Duplex,
  signal: AbortSignal,
  at: string,
  step: () => Promise<Result>,
  asWell?: string,
): Promise<Result> {
  const abort = (): void => {
    stream.destroy(aborted());
  };
  signal.addEventListener("abort", abort, { once: true });
  // A socket without a listener for its errors would end the process.
  stream.on("error", ignore);
  try {
    if (signal.aborted) throw aborted();
    return await step();
  } catch (error) {
    stream.destroy();
    if (signal.aborted) throw aborted();
    const failure = lineFailureOf(error, at);
    if (failure.kind !== "closed" || asWell === undefined) throw failure;
    throw new LineFailure("closed", `${failure.message}: ${asWell}`, { cause: failure });
  } finally {
    signal.removeEventListener("abort", abort);
  }
}

function ignore(): void {
  // Whoever waits is told by what it awaits.
}

function aborted(): LineFailure {
  return new LineFailure("ended", "the try was ended");
}
