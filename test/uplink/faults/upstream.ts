import { connect, type MqttClient } from "mqtt";
import type { Dice } from "../../crash/dice.ts";

/** A message as upstream's broker gave it to a subscriber. */
export type Received = {
  readonly topic: string;
  readonly payload: string;
  /** User properties: what a message says of itself. */
  readonly id: string;
  readonly seq: number;
  readonly isBacklog: boolean;
};

/** Something an application upstream asked for; `k` is its own. */
export type Command = {
  readonly k: number;
  readonly kind: "request" | "value";
  readonly hasId: boolean;
  /** Of the broker: after so many seconds it forgets it. */
  readonly expiryS?: number;
  /** Of the request. */
  readonly timeoutS?: number;
  readonly sentMs: number;
  isAcknowledged: boolean;
};

/** An application at upstream's broker: hears everything, and asks for something now and then. */
export class Upstream {
  readonly received: Received[] = [];
  readonly commands: Command[] = [];
  readonly #client: MqttClient;
  readonly #dice: Dice;
  #timer: NodeJS.Timeout | undefined;
  #onIdle: () => void = () => undefined;

  private constructor(client: MqttClient, dice: Dice) {
    this.#client = client;
    this.#dice = dice;
    client.on("message", (topic, payload, { properties }) => {
      const said = properties?.userProperties ?? {};
      const id = String(said["id"] ?? "");
      const [seq, isBacklog] = [Number(said["seq"] ?? 0), said["backlog"] === "true"];
      this.received.push({ topic, payload: payload.toString(), id, seq, isBacklog });
    });
  }

  static async start(port: number, dice: Dice): Promise<Upstream> {
    const client = connect({
      host: "127.0.0.1",
      port,
      protocolVersion: 5,
      clientId: "application",
    });
    const upstream = new Upstream(client, dice);
    await new Promise<void>((resolve, reject) => {
      client.once("connect", () => resolve());
      client.once("error", reject);
    });
    await client.subscribeAsync(["status/#", "site/data/#"], { qos: 1 });
    return upstream;
  }

  /** Asks for something every few milliseconds, until `pause` is called. */
  ask(everyMsMax: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#askOnce();
      this.ask(everyMsMax);
    }, this.#dice.below(everyMsMax));
  }

  /** Resolves when the broker has acknowledged what was asked for. */
  async pause(): Promise<void> {
    clearTimeout(this.#timer);
    while (this.commands.some(({ isAcknowledged }) => !isAcknowledged)) {
      await new Promise<void>((resolve) => (this.#onIdle = resolve));
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#client.end(true);
  }

  #askOnce(): void {
    const dice = this.#dice;
    const k = this.commands.length + 1;
    const command: Command = {
      k,
      kind: dice.chance(0.6) ? "request" : "value",
      hasId: dice.chance(0.5),
      ...(dice.chance(0.1) ? { expiryS: 1 } : {}),
      ...(dice.chance(0.3) ? { timeoutS: 1 + dice.below(3) } : {}),
      sentMs: performance.now(),
      isAcknowledged: false,
    };
    this.commands.push(command);
    const { topic, payload } = publishOf(command);
    const properties = {
      ...(command.expiryS === undefined ? {} : { messageExpiryInterval: command.expiryS }),
      ...(command.hasId ? { userProperties: { id: `command-${k}` } } : {}),
    };
    this.#client.publish(topic, JSON.stringify(payload), { qos: 1, properties }, () => {
      command.isAcknowledged = true;
      this.#onIdle();
    });
  }
}

function publishOf({ k, kind, timeoutS }: Command) {
  const thing = "set/site/things/actor";
  if (kind === "value") return { topic: `${thing}/properties/setpoint`, payload: { setpoint: k } };
  const timeout = timeoutS === undefined ? {} : { timeout: timeoutS };
  return { topic: `${thing}/actions/do`, payload: { do: { input: k, ...timeout } } };
}
