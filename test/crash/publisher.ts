import type { MqttClient } from "mqtt";
import type { Ledger, Target, Write } from "./ledger.ts";
import { publishOf } from "./wire.ts";

export type NextWrite = () => { readonly target: Target; readonly qos: 1 | 2 } | undefined;

/**
 * Publishes what `next` gives, at most `window` unanswered at a time, and notes in the ledger what
 * was sent and what the gateway answered: PUBACK, and PUBREC (not PUBCOMP), is the acknowledgement.
 */
export class Publisher {
  readonly #client: MqttClient;
  readonly #ledger: Ledger;
  readonly #name: string;
  readonly #window: number;
  readonly #next: NextWrite;
  /** By packet id: what waits for PUBACK or PUBCOMP. */
  readonly #unanswered = new Map<number, Write>();
  #isUp = false;
  #onIdle: (() => void) | undefined;

  constructor(
    client: MqttClient,
    ledger: Ledger,
    options: { readonly name: string; readonly window: number; readonly next: NextWrite },
  ) {
    this.#client = client;
    this.#ledger = ledger;
    this.#name = options.name;
    this.#window = options.window;
    this.#next = options.next;
    client.on("packetreceive", (packet) => {
      if (packet.cmd === "puback" || packet.cmd === "pubrec" || packet.cmd === "pubcomp") {
        this.#hear(packet.cmd, packet.messageId);
      }
    });
    client.on("packetsend", (packet) => {
      if (packet.cmd !== "publish" || !packet.dup) return;
      const write = this.#unanswered.get(packet.messageId ?? 0);
      if (write !== undefined) write.timesSent += 1;
    });
    // Emitted when everything stored has been sent again and answered.
    client.on("connect", () => {
      this.#isUp = true;
      this.pump();
    });
    client.on("close", () => (this.#isUp = false));
  }

  /** Sends as much as the window allows. */
  pump(): void {
    while (this.#isUp && this.#unanswered.size < this.#window) {
      const next = this.#next();
      if (next === undefined) break;
      this.send(next.target, next.qos);
    }
    if (this.#unanswered.size === 0) this.#onIdle?.();
  }

  /** Beside what `next` gives. */
  send(target: Target, qos: 1 | 2): Write {
    const write = this.#ledger.send(this.#name, target, qos === 2);
    const { topic, payload, retain } = publishOf(target, write.value);
    this.#client.publish(topic, payload, { qos, retain });
    this.#unanswered.set(this.#client.getLastMessageId(), write);
    return write;
  }

  /** The line breaks: answers on their way are lost. The client comes back by itself. */
  cut(): void {
    this.#client.stream.destroy();
  }

  stop(): void {
    this.#client.end(true);
  }

  /** Resolves when nothing is unanswered and `next` has nothing more. */
  async idle(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onIdle = resolve;
      this.pump();
    });
  }

  #hear(answer: "puback" | "pubrec" | "pubcomp", packetId: number | undefined): void {
    if (packetId === undefined) return;
    const write = this.#unanswered.get(packetId);
    if (write === undefined) return;
    if (answer !== "pubcomp") this.#ledger.acknowledge(write);
    if (answer !== "pubrec") this.#unanswered.delete(packetId);
    // Not within the packet: MQTT.js has yet to take the answer itself.
    setImmediate(() => this.pump());
  }
}
