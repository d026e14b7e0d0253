import type { Limits } from "../limits.ts";

/**
 * How much all sessions together are owed. It has a bound of its own: were each session to fill its
 * queue, memory would not do. When it is reached, a session that has less than its even share may
 * still fill that: whoever stays away for long does not use up the room of the others.
 */
export class QueueRoom {
  readonly #limits: Pick<Limits, "queued_messages">;
  readonly #sessions: () => number;
  #messages = 0;

  /** `sessions`: how many share it. */
  constructor(limits: Pick<Limits, "queued_messages">, sessions: () => number) {
    this.#limits = limits;
    this.#sessions = sessions;
  }

  get messages(): number {
    return this.#messages;
  }

  take(): void {
    this.#messages += 1;
  }

  giveBack(): void {
    this.#messages -= 1;
  }

  /** There is none left for a session that is owed so many messages. */
  isGoneFor(messages: number): boolean {
    const bound = this.#limits.queued_messages;
    return this.#messages >= bound && messages * this.#sessions() >= bound;
  }
}
