import {
  createServer,
  STATUS_CODES,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from "node:http";
import type { Duplex } from "node:stream";
import { FIXED_LIMITS } from "../limits.ts";
import { makeApp } from "./app.ts";
import type { HttpDeps } from "./call.ts";
import { problem } from "./problem.ts";

export type { HttpDeps } from "./call.ts";

export type HttpServer = {
  readonly port: number;
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
 * Serves HTTP on `host` and `port` (0: a free one).
 * @throws the error of `listen`: the port is in use, the address is not one of this machine.
 */
export async function startHttp(
  deps: HttpDeps,
  options: { readonly host: string; readonly port: number },
): Promise<HttpServer> {
  let isStopping = false;
  const app = makeApp(deps, { isStopping: () => isStopping });
  const connections = new Connections();
  const answer = app.callback();
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    connections.begin(request.socket, response);
    void answer(request, response);
  };
  const server = createServer(BOUNDS, serve);
  server.maxHeadersCount = FIXED_LIMITS.httpHeadersMax;
  server.maxConnections = FIXED_LIMITS.httpConnectionsMax;
  // Whether to go on is said when the body is wanted: a refused one is never sent.
  server.on("checkContinue", serve);
  // RFC 9110 §10.1.1 lets an expectation that nobody knows be passed over; Node's 417 is no problem document.
  server.on("checkExpectation", serve);
  server.on("connection", (socket) => connections.add(socket));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => {
    // An answer now would be taken for that of a request before this one.
    if (connections.isBusy(socket)) socket.destroy();
    else refuseUnread(error, socket);
  });
  await listen(server, options);
  // Out of file descriptors, say: what is open is served all the same.
  server.on("error", (error) => deps.log.error("http.accept_failed", { error }));
  let stopped: Promise<void> | undefined;
  return {
    port: portOf(server),
    stop: async () => {
      isStopping = true;
      stopped ??= close(server, connections, deps);
      await stopped;
    },
  };
}

/**
 * Which connections have a request under way. Node's own count takes one that has sent nothing yet
 * for busy.
 */
class Connections {
  readonly #requests = new Map<Duplex, number>();
  #isEnding = false;

  add(socket: Duplex): void {
    this.#requests.set(socket, 0);
    socket.once("close", () => this.#requests.delete(socket));
  }

  begin(socket: Duplex, response: ServerResponse): void {
    this.#count(socket, 1);
    response.once("close", () => {
      this.#count(socket, -1);
      if (this.#isEnding && !this.isBusy(socket)) socket.end();
    });
  }

  isBusy(socket: Duplex): boolean {
    return (this.#requests.get(socket) ?? 0) > 0;
  }

  /** Ends what is idle now, and the others when they will be. */
  endIdle(): void {
    this.#isEnding = true;
    for (const socket of this.#requests.keys()) if (!this.isBusy(socket)) socket.destroy();
  }

  #count(socket: Duplex, change: 1 | -1): void {
    const requests = this.#requests.get(socket);
    if (requests !== undefined) this.#requests.set(socket, requests + change);
  }
}

async function listen(
  server: Server,
  options: { readonly host: string; readonly port: number },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

async function close(server: Server, connections: Connections, deps: HttpDeps): Promise<void> {
  await new Promise<void>((resolve) => {
    const cancel = deps.clock.after(FIXED_LIMITS.httpStopMsMax, () => server.closeAllConnections());
    server.close(() => {
      cancel();
      resolve();
    });
    connections.endIdle();
  });
}

/** What is not HTTP, too long or too slow was never a request: there is only a socket to answer on. */
function refuseUnread(error: NodeJS.ErrnoException, socket: Duplex): void {
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
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n` +
      "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" +
      "Content-Type: application/problem+json\r\n" +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}
