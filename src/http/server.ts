import { STATUS_CODES, type IncomingMessage, type ServerResponse } from "node:http";
import type { DropArgument } from "node:net";
import type { Duplex } from "node:stream";
import { tcpPeer, type Peer } from "../channel.ts";
import { endWith } from "../last-words.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { makeApp } from "./app.ts";
import type { HttpDeps } from "./call.ts";
import { Connections } from "./connections.ts";
import {
  openEndpoint,
  portOf,
  type HttpEndpoint,
  type HttpPorts,
  type Listener,
} from "./endpoint.ts";
import { problem } from "./problem.ts";
import { refusalOfDropped, refusalOfUnread } from "./refused-request.ts";
import { upgrading } from "./upgrade.ts";

export type { HttpDeps } from "./call.ts";

export type HttpServer = {
  readonly ports: HttpPorts;
  /**
   * Stops listening at once; requests that run may finish within a few seconds, then they are cut
   * off. Idempotent.
   */
  readonly stop: () => Promise<void>;
};

/** What Node.js is told of them; connections that take too long are looked for every 2 s. */
const BOUNDS = {
  maxHeaderSize: FIXED_LIMITS.httpHeaderBytesMax,
  headersTimeout: FIXED_LIMITS.httpHeadersTimeoutMs,
  requestTimeout: FIXED_LIMITS.httpRequestTimeoutMs,
  keepAliveTimeout: FIXED_LIMITS.httpKeepAliveMs,
  connectionsCheckingInterval: 2_000,
} as const;

/**
 * Serves one application on all these endpoints, or on none.
 * @throws the error of `listen`: the port is in use, the address is not one of this machine.
 */
export async function startHttp(
  deps: HttpDeps,
  endpoints: readonly HttpEndpoint[],
): Promise<HttpServer> {
  let isStopping = false;
  const connections = new Connections(deps.limits.connections_per_address);
  const app = makeApp(deps, {
    isStopping: () => isStopping,
    peerOf: (socket) => connections.peerOf(socket),
  });
  const answer = app.callback();
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    connections.begin(request.socket, response);
    void answer(request, response);
  };
  const listeners: Listener[] = [];
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    isStopping = true;
    stopped ??= close(listeners, connections, deps);
    await stopped;
  };
  const onConnection = (socket: Duplex, peer: Peer): void => {
    if (connections.add(socket, peer)) return;
    deps.log.debug("http.connection_refused", { address: peer.address });
  };
  const ports: { -readonly [Kind in keyof HttpPorts]: HttpPorts[Kind] } = {};
  try {
    for (const endpoint of endpoints) {
      const listener = await openEndpoint(endpoint, {
        ...{ bounds: BOUNDS, serve, onConnection },
        takePlace: (address) => connections.takePlace(address),
      });
      listeners.push(listener);
      harden(listener, connections, serve, deps);
      listener.server.on("upgrade", upgrading(deps, listener, connections));
      // Out of file descriptors, say: what is open is served all the same.
      listener.server.on("error", (error) => deps.log.error("http.accept_failed", { error }));
      const port = portOf(listener);
      if (endpoint.kind !== "local" && port !== undefined) ports[endpoint.kind] = port;
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { ports, stop };
}

type Serve = (request: IncomingMessage, response: ServerResponse) => void;

function harden(
  { server }: Listener,
  connections: Connections,
  serve: Serve,
  { refusals, clock }: HttpDeps,
): void {
  server.maxHeadersCount = FIXED_LIMITS.httpHeadersMax;
  server.maxConnections = FIXED_LIMITS.httpConnectionsMax;
  // Whether to go on is said when the body is wanted: a refused one is never sent.
  server.on("checkContinue", serve);
  // RFC 9110 §10.1.1 lets an expectation that nobody knows be passed over; Node's 417 is no problem document.
  server.on("checkExpectation", serve);
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // An answer now would be taken for that of a request before this one; without TLS there is no way to.
    if (connections.isBusy(socket) || !connections.has(socket)) {
      socket.destroy();
      return;
    }
    const refusal = refusalOfUnread(error, connections.peerOf(socket));
    if (refusal !== undefined) refusals.note(refusal);
    refuseUnread(error, socket, clock);
  });
  server.on("drop", (dropped?: DropArgument) => {
    refusals.note(refusalOfDropped(tcpPeer("plain", dropped?.remoteAddress)));
  });
}

async function close(
  listeners: readonly Listener[],
  connections: Connections,
  deps: HttpDeps,
): Promise<void> {
  for (const listener of listeners) listener.close();
  const cancel = deps.clock.after(FIXED_LIMITS.httpStopMsMax, () => connections.cutOff());
  await connections.end();
  cancel();
}

/** What is not HTTP, too long or too slow was never a request: there is only a socket to answer on. */
function refuseUnread(
  error: NodeJS.ErrnoException,
  socket: Duplex,
  clock: HttpDeps["clock"],
): void {
  if (error.code === "ECONNRESET" || !socket.writable) {
    socket.destroy();
    return;
  }
  const [status, detail] =
    error.code === "HPE_HEADER_OVERFLOW"
      ? [431, `the header fields have more than ${BOUNDS.maxHeaderSize} bytes`]
      : error.code === "ERR_HTTP_REQUEST_TIMEOUT"
        ? [408, "the request did not arrive in time"]
        : [400, "this is not HTTP/1.1"];
  const body = JSON.stringify(problem("malformed", detail, { status }));
  const text =
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n` +
    "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" +
    "Content-Type: application/problem+json\r\n" +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  endWith(socket, text, clock);
}
