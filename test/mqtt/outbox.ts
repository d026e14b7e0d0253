import { parser, type IPublishPacket, type Packet } from "mqtt-packet";
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

  readonly send = (packet: Buffer): void => void this.#parser.parse(packet);
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
