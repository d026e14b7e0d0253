import { connect, Store, type MqttClient, type Packet } from "mqtt";

export type Login = {
  readonly port: number;
  readonly clientId: string;
  readonly username: string;
  readonly password: string;
};

/** Short: a client should be back while the gateway still recovers. */
const RECONNECT_MS = 20;

/** MQTT.js with a persistent session: comes back by itself and sends again what is unacknowledged. */
export function connectClient(
  login: Login,
  options: { readonly clean?: boolean; readonly incomingStore?: Store } = {},
): MqttClient {
  const { clientId, username, password } = login;
  const client = connect({
    host: "127.0.0.1",
    port: login.port,
    protocolVersion: 4,
    clientId,
    username,
    password,
    clean: options.clean ?? false,
    resubscribe: false,
    reconnectPeriod: RECONNECT_MS,
    outgoingStore: new RepeatingStore(),
    incomingStore: options.incomingStore ?? makeStore(),
  });
  // The gateway is killed all the time: a connection that fails is tried again.
  client.on("error", () => undefined);
  return client;
}

/** A store that outlives its client object: `MqttClient.end` clears any other. */
export function makeStore(): Store {
  return new Store({ clean: false });
}

/** MQTT.js sends stored publishes again without DUP; [MQTT-3.3.1-1] wants it. */
class RepeatingStore extends Store {
  readonly #packets = new Map<number | undefined, Packet>();

  constructor() {
    super({ clean: false });
  }

  override put(packet: Packet, done: Parameters<Store["put"]>[1]): this {
    this.#packets.set(packet.messageId, packet);
    return super.put(packet, done);
  }

  override del(packet: Parameters<Store["del"]>[0], done: Parameters<Store["del"]>[1]): this {
    this.#packets.delete(packet.messageId);
    return super.del(packet, done);
  }

  override createStream(): ReturnType<Store["createStream"]> {
    for (const packet of this.#packets.values()) {
      if (packet.cmd === "publish") packet.dup = true;
    }
    return super.createStream();
  }
}
