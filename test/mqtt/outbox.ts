import { parser, type IPublishPacket, type Packet } from "mqtt-packet";
import { ACK_BYTES, writeAck, type AckByte } from "../../src/mqtt/answers.ts";
import { encodePublish, type Message, type PublishHeader } from "../../src/mqtt/message.ts";
import type { Outlet } from "../../src/mqtt/session.ts";

/** What a session sends, read by another implementation of MQTT. */
export class Outbox implements Outlet {
  readonly packets: Packet[] = [];
  clogged = false;
  drained = (): void => undefined;
  readonly #parser = parser({ protocolVersion: 4 });

  constructor() {
    this.#parser.on("packet", (packet) => this.packets.push(packet));
  }

  readonly sendPublish = (message: Message, header: PublishHeader): void =>
    void this.#parser.parse(encodePublish(message, header));
  readonly sendAck = (first: AckByte, packetId: number): void => {
    const packet = Buffer.alloc(ACK_BYTES);
    writeAck(packet, 0, first, packetId);
    this.#parser.parse(packet);
  };
  readonly isClogged = (): boolean => this.clogged;
  readonly onDrained = (callback: () => void): void => void (this.drained = callback);

  get publishes(): readonly IPublishPacket[] {
    return this.packets.filter((packet) => packet.cmd === "publish");
  }

  /** `topic payload` of each publish, in order. */
  get texts(): readonly string[] {
    return this.publishes.map(({ topic, payload }) => `${topic} ${payload.toString()}`);
  }

  get payloads(): readonly string[] {
    return this.publishes.map(({ payload }) => payload.toString());
  }
}
