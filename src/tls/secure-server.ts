import type { Socket } from "node:net";
import type { Server, TLSSocket, TlsOptions } from "node:tls";
import { tcpPeer } from "../channel.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { handshakeFailure, type HandshakeFailure } from "./handshake-failures.ts";
import type { ServerIdentity } from "./server-identity.ts";

/** A client whose handshake failed. */
export type TlsRefusal = HandshakeFailure & { readonly address: string };

/** What a listener with TLS is given. */
export type TlsListening = {
  readonly identity: ServerIdentity;
  readonly onRefused: (refusal: TlsRefusal) => void;
};

/** For `createServer` of node:tls and node:https. */
export function tlsOptions({ identity }: TlsListening): TlsOptions {
  return {
    ...identity.secureContext,
    handshakeTimeout: FIXED_LIMITS.tlsHandshakeMsMax,
    // A client may show a certificate. What it is worth is decided where it logs in, each time anew.
    requestCert: true,
    rejectUnauthorized: false,
  };
}

/** Gives its place back; `undefined`: there is none. */
export type TakePlace = (address: string) => (() => void) | undefined;

/**
 * Keeps the server's certificate that of the gateway, and tells of handshakes that fail. Each takes a
 * place until it is done or has failed; without one there is none.
 * @returns what ends it, and every handshake under way: a server closes only when these have ended.
 */
export function secureServer(
  server: Server,
  { identity, onRefused }: TlsListening,
  takePlace: TakePlace = () => () => undefined,
): () => void {
  const handshaking = new Map<Socket, () => void>();
  const addresses = new WeakMap<Socket, string>();
  server.on("connection", (socket: Socket) => {
    // Asked now: of a connection that has been reset the system does not know it any more.
    const { address } = tcpPeer("tls", socket.remoteAddress);
    addresses.set(socket, address);
    const release = takePlace(address);
    if (release === undefined) {
      socket.destroy();
      return;
    }
    handshaking.set(socket, release);
    socket.once("close", () => end(socket));
  });
  const end = (socket: Socket): void => {
    handshaking.get(socket)?.();
    handshaking.delete(socket);
  };
  server.on("secureConnection", (secured: TLSSocket) => {
    const socket = socketUnder(secured);
    if (socket !== undefined) end(socket);
  });
  server.on("tlsClientError", (error: unknown, secured: TLSSocket) => {
    const socket = socketUnder(secured);
    secured.destroy();
    const address = socket === undefined ? undefined : addresses.get(socket);
    // Who has said nothing only looked whether the port is open, as monitors do.
    if (address !== undefined && (socket?.bytesRead ?? 0) > 0) {
      onRefused({ address, ...handshakeFailure(error) });
    }
  });
  const endChanges = identity.onChange(() => server.setSecureContext(identity.secureContext));
  return () => {
    endChanges();
    for (const socket of handshaking.keys()) socket.destroy();
  };
}

/** The TCP connection that carries it: Node has it, and has no public name for it. */
function socketUnder(secured: TLSSocket): Socket | undefined {
  const parent: unknown = Reflect.get(secured, "_parent");
  return isSocket(parent) ? parent : undefined;
}

function isSocket(value: unknown): value is Socket {
  return typeof value === "object" && value !== null && "remoteAddress" in value;
}
