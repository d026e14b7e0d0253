import { STATUS_CODES, type IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { ERRORS, GatewayError } from "../errors.ts";
import { requireOwnPage } from "./browser-requests.ts";
import type { HttpDeps } from "./call.ts";
import { endWith } from "../last-words.ts";
import type { Connections } from "./connections.ts";
import type { Listener } from "./endpoint.ts";
import { problem } from "./problem.ts";
import { refusalOf } from "./refused-request.ts";

/** Brokers are looked for here by every client that speaks MQTT over WebSockets. */
const MQTT_PATH = "/mqtt";

export type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/**
 * Hands WebSockets at `/mqtt` to who speaks MQTT. A page of another origin is refused: browsers ask
 * nobody before they open one (RFC 6455 §10.2).
 */
export function upgrading(
  deps: HttpDeps,
  { server }: Listener,
  connections: Connections,
): OnUpgrade {
  return (request, socket, head) => {
    const { serveWebSocket } = deps;
    if (serveWebSocket === undefined || !isForMqtt(request)) {
      serveAsItIs(server, request, socket, head);
      return;
    }
    const peer = connections.peerOf(socket);
    connections.forget(socket);
    // Node listens no more: without this, a peer that resets the connection now ends the process.
    socket.on("error", () => socket.destroy());
    try {
      requireOwnSite(request, socket, deps.hostNames);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      const refusal = refusalOf(error, MQTT_PATH, peer);
      if (refusal !== undefined) deps.refusals.note(refusal);
      refuse(socket, error, deps);
      return;
    }
    serveWebSocket(request, socket, head, peer);
  };
}

function isForMqtt({ method, url = "", headers }: IncomingMessage): boolean {
  const [path] = url.split("?");
  return path === MQTT_PATH && method === "GET" && /^websocket$/i.test(headers.upgrade ?? "");
}

/** As a request that would change something: a WebSocket may do everything its log-in may. */
function requireOwnSite(
  { headers }: IncomingMessage,
  socket: Duplex,
  hostNames: ReadonlySet<string>,
): void {
  const { host, origin, cookie } = headers;
  const fetchSite = headers["sec-fetch-site"];
  requireOwnPage(
    {
      method: "POST",
      isTls: socket instanceof TLSSocket,
      host,
      origin,
      fetchSite: typeof fetchSite === "string" ? fetchSite : undefined,
      hasCookie: cookie !== undefined,
    },
    hostNames,
  );
}

/**
 * RFC 9110 §7.8: an upgrade may be passed over. Java's client, for one, asks each server for HTTP/2 so.
 * Node has taken the request for the last one of HTTP: it is given it again without the wish.
 */
function serveAsItIs(
  server: Listener["server"],
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): void {
  const { method = "GET", url = "/", httpVersion, rawHeaders } = request;
  const lines = [`${method} ${url} HTTP/${httpVersion}`];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const [name = "", value = ""] = rawHeaders.slice(at, at + 2);
    if (name.toLowerCase() !== "upgrade") lines.push(`${name}: ${value}`);
  }
  const again = Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
  server.emit(socket instanceof TLSSocket ? "secureConnection" : "connection", socket);
  socket.emit("data", Buffer.concat([again, head]));
}

function refuse(socket: Duplex, error: GatewayError, { clock }: HttpDeps): void {
  const { status } = ERRORS[error.code];
  const body = JSON.stringify(problem(error.code, error.message));
  const text =
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n` +
    "Connection: close\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" +
    "Content-Type: application/problem+json\r\n" +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
  endWith(socket, text, clock);
}
