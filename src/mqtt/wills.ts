import type { CancelTimer, Clock } from "../clock.ts";
import { isUsable, principalOf } from "../interactions/authentication.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { topicLevels } from "../thing/topics.ts";
import { takePublish, type InboundDeps } from "./inbound.ts";
import { willKey, writeWill, type MqttRows, type WillRow } from "./session-rows.ts";

/**
 * Wills (MQTT 3.1.1 §3.1.2.5): each is a publish of its credential. They are on disk while their
 * connection is open, so that those of clients that do not return after a crash are published, once.
 */
export class Wills {
  readonly #deps: InboundDeps;
  readonly #clock: Clock;
  readonly #byClient: Map<string, WillRow>;
  /** Clients that were connected when the gateway ended, and are not back yet. */
  readonly #orphans: Set<string>;
  #cancelTimer: CancelTimer | undefined;

  constructor(deps: InboundDeps, clock: Clock, rows: MqttRows["wills"]) {
    this.#deps = deps;
    this.#clock = clock;
    this.#byClient = new Map(rows);
    this.#orphans = new Set(rows.keys());
  }

  start(): void {
    if (this.#orphans.size === 0) return;
    this.#cancelTimer = this.#clock.after(FIXED_LIMITS.willGraceMs, () => {
      for (const clientId of [...this.#orphans]) this.publish(clientId);
    });
  }

  /** The CONNECT of a client: its will, or none, in place of the one before. In the open batch. */
  set(clientId: string, will: WillRow | undefined): void {
    this.#orphans.delete(clientId);
    if (will === undefined) {
      this.drop(clientId);
      return;
    }
    this.#byClient.set(clientId, will);
    this.#deps.interactions.store.commit.put(willKey(clientId), writeWill(will));
  }

  /** DISCONNECT: the will is not published [MQTT-3.1.2-10]. */
  drop(clientId: string): void {
    this.#orphans.delete(clientId);
    if (!this.#byClient.delete(clientId)) return;
    this.#deps.interactions.store.commit.delete(willKey(clientId));
  }

  /** The connection ended without DISCONNECT [MQTT-3.1.2-8]: in the batch that forgets the will. */
  publish(clientId: string): void {
    const will = this.#byClient.get(clientId);
    this.drop(clientId);
    if (will === undefined) return;
    const { interactions } = this.#deps;
    const credential = interactions.store.credentials.get(will.credential);
    if (credential === undefined || !isUsable(interactions, credential)) return;
    const { topic, payload, qos, retain } = will;
    takePublish(this.#deps, {
      principal: principalOf(credential),
      clientId,
      topic,
      levels: topicLevels(topic),
      payload,
      qos,
      retain,
    });
  }

  /** A stop of the gateway is not the death of its clients: none is published, none is left. */
  stop(): void {
    this.#cancelTimer?.();
    for (const clientId of [...this.#byClient.keys()]) this.drop(clientId);
  }
}
