import { createServer, type Server, type Socket } from "node:net";
import { tcpPeer, type Peer } from "../channel.ts";
import { FIXED_LIMITS } from "../limits.ts";

/** Where MQTT is listened for. Port 0 is a free one. */
export type MqttEndpoint = { readonly kind: "plain"; readonly host: string; readonly port: number };

/** The ports that are listened on. */
export type MqttPorts = Readonly<Partial<Record<MqttEndpoint["kind"], number>>>;

export type ListenerDeps = {
  readonly accept: (socket: Socket, peer: Peer) => void;
  readonly onFatal: (error: unknown) => void;
};

const TCP = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const;

/** The servers that take connections for the broker. */
export class Listeners {
  readonly #deps: ListenerDeps;
  readonly #servers: Server[] = [];

  constructor(deps: ListenerDeps) {
    this.#deps = deps;
  }

  /** Resolves when clients are served on all of them. @throws the error of `listen`. */
  async open(endpoints: readonly MqttEndpoint[]): Promise<MqttPorts> {
    const ports: { -readonly [Kind in keyof MqttPorts]: MqttPorts[Kind] } = {};
    for (const { kind, host, port } of endpoints) {
      const server = createServer(TCP, (socket) => {
        this.#deps.accept(socket, tcpPeer(kind, socket.remoteAddress));
      });
      await listen(server, { host, port });
      this.#servers.push(server);
      server.on("error", this.#deps.onFatal);
      ports[kind] = portOf(server) ?? port;
    }
    return ports;
  }

  /** Takes no more connections; those there are go on. Idempotent. */
  close(): void {
    for (const server of this.#servers.splice(0)) server.close();
  }
}

async function listen(server: Server, on: { host: string; port: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ ...on, backlog: FIXED_LIMITS.backlogMax }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

function portOf(server: Server): number | undefined {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : undefined;
}
