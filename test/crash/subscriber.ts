import type { MqttClient, Store } from "mqtt";
import { connectClient, makeStore, type Login } from "./mqtt-client.ts";

/** One message as the subscriber got it. */
export type Delivery = {
  /** Counts its connections: a session sends again what was unacknowledged when one began. */
  readonly connection: number;
  readonly topic: string;
  readonly payload: string;
};

/** A client with a persistent session that comes and goes, and keeps a record of what it got. */
export class Subscriber {
  readonly deliveries: Delivery[] = [];
  readonly #login: Login;
  readonly #filters: readonly string[];
  readonly #qos: 1 | 2;
  readonly #incoming: Store = makeStore();
  readonly #waiting = new Map<string, () => void>();
  #client: MqttClient | undefined;
  #connection = 0;

  constructor(login: Login, filters: readonly string[], qos: 1 | 2) {
    this.#login = login;
    this.#filters = filters;
    this.#qos = qos;
  }

  get clientId(): string {
    return this.#login.clientId;
  }

  get isThere(): boolean {
    return this.#client !== undefined;
  }

  /** The first time: resolves when its subscriptions are acknowledged. */
  async subscribe(): Promise<void> {
    this.come();
    await this.#client?.subscribeAsync([...this.#filters], { qos: this.#qos });
  }

  come(): void {
    if (this.#client !== undefined) return;
    const client = connectClient(this.#login, { incomingStore: this.#incoming });
    this.#client = client;
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "connack") this.#connection += 1;
    });
    client.on("message", (topic, payload, { retain }) => {
      if (retain) return; // What the first subscription found there.
      const delivery = { topic, payload: payload.toString(), connection: this.#connection };
      this.deliveries.push(delivery);
      this.#waiting.get(topic + delivery.payload)?.();
    });
  }

  go(): void {
    this.#client?.end();
    this.#client = undefined;
  }

  /** The line breaks: what it got may not be acknowledged. It comes back by itself. */
  cut(): void {
    this.#client?.stream.destroy();
  }

  /** Resolves when this message arrives; ask before it is sent. */
  async arrival(topic: string, payload: string): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.set(topic + payload, resolve));
  }
}
