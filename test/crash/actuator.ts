import type { MqttClient } from "mqtt";
import type { Ledger, Target } from "./ledger.ts";
import { Publisher } from "./publisher.ts";
import { ACCOUNT } from "./wire.ts";

type ActionStatus = {
  readonly open: { readonly href: string; readonly status: string; readonly input: number };
};

/**
 * The device of the Thing `valve`: does what it is asked for once, however often it is told, and
 * reports running, then completed, at QoS 2.
 */
export class Actuator {
  readonly #client: MqttClient;
  readonly #publisher: Publisher;
  readonly #reports: Target[] = [];
  readonly #seen = new Set<string>();
  readonly #finished = new Set<number>();
  #onFinished: (() => void) | undefined;

  constructor(client: MqttClient, ledger: Ledger) {
    this.#client = client;
    this.#publisher = new Publisher(client, ledger, {
      name: "valve",
      window: 8,
      next: () => {
        const target = this.#reports.shift();
        return target === undefined ? undefined : { target, qos: 2 };
      },
    });
    client.on("message", (_topic, payload) => {
      this.#hear(JSON.parse(payload.toString()) as ActionStatus);
    });
  }

  async subscribe(): Promise<void> {
    await this.#client.subscribeAsync(`status/${ACCOUNT}/things/valve/actions/#`, { qos: 1 });
  }

  /** Resolves when the gateway says that the request with this input is completed. */
  async finished(input: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#onFinished = () => {
        if (this.#finished.has(input)) resolve();
      };
      this.#onFinished();
    });
  }

  async idle(): Promise<void> {
    await this.#publisher.idle();
  }

  cut(): void {
    this.#publisher.cut();
  }

  stop(): void {
    this.#publisher.stop();
  }

  #hear({ open: { href, status, input } }: ActionStatus): void {
    if (status === "completed") {
      this.#finished.add(input);
      this.#onFinished?.();
    }
    if (status !== "pending" || this.#seen.has(href)) return;
    this.#seen.add(href);
    const report = { kind: "report", thing: "valve", name: "open", href } as const;
    this.#reports.push({ ...report, status: "running" }, { ...report, status: "completed" });
    this.#publisher.pump();
  }
}
