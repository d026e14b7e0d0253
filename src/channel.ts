import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { isLoopbackHost } from "./loopback.ts";

/** What a peer's bytes come by. */
export type Channel = {
  /** `local`: the Unix socket, which only the machine's own users can reach, by its file's mode. */
  readonly kind: "plain" | "tls" | "local";
  /** The peer is this machine; always so for `local`. */
  readonly isLoopback: boolean;
};

/** Who is at the other end of a connection, as far as the connection itself says. */
export type Peer = {
  /** IP address, IPv4 ones as such also where IPv6 is listened on; `local` of the Unix socket. */
  readonly address: string;
  readonly channel: Channel;
  /** What it showed in the handshake of TLS, with its key: whoever signed it, and whenever it ends. */
  readonly certificate?: X509Certificate | undefined;
};

export const LOCAL_PEER: Peer = {
  address: "local",
  channel: { kind: "local", isLoopback: true },
};

/** Of a connection whose handshake is done. What a resumed session showed at first is shown again. */
export function tlsPeer(socket: Pick<TLSSocket, "remoteAddress" | "getPeerX509Certificate">): Peer {
  const certificate = socket.getPeerX509Certificate();
  return { ...tcpPeer("tls", socket.remoteAddress), certificate };
}

/** Of a connection over TCP. `address` is missing if the peer has gone already. */
export function tcpPeer(kind: "plain" | "tls", address = ""): Peer {
  const bare = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1] ?? address;
  return { address: bare, channel: { kind, isLoopback: isLoopbackHost(bare) } };
}
