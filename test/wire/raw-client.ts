import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { generate, parser, type IPublishPacket, type Packet } from "mqtt-packet";
import type { Test } from "tap";
import type { Login } from "./site.ts";
import { within } from "./within.ts";

/** A socket with which a test says exactly what it wants, and sees exactly what comes. */
export class RawClient {
  readonly closed: Promise<unknown>;
  readonly #socket: Socket;
  readonly #packets: Packet[] = [];
  #onPacket: () => void = () => undefined;
  #isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    const reading = parser({ protocolVersion: 4 });
    reading.on("packet", (packet) => {
      this.#packets.push(packet);
      this.#onPacket();
    });
    socket.on("data", (chunk) => reading.parse(chunk));
    socket.on("error", () => undefined);
    this.closed = once(socket, "close").then(() => {
      this.#isClosed = true;
      this.#onPacket();
    });
  }

  /** A TCP connection on which nothing was said. */
  static async open(t: Test, site: { readonly mqttPort: number }): Promise<RawClient> {
    const socket = connect({ host: "127.0.0.1", port: site.mqttPort, noDelay: true });
    t.teardown(() => socket.destroy());
    const client = new RawClient(socket);
    await within("a TCP connection", once(socket, "connect"));
    return client;
  }

  /** With a session; `connack` says what the gateway answered. */
  static async connect(
    t: Test,
    site: { readonly mqttPort: number },
    login: Login,
    options: { readonly clientId: string; readonly clean?: boolean },
  ): Promise<RawClient> {
    const client = await RawClient.open(t, site);
    client.send(connectPacket(login, options));
    const connack = await client.next();
    if (connack?.cmd !== "connack" || connack.returnCode !== 0) {
      throw new Error(`not connected: ${JSON.stringify(connack)}`);
    }
    return client;
  }

  /** All of it in one segment, as far as that is ours to say. */
  send(...packets: readonly (Packet | Buffer)[]): void {
    this.#socket.write(Buffer.concat(packets.map(bytesOf)));
  }

  /** The next packet, or `undefined`: the gateway closed the connection first. */
  async next(): Promise<Packet | undefined> {
    await within(
      "a packet",
      new Promise<void>((resolve) => {
        this.#onPacket = () => {
          if (this.#packets.length > 0 || this.#isClosed) resolve();
        };
        this.#onPacket();
      }),
    );
    return this.#packets.shift();
  }

  async take(count: number): Promise<readonly Packet[]> {
    const taken: Packet[] = [];
    while (taken.length < count) {
      const packet = await this.next();
      if (packet === undefined) throw new Error(`closed after ${taken.length} of ${count} packets`);
      taken.push(packet);
    }
    return taken;
  }

  /** Reads nothing from now on, as a client that hangs. */
  freeze(): void {
    this.#socket.pause();
  }

  /** The gateway closes without another packet. */
  async untilClosed(): Promise<readonly Packet[]> {
    await within("the gateway closes the connection", this.closed);
    return this.#packets.splice(0);
  }

  /** Cut off: the gateway sees a reset or an end without DISCONNECT. */
  async cut(): Promise<void> {
    this.#socket.destroy();
    await this.closed;
  }
}

export function bytesOf(packet: Packet | Buffer): Buffer {
  return Buffer.isBuffer(packet) ? packet : generate(packet, { protocolVersion: 4 });
}

export function connectPacket(
  login: Pick<Login, "username" | "password">,
  options: { readonly clientId: string; readonly clean?: boolean },
): Packet {
  return {
    cmd: "connect",
    protocolId: "MQTT",
    protocolVersion: 4,
    clientId: options.clientId,
    clean: options.clean ?? true,
    keepalive: 0,
    username: login.username,
    password: Buffer.from(login.password),
  };
}

export function publishPacket(
  topic: string,
  payload: unknown,
  options: {
    readonly qos: 0 | 1 | 2;
    readonly id?: number;
    readonly dup?: boolean;
    readonly retain?: boolean;
  },
): IPublishPacket {
  const { qos, id, dup = false, retain = false } = options;
  return {
    cmd: "publish",
    topic,
    payload: typeof payload === "string" ? payload : JSON.stringify(payload),
    qos,
    dup,
    retain,
    ...(id === undefined ? {} : { messageId: id }),
  };
}

export function subscribePacket(id: number, filters: Readonly<Record<string, 0 | 1 | 2>>): Packet {
  return {
    cmd: "subscribe",
    messageId: id,
    subscriptions: Object.entries(filters).map(([topic, qos]) => ({ topic, qos })),
  };
}
