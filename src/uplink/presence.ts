import type { CancelTimer, Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Outbox } from "../store/outbox.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import type { UpMessage } from "./message.ts";

export type PresenceDeps = {
  readonly clock: Clock;
  readonly version: string;
  /** Of the next line: `makeEpochs`. */
  readonly nextEpoch: () => number;
  readonly outbox: { readonly state: Pick<Outbox["state"], "ackedSeq" | "depth"> };
};

/** Tries of one start of the gateway, ten a second for three years: those of the next start are higher. */
const EPOCHS_PER_BOOT = 1_000_000_000;

/**
 * Epochs that grow over lines, changes of settings, uplinks that are made anew and starts of the gateway.
 * `boot` counts the starts: `Store.boot`.
 */
export function makeEpochs(boot: number): () => number {
  let tries = 0;
  return () => {
    tries += 1;
    return boot * EPOCHS_PER_BOOT + tries;
  };
}

/**
 * Whether the gateway is there, as upstream sees it: retained on one topic, by a birth, a last will, and
 * what is known of the backlog now and then.
 *
 * The epoch grows with each line: the will of a line that broke may come behind the birth of the next
 * one, and whoever reads both believes the higher.
 */
export class Presence {
  readonly #deps: PresenceDeps;
  #epoch = 0;
  #last: { readonly text: string; readonly atMs: number; readonly isEmpty: boolean } | undefined;
  #cancelTimer: CancelTimer | undefined;

  constructor(deps: PresenceDeps) {
    this.#deps = deps;
  }

  /** Before each CONNECT: what upstream's broker says when the line breaks. */
  will(topic: string): UpMessage {
    this.#epoch = this.#deps.nextEpoch();
    return this.#message(topic, { state: "offline", ...this.#place() });
  }

  /** The line is open: says so, and goes on to say how it stands, until `closed` is called. */
  opened(topic: string, publish: (message: UpMessage) => void): void {
    this.#last = undefined;
    const look = (): void => {
      const message = this.#next(topic);
      if (message !== undefined) publish(message);
      this.#cancelTimer = this.#deps.clock.after(FIXED_LIMITS.uplinkPresenceLookMs, look);
    };
    look();
  }

  closed(): void {
    this.#cancelTimer?.();
  }

  /** Before a DISCONNECT, which takes the will back: the gateway stops, or the uplink is paused. */
  goodbye(topic: string): UpMessage {
    return this.#message(topic, { state: "offline", ...this.#place(), ...this.#backlog() });
  }

  /** Once a minute if something is new, and as soon as nothing waits any more. */
  #next(topic: string): UpMessage | undefined {
    const nowMs = this.#deps.clock.monotonicMs();
    const content = { state: "online", ...this.#place(), ...this.#backlog() };
    const text = JSON.stringify(content);
    const isEmpty = this.#deps.outbox.state.depth.rows === 0;
    const last = this.#last;
    if (last !== undefined) {
      const hasDrained = isEmpty && !last.isEmpty;
      const isDue = nowMs - last.atMs >= FIXED_LIMITS.uplinkPresenceMs;
      if (text === last.text || !(hasDrained || isDue)) return undefined;
    }
    this.#last = { text, atMs: nowMs, isEmpty };
    return this.#message(topic, content);
  }

  #place(): JsonObject {
    const { version, outbox } = this.#deps;
    return { epoch: this.#epoch, sequence: outbox.state.ackedSeq, version };
  }

  #backlog(): JsonObject {
    const { rows, bytes, oldestAgeMs } = this.#deps.outbox.state.depth;
    return { depth: { rows, bytes, oldest_age_s: Math.round(oldestAgeMs / 1000) } };
  }

  #message(topic: string, content: JsonObject): UpMessage {
    const timestamp = formatTime(this.#deps.clock.wallMs());
    return {
      topic,
      payload: Buffer.from(JSON.stringify({ ...content, timestamp })),
      retain: true,
    };
  }
}
