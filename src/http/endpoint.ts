import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createServer, type RequestListener, type Server, type ServerOptions } from "node:http";
import { createServer as createTlsServer, type Server as TlsServer } from "node:https";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { LOCAL_PEER, tcpPeer, tlsPeer, type Peer } from "../channel.ts";
import {
  secureServer,
  tlsOptions,
  type TakePlace,
  type TlsListening,
} from "../tls/secure-server.ts";

/** Where HTTP is listened for. Port 0 is a free one. */
export type HttpEndpoint =
  | { readonly kind: "plain"; readonly host: string; readonly port: number }
  | {
      readonly kind: "tls";
      readonly host: string;
      readonly port: number;
      readonly tls: TlsListening;
    }
  /** A Unix socket. Who may write to the file, of `mode` (0600 if absent), is the box's own administrator. */
  | { readonly kind: "local"; readonly path: string; readonly mode?: number };

/** The ports that are listened on. */
export type HttpPorts = Readonly<Partial<Record<"plain" | "tls", number>>>;

export type Listener = {
  readonly server: Server | TlsServer;
  /** Takes no more connections, and ends handshakes; connections that have been made go on. */
  readonly close: () => void;
};

export type ListenerOptions = {
  readonly bounds: ServerOptions;
  readonly serve: RequestListener;
  /** For a handshake; `undefined`: its address has too many connections. */
  readonly takePlace: TakePlace;
  /** Told of each connection before its first request. */
  readonly onConnection: (socket: Duplex, peer: Peer) => void;
};

/**
 * Listens on `endpoint`.
 * @throws the error of `listen`: the port is in use, the address is not one of this machine.
 */
export async function openEndpoint(
  endpoint: HttpEndpoint,
  { bounds, serve, takePlace, onConnection }: ListenerOptions,
): Promise<Listener> {
  if (endpoint.kind === "tls") {
    const { host, port, tls } = endpoint;
    const server = createTlsServer({ ...bounds, ...tlsOptions(tls) }, serve);
    // First: what has done its handshake gives its place back, and takes that of a connection.
    const endHandshakes = secureServer(server, tls, takePlace);
    server.on("secureConnection", (socket) => onConnection(socket, tlsPeer(socket)));
    await listen(server, { host, port });
    const close = (): void => {
      server.close();
      endHandshakes();
    };
    return { server, close };
  }
  const server = createServer(bounds, serve);
  server.on("connection", (socket) => {
    const isLocal = endpoint.kind === "local";
    onConnection(socket, isLocal ? LOCAL_PEER : tcpPeer("plain", socket.remoteAddress));
  });
  const close = (): void => void server.close();
  if (endpoint.kind === "plain") {
    await listen(server, { host: endpoint.host, port: endpoint.port });
    return { server, close };
  }
  await removeStaleSocket(endpoint.path);
  await listenPrivately(server, endpoint.path);
  chmodSync(endpoint.path, endpoint.mode ?? 0o600);
  return { server, close };
}

/** Nobody else may open the socket before its mode says who may, whatever the folder and our umask. */
async function listenPrivately(server: Server, path: string): Promise<void> {
  const before = process.umask(0o077);
  // Invariant: the file is there when `listen` returns; it rejects, and never throws.
  const listening = listen(server, { path });
  process.umask(before);
  await listening;
}

/** `undefined` of a Unix socket. */
export function portOf({ server }: Listener): number | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : undefined;
}

async function listen(
  server: Listener["server"],
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
