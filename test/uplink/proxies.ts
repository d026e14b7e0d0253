import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createServer as createHttpsServer } from "node:https";
import type { Test } from "tap";
import { createWebSocketStream, WebSocketServer } from "ws";
import type { Pem } from "./certificates.ts";

export type Proxy = {
  readonly port: number;
  /** What it was asked to connect to. */
  readonly asked: readonly string[];
};

/** An HTTP proxy that knows CONNECT only. `login`: `user:password` it insists on. */
export async function startHttpProxy(t: Test, login?: string): Promise<Proxy> {
  const asked: string[] = [];
  const server = createHttpServer((_request, response) => {
    response.statusCode = 404;
    response.end();
  });
  server.on("connect", (request, socket: Socket) => {
    asked.push(request.url ?? "");
    socket.on("error", () => undefined);
    const expected =
      login === undefined ? undefined : `Basic ${Buffer.from(login).toString("base64")}`;
    if (request.headers["proxy-authorization"] !== expected) {
      socket.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
      return;
    }
    const [host = "", port = "0"] = (request.url ?? "").split(":");
    const far = connect(Number(port), host, () => {
      socket.write("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n");
      far.pipe(socket).pipe(far);
    });
    far.on("error", () => socket.end("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
    t.teardown(() => far.destroy());
  });
  return { port: await listen(t, server), asked };
}

/** SOCKS 5, RFC 1928; with RFC 1929 if there is a `login`. */
export async function startSocksProxy(t: Test, login?: string): Promise<Proxy> {
  const asked: string[] = [];
  const server = createServer((socket) => {
    socket.on("error", () => undefined);
    void serveSocks(socket, login, (to) => asked.push(to)).catch(() => socket.destroy());
    t.teardown(() => socket.destroy());
  });
  return { port: await listen(t, server), asked };
}

/** A broker's WebSocket listener, with TLS if there is a certificate. `asked`: the paths. */
export async function startWebSocketProxy(t: Test, upstream: number, pem?: Pem): Promise<Proxy> {
  const asked: string[] = [];
  const server = pem === undefined ? createHttpServer() : createHttpsServer({ ...pem });
  // [MQTT-6.0.0-4]
  const sockets = new WebSocketServer({ server, handleProtocols: () => "mqtt" });
  sockets.on("connection", (socket, request) => {
    asked.push(request.url ?? "");
    const near = createWebSocketStream(socket);
    const far = connect(upstream, "127.0.0.1");
    near.on("error", () => far.destroy());
    far.on("error", () => near.destroy());
    near.pipe(far).pipe(near);
    t.teardown(() => far.destroy());
  });
  return { port: await listen(t, server), asked };
}

async function serveSocks(
  socket: Socket,
  login: string | undefined,
  onAsked: (to: string) => void,
): Promise<void> {
  const [, methods = 0] = await read(socket, 2);
  const offered = await read(socket, methods);
  const method = login === undefined ? 0 : 2;
  socket.write(Buffer.of(5, offered.includes(method) ? method : 0xff));
  if (login !== undefined) {
    const [, userBytes = 0] = await read(socket, 2);
    const user = (await read(socket, userBytes)).toString();
    const [passwordBytes = 0] = await read(socket, 1);
    const password = (await read(socket, passwordBytes)).toString();
    const isRight = `${user}:${password}` === login;
    socket.write(Buffer.of(1, isRight ? 0 : 1));
    if (!isRight) return;
  }
  const [, , , type = 0] = await read(socket, 4);
  const host = await readHost(socket, type);
  const port = (await read(socket, 2)).readUInt16BE();
  onAsked(`${host}:${port}`);
  const far = connect(port, host);
  far.on("error", () => socket.destroy());
  socket.on("close", () => far.destroy());
  await once(far, "connect");
  socket.write(Buffer.of(5, 0, 0, 1, 127, 0, 0, 1, 0, 0));
  far.pipe(socket).pipe(far);
}

async function readHost(socket: Socket, type: number): Promise<string> {
  if (type === 1) return (await read(socket, 4)).join(".");
  const [length = 0] = await read(socket, 1);
  return (await read(socket, length)).toString();
}

async function read(socket: Socket, count: number): Promise<Buffer> {
  for (;;) {
    const bytes: unknown = socket.read(count);
    if (Buffer.isBuffer(bytes)) return bytes;
    await once(socket, "readable");
  }
}

async function listen(t: Test, server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
