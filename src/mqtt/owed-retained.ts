import type { Qos } from "./frame-kinds.ts";
import type { Message } from "./message.ts";

/** A retained message for one session. It is made when it is sent: there may be 100,000 of them. */
export type RetainedCopy = {
  readonly topic: string;
  /** At which the session gets it. */
  readonly qos: Qos;
  readonly message: () => Message;
};

/** What one SUBSCRIBE brings. Held: its SUBACK waits for the disk. */
type Run = { readonly after: number; isHeld: boolean };

/**
 * What a session is owed of the retained messages that its subscriptions match, one for each topic:
 * so the topics there are bound it, and it needs no room in the queue. Each has its place in the order
 * of the queue: behind what was queued before its subscription, ahead of what came later.
 */
export class OwedRetained {
  /** In the order of their places. */
  readonly #unsent = new Map<string, { readonly copy: RetainedCopy; readonly run: Run }>();
  /** Topics of those that were sent and not acknowledged, by counter. */
  readonly #inFlight = new Map<number, string>();
  #onDelivered: (() => void) | undefined;

  get isEmpty(): boolean {
    return this.#unsent.size === 0;
  }

  /**
   * Owes copies, in the place behind the message `after`. They, and what stands behind them, are held
   * until what is returned is called. `onDelivered` is called when nothing is owed any more.
   */
  owe(copies: readonly RetainedCopy[], after: number, onDelivered: () => void): () => void {
    const run = { after, isHeld: true };
    this.#onDelivered = onDelivered;
    for (const copy of copies) {
      // The newer copy of a topic is enough, in the newer place.
      this.#unsent.delete(copy.topic);
      this.#unsent.set(copy.topic, { copy, run });
    }
    return () => {
      run.isHeld = false;
      this.#tell();
    };
  }

  /**
   * Gives out those that stand ahead of the message `before`, as long as they may go. `send` returns
   * as which message one goes, if it will be acknowledged. False: not all may go.
   */
  pump(
    before: number,
    mayGo: (copy: RetainedCopy) => boolean,
    send: (copy: RetainedCopy) => number | undefined,
  ): boolean {
    for (const { copy, run } of this.#unsent.values()) {
      if (run.after >= before) return true;
      if (run.isHeld || !mayGo(copy)) return false;
      this.#unsent.delete(copy.topic);
      const counter = send(copy);
      if (counter !== undefined) this.#inFlight.set(counter, copy.topic);
    }
    return true;
  }

  /** Message `counter`, found on disk at the start, is one of these. */
  restore(counter: number, topic: string): void {
    this.#inFlight.set(counter, topic);
  }

  isInFlight(topic: string): boolean {
    return [...this.#inFlight.values()].includes(topic);
  }

  /** Message `counter` has been acknowledged, or is owed no more: it need not be one of these. */
  acknowledged(counter: number): void {
    if (this.#inFlight.delete(counter)) this.#tell();
  }

  keepOnly(keeps: (copy: RetainedCopy) => boolean): void {
    for (const { copy } of this.#unsent.values()) {
      if (!keeps(copy)) this.#unsent.delete(copy.topic);
    }
    this.#tell();
  }

  /** The session has ended: nothing is owed, and nobody is told. */
  clear(): void {
    this.#onDelivered = undefined;
    this.#unsent.clear();
    this.#inFlight.clear();
  }

  #tell(): void {
    if (this.#unsent.size > 0 || this.#inFlight.size > 0) return;
    const onDelivered = this.#onDelivered;
    this.#onDelivered = undefined;
    onDelivered?.();
  }
}
