import mqttPacket, { type IPublishPacket, type Packet } from "mqtt-packet";
import { SimSocket } from "./sim-socket.ts";

export type Sent = {
  readonly topic: string;
  readonly payload: string;
  readonly qos: 1 | 2;
  packetId: number;
  state: "new" | "sent" | "received";
  /** PUBACK or PUBREC has come. */
  isAcknowledged: boolean;
};

export type Received = { readonly topic: string; readonly payload: string; readonly dup: boolean };

/** A device as the standard wants it: it sends again what was not acknowledged, in its order. */
export class SimClient {
  readonly clientId: string;
  readonly clean: boolean;
  readonly subscribe: string | undefined;
  readonly sent: Sent[] = [];
  readonly received: Received[] = [];
  socket: SimSocket | undefined;
  isConnected = false;
  isSubscribed = false;
  /** What the gateway said on the last CONNECT. */
  connack: number | undefined;
  readonly #login: { readonly username: string; readonly password: string };
  #parser = mqttPacket.parser();
  #outbox: Buffer[] = [];
  #lastPacketId = 0;
  /** QoS 2 ids whose PUBREL is awaited. */
  readonly #incoming = new Set<number>();

  constructor(
    clientId: string,
    login: { readonly username: string; readonly password: string },
    options: { readonly clean: boolean; readonly subscribe?: string },
  ) {
    this.clientId = clientId;
    this.#login = login;
    this.clean = options.clean;
    this.subscribe = options.subscribe;
  }

  connect(): SimSocket {
    this.socket = new SimSocket(`10.0.0.${this.clientId.length}`);
    this.#parser = mqttPacket.parser();
    this.#parser.on("packet", (packet: Packet) => this.#take(packet));
    this.#outbox = [];
    const { username, password } = this.#login;
    this.#put({
      cmd: "connect",
      protocolId: "MQTT",
      protocolVersion: 4,
      clientId: this.clientId,
      clean: this.clean,
      keepalive: 0,
      username,
      password: Buffer.from(password),
    });
    return this.socket;
  }

  publish(topic: string, payload: string, qos: 1 | 2): void {
    const sent: Sent = { topic, payload, qos, packetId: 0, state: "new", isAcknowledged: false };
    this.sent.push(sent);
    if (this.isConnected) this.#send(sent, false);
  }

  /** Bytes that wait to go out. */
  get pendingBytes(): number {
    return this.#outbox.reduce((sum, bytes) => sum + bytes.length, 0);
  }

  /** Some of the bytes reach the gateway. */
  deliver(count: number): void {
    const all = Buffer.concat(this.#outbox);
    this.#outbox = [all.subarray(count)];
    if (count > 0 && this.socket?.destroyed === false) this.socket.push(all.subarray(0, count));
  }

  /** Everything the gateway has sent reaches us. */
  hear(): void {
    const bytes = this.socket?.arrived();
    if (bytes !== undefined && bytes.length > 0) this.#parser.parse(bytes);
    if (this.socket?.destroyed === true) this.lose();
  }

  /** The connection is gone. */
  lose(): void {
    this.socket?.cut();
    this.socket = undefined;
    this.isConnected = false;
    this.#outbox = [];
    if (!this.clean) return;
    this.isSubscribed = false;
    this.#incoming.clear();
  }

  #take(packet: Packet): void {
    // eslint-disable-next-line @typescript-eslint/switch-exhaustiveness-check -- a gateway sends these
    switch (packet.cmd) {
      case "connack":
        this.connack = packet.returnCode ?? 0;
        if (this.connack !== 0) return;
        this.isConnected = true;
        if (!packet.sessionPresent) this.isSubscribed = false;
        if (this.subscribe !== undefined && !this.isSubscribed) {
          const messageId = this.#nextPacketId();
          const subscriptions = [{ topic: this.subscribe, qos: 1 as const }];
          this.#put({ cmd: "subscribe", messageId, subscriptions });
        }
        for (const sent of this.sent) this.#resend(sent);
        return;
      case "suback":
        this.isSubscribed = true;
        return;
      case "publish":
        this.#takePublish(packet);
        return;
      case "puback":
      case "pubrec":
        this.#acknowledged(packet.messageId ?? 0, packet.cmd);
        return;
      case "pubrel":
        this.#incoming.delete(packet.messageId ?? 0);
        this.#put({ cmd: "pubcomp", messageId: packet.messageId ?? 0 });
        return;
      case "pubcomp": {
        const sent = this.sent.find((one) => one.packetId === packet.messageId);
        if (sent !== undefined) sent.packetId = 0;
        return;
      }
      default:
    }
  }

  #takePublish({ topic, payload, qos, dup, messageId }: IPublishPacket): void {
    if (qos === 2) {
      if (!this.#incoming.has(messageId ?? 0)) {
        this.received.push({ topic, payload: payload.toString(), dup });
      }
      this.#incoming.add(messageId ?? 0);
      this.#put({ cmd: "pubrec", messageId: messageId ?? 0 });
      return;
    }
    this.received.push({ topic, payload: payload.toString(), dup });
    if (qos === 1) this.#put({ cmd: "puback", messageId: messageId ?? 0 });
  }

  #acknowledged(packetId: number, by: "puback" | "pubrec"): void {
    const sent = this.sent.find((one) => one.packetId === packetId);
    if (by === "pubrec") this.#put({ cmd: "pubrel", messageId: packetId });
    if (sent === undefined) return;
    sent.isAcknowledged = true;
    sent.state = "received";
    if (by === "puback") sent.packetId = 0;
  }

  #resend(sent: Sent): void {
    if (sent.state === "received") {
      if (sent.packetId !== 0) this.#put({ cmd: "pubrel", messageId: sent.packetId });
      return;
    }
    this.#send(sent, sent.state === "sent");
  }

  #send(sent: Sent, dup: boolean): void {
    if (sent.packetId === 0) sent.packetId = this.#nextPacketId();
    sent.state = "sent";
    const { topic, payload, qos, packetId: messageId } = sent;
    this.#put({ cmd: "publish", topic, payload, qos, messageId, dup, retain: false });
  }

  #nextPacketId(): number {
    do {
      this.#lastPacketId = (this.#lastPacketId % 65_535) + 1;
    } while (this.sent.some((one) => one.packetId === this.#lastPacketId));
    return this.#lastPacketId;
  }

  #put(packet: Packet): void {
    this.#outbox.push(mqttPacket.generate(packet));
  }
}
