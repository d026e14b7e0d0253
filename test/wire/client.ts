import { Socket } from "node:net";
import mqtt from "mqtt";
import type { IClientOptions, IConnackPacket, MqttClient, Packet } from "mqtt";
import type { Test } from "tap";
import type { Login } from "./site.ts";
import { within } from "./within.ts";

type Qos = 0 | 1 | 2;

export type Received = {
  readonly topic: string;
  readonly text: string;
  readonly qos: number;
  readonly retain: boolean;
  readonly dup: boolean;
};

export type PublishOptions = { readonly qos?: Qos; readonly retain?: boolean };

/** An MQTT.js client that never reconnects by itself. */
export class Client {
  readonly mqtt: MqttClient;
  readonly sessionPresent: boolean;
  readonly closed: Promise<void>;
  readonly #received: Received[];
  #onReceived: () => void = () => undefined;

  private constructor(client: MqttClient, connack: IConnackPacket, received: Received[]) {
    this.mqtt = client;
    this.sessionPresent = connack.sessionPresent;
    this.closed = new Promise((resolve) => client.once("close", () => resolve()));
    this.#received = received;
  }

  /** Rejects with a `Refused` if the gateway says no. Ended with the test. */
  static async connect(
    t: Test,
    site: { readonly mqttPort: number },
    login: Pick<Login, "username" | "password">,
    options: IClientOptions = {},
  ): Promise<Client> {
    const client = mqtt.connect({
      host: "127.0.0.1",
      port: site.mqttPort,
      protocolVersion: 4,
      reconnectPeriod: 0,
      keepalive: 0,
      username: login.username,
      password: login.password,
      ...options,
    });
    t.teardown(() => client.end(true));
    const received: Received[] = [];
    let onReceived = (): void => undefined;
    client.on("message", (_topic, payload, packet) => {
      const { topic, qos, retain, dup } = packet;
      received.push({ topic, text: payload.toString(), qos, retain, dup });
      onReceived();
    });
    const connack = await within(
      "CONNACK",
      new Promise<IConnackPacket>((resolve, reject) => {
        client.once("connect", resolve);
        client.once("error", (error) => reject(new Refused(error)));
        client.once("close", () => reject(new Refused(new Error("closed"))));
      }),
    );
    client.on("error", () => undefined); // `closed` tells.
    // Nagle's algorithm would hold back what follows an acknowledgement, 40 ms at a time.
    if (client.stream instanceof Socket) client.stream.setNoDelay(true);
    const connected = new Client(client, connack, received);
    onReceived = () => connected.#onReceived();
    return connected;
  }

  /** The codes of the SUBACK, in the order of the filters. */
  async subscribe(filters: string | readonly string[], qos: Qos = 1): Promise<readonly number[]> {
    const suback = new Promise<readonly number[]>((resolve) => {
      const look = (packet: Packet): void => {
        if (packet.cmd !== "suback") return;
        this.mqtt.off("packetreceive", look);
        resolve(packet.granted as number[]);
      };
      this.mqtt.on("packetreceive", look);
    });
    const topics = typeof filters === "string" ? [filters] : [...filters];
    this.mqtt.subscribe(topics, { qos }, () => undefined);
    return within("SUBACK", suback);
  }

  async unsubscribe(filter: string): Promise<void> {
    await within("UNSUBACK", this.mqtt.unsubscribeAsync(filter));
  }

  /** Resolves with the acknowledgement: what the message caused is on disk and on its way. */
  async publish(topic: string, payload: unknown, options: PublishOptions = {}): Promise<void> {
    const { qos = 1, retain = false } = options;
    const bytes =
      typeof payload === "string" || Buffer.isBuffer(payload) ? payload : JSON.stringify(payload);
    await within(`PUBACK for ${topic}`, this.mqtt.publishAsync(topic, bytes, { qos, retain }));
    if (qos === 0) await this.fence();
  }

  /**
   * Everything the gateway has sent for what was acknowledged to anybody before has arrived: UNSUBACK
   * is answered behind it. (But for QoS 2 to this client, which takes turns of its own.)
   */
  async fence(): Promise<void> {
    await this.unsubscribe("fence");
  }

  /** What has arrived by now, behind a fence, and was not taken before. */
  async take(): Promise<readonly Received[]> {
    await this.fence();
    return this.#received.splice(0);
  }

  /** As `take`: the topics and what their payloads say. */
  async takeJson(): Promise<readonly (readonly [topic: string, value: unknown])[]> {
    return (await this.take()).map(({ topic, text }) => [topic, JSON.parse(text) as unknown]);
  }

  async takeTexts(): Promise<readonly string[]> {
    return (await this.take()).map(({ topic, text }) => `${topic} ${text}`);
  }

  /** The next so many messages, in order. */
  async next(count: number): Promise<readonly Received[]> {
    await within(
      `${count} messages`,
      new Promise<void>((resolve) => {
        this.#onReceived = () => {
          if (this.#received.length >= count) resolve();
        };
        this.#onReceived();
      }),
    );
    return this.#received.splice(0, count);
  }

  /** DISCONNECT. */
  async end(): Promise<void> {
    await within("the end of a connection", this.mqtt.endAsync());
  }

  /** As if the line was cut. */
  async cut(): Promise<void> {
    this.mqtt.stream.destroy();
    await within("the end of a connection", this.closed);
  }

  /** The gateway has closed the connection. */
  async untilClosed(): Promise<void> {
    await within("the gateway closes the connection", this.closed);
  }
}

/** The gateway refused a CONNECT, or closed the connection without an answer. */
export class Refused extends Error {
  /** CONNACK return code; `undefined`: there was none. */
  readonly code: number | undefined;

  constructor(cause: Error) {
    super(cause.message, { cause });
    this.code = "code" in cause && typeof cause.code === "number" ? cause.code : undefined;
  }
}

/** The CONNACK code of a CONNECT; 0: it was accepted, and has ended again. */
export async function connackCode(
  ...args: Parameters<typeof Client.connect>
): Promise<number | undefined> {
  try {
    const client = await Client.connect(...args);
    await client.end();
    return 0;
  } catch (error) {
    if (error instanceof Refused) return error.code;
    throw error;
  }
}
