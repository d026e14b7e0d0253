import type { MqttClient } from "mqtt";
import type { Dice } from "../../crash/dice.ts";
import { connectClient, type Login } from "../../crash/mqtt-client.ts";

/** Something a device told the gateway: `value` is its own. */
export type Write = {
  readonly kind: "property" | "event" | "data";
  readonly thing: string;
  readonly value: number;
  isAcknowledged: boolean;
};

/** So much it says before it is answered. */
export const WINDOW = 8;

/** A device that reports, over a persistent session, and sends again what was not acknowledged. */
export class Reporter {
  readonly writes: Write[] = [];
  readonly #client: MqttClient;
  readonly #thing: string;
  readonly #dice: Dice;
  #unanswered = 0;
  #isOn = false;
  #timer: NodeJS.Timeout | undefined;
  #onIdle: () => void = () => undefined;

  constructor(login: Login, thing: string, dice: Dice) {
    this.#client = connectClient(login);
    this.#thing = thing;
    this.#dice = dice;
  }

  report(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    this.#pump();
  }

  /** Resolves when everything is acknowledged. */
  async pause(): Promise<void> {
    this.#isOn = false;
    clearTimeout(this.#timer);
    while (this.#unanswered > 0) {
      await new Promise<void>((resolve) => (this.#onIdle = resolve));
    }
  }

  stop(): void {
    this.#isOn = false;
    clearTimeout(this.#timer);
    this.#client.end(true);
  }

  #pump(): void {
    if (!this.#isOn) return;
    if (this.#unanswered < WINDOW) this.#send();
    this.#timer = setTimeout(() => this.#pump(), this.#dice.below(12));
  }

  #send(): void {
    const kind = this.#dice.pick(["property", "property", "event", "data"] as const);
    const thing = this.#thing;
    const write: Write = { kind, thing, value: this.writes.length + 1, isAcknowledged: false };
    this.writes.push(write);
    this.#unanswered += 1;
    const [topic, payload] = publishOf(write);
    this.#client.publish(topic, JSON.stringify(payload), { qos: 1 }, (error) => {
      this.#unanswered -= 1;
      if (!error) write.isAcknowledged = true;
      if (this.#unanswered === 0) this.#onIdle();
    });
  }
}

function publishOf({ kind, thing, value }: Write): readonly [topic: string, payload: unknown] {
  const set = `set/site/things/${thing}`;
  switch (kind) {
    case "property":
      return [`${set}/properties/level`, { level: value }];
    case "event":
      return [`${set}/events/tick`, { tick: { data: value } }];
    case "data":
      return [`site/data/${thing}`, { value }];
  }
}

const ACTIONS = "site/things/actor/actions/do";

/** A device that does what it is asked for, and says so. */
export class Actor {
  /** By `k` of the command, the times at which it was told. */
  readonly told = new Map<number, number[]>();
  /** Reports that the gateway has not acknowledged. */
  unanswered = 0;
  #isStopped = false;
  readonly #client: MqttClient;

  private constructor(client: MqttClient) {
    this.#client = client;
    this.#client.on("message", (_, payload) => {
      const request = (JSON.parse(payload.toString()) as { do: ShownRequest }).do;
      if (request.status !== "pending") return;
      const before = this.told.get(request.input) ?? [];
      this.told.set(request.input, [...before, performance.now()]);
      const report = { do: { href: request.href, status: "completed" } };
      // Not within the packet: MQTT.js has yet to take note of it.
      this.unanswered += 1;
      setImmediate(() => this.#report(JSON.stringify(report)));
    });
  }

  /** Resolves when it hears what it is asked for. */
  static async start(login: Login): Promise<Actor> {
    const actor = new Actor(connectClient(login));
    await actor.#client.subscribeAsync(`status/${ACTIONS}`, { qos: 1 });
    return actor;
  }

  stop(): void {
    this.#isStopped = true;
    this.#client.end(true);
  }

  /** MQTT.js gives up what was published while it sends again what it had stored: until it is taken. */
  #report(report: string): void {
    this.#client.publish(`set/${ACTIONS}`, report, { qos: 1 }, (error) => {
      if (error && !this.#isStopped) setTimeout(() => this.#report(report), RETRY_MS);
      else this.unanswered -= 1;
    });
  }
}

const RETRY_MS = 20;

type ShownRequest = { readonly href: string; readonly status: string; readonly input: number };
