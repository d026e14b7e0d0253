import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { LOCAL_PEER, tcpPeer, type Peer } from "../channel.ts";

/** Where HTTP is listened for. Port 0 is a free one. */
export type HttpEndpoint =
  | { readonly kind: "plain"; readonly host: string; readonly port: number }
  /** A Unix socket. Who may write to the file, of `mode` (0600 if absent), is the box's own administrator. */
  | { readonly kind: "local"; readonly path: string; readonly mode?: number };

/** The ports that are listened on. */
export type HttpPorts = Readonly<Partial<Record<"plain" | "tls", number>>>;

/**
 * Listens on `endpoint`; `onConnection` is told of each connection before its first request.
 * @throws the error of `listen`: the port is in use, the address is not one of this machine.
 */
export async function openEndpoint(
  endpoint: HttpEndpoint,
  options: ServerOptions,
  serve: RequestListener,
  onConnection: (socket: Duplex, peer: Peer) => void,
): Promise<Server> {
  const server = createServer(options, serve);
  switch (endpoint.kind) {
    case "plain": {
      const { kind, host, port } = endpoint;
      server.on("connection", (socket) =>
        onConnection(socket, tcpPeer(kind, socket.remoteAddress)),
      );
      await listen(server, { host, port });
      return server;
    }
    case "local":
      server.on("connection", (socket) => onConnection(socket, LOCAL_PEER));
      await removeStaleSocket(endpoint.path);
      await listen(server, { path: endpoint.path });
      // Until here the folder keeps others out: it is the store's, or systemd's for us.
      chmodSync(endpoint.path, endpoint.mode ?? 0o600);
      return server;
  }
}

/** `undefined` of a Unix socket. */
export function portOf(server: Server): number | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : undefined;
}

async function listen(
  server: Server,
  on: { readonly host: string; readonly port: number } | { readonly path: string },
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(on, () => {
      server.removeListener("error", reject);
      resolve();
    });
  });
}

/** A process that was killed leaves its socket behind. One that somebody answers on stays. */
async function removeStaleSocket(path: string): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  const isAnswered = await new Promise<boolean>((resolve) => {
    const socket = connect(path);
    socket.once("error", () => resolve(false));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
  if (!isAnswered) unlinkSync(path);
}
