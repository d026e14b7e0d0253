import { createServer, type Server } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer } from "node:tls";
import { tcpPeer, tlsPeer, type Peer } from "../channel.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { secureServer, tlsOptions, type TlsListening } from "../tls/secure-server.ts";
import type { ReleasePlace } from "./places.ts";

/** Where MQTT is listened for. Port 0 is a free one. */
export type MqttEndpoint =
  | { readonly kind: "plain"; readonly host: string; readonly port: number }
  | {
      readonly kind: "tls";
      readonly host: string;
      readonly port: number;
      readonly tls: TlsListening;
    };

/** The ports that are listened on. */
export type MqttPorts = Readonly<Partial<Record<MqttEndpoint["kind"], number>>>;

export type ListenerDeps = {
  /** `undefined`: there is none left, and the connection is refused. */
  readonly takePlace: (peer: Peer) => ReleasePlace | undefined;
  readonly serve: (stream: Duplex, peer: Peer, release: ReleasePlace) => void;
  readonly onFatal: (error: unknown) => void;
};

const TCP = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const;

/** The servers that take connections for the broker. */
export class Listeners {
  readonly #deps: ListenerDeps;
  readonly #closings: (() => void)[] = [];

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
  }

  /** Resolves when clients are served on all of them. @throws the error of `listen`. */
  async open(endpoints: readonly MqttEndpoint[]): Promise<MqttPorts> {
    const ports: { -readonly [Kind in keyof MqttPorts]: MqttPorts[Kind] } = {};
    for (const endpoint of endpoints) {
      const server = endpoint.kind === "tls" ? this.#secure(endpoint.tls) : this.#plain();
      await listen(server, endpoint);
      server.on("error", this.#deps.onFatal);
      ports[endpoint.kind] = portOf(server) ?? endpoint.port;
    }
    return ports;
  }

  /** Takes no more connections; those there are go on, but for handshakes. Idempotent. */
  close(): void {
    for (const close of this.#closings.splice(0)) close();
  }

  #plain(): Server {
    const server = createServer(TCP, (socket) => {
      const peer = tcpPeer("plain", socket.remoteAddress);
      const release = this.#deps.takePlace(peer);
      if (release === undefined) socket.destroy();
      else this.#deps.serve(socket, peer, release);
    });
    this.#closings.push(() => server.close());
    return server;
  }

  /** A place is taken before the handshake, which is the dearest part of a connection. */
  #secure(tls: TlsListening): Server {
    const secure = createTlsServer(tlsOptions(tls), (secured) => {
      this.#deps.serve(secured, tlsPeer(secured), () => undefined);
    });
    const endHandshakes = secureServer(secure, tls);
    const server = createServer(TCP, (socket) => {
      const release = this.#deps.takePlace(tcpPeer("tls", socket.remoteAddress));
      if (release === undefined) {
        socket.destroy();
        return;
      }
      socket.once("close", release);
      secure.emit("connection", socket);
    });
    this.#closings.push(() => {
      server.close();
      endHandshakes();
    });
    return server;
  }
}

async function listen(server: Server, { host, port }: MqttEndpoint): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, backlog: FIXED_LIMITS.backlogMax }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function portOf(server: Server): number | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : undefined;
}
