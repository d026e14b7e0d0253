import type { OutboxStream, Owed } from "../../src/store/outbox-items.ts";
import type { DrainDeps } from "../../src/uplink/drain.ts";
import { LineFailure, type MessageFailure } from "../../src/uplink/line-failure.ts";
import type { SendOptions } from "../../src/uplink/line.ts";
import type { Settled } from "../../src/uplink/line-flight.ts";
import type { UpMessage } from "../../src/uplink/message.ts";

/** Something owed; of the drain's concern are its number and its size only. */
export function owedOf(seq: number): Owed {
  const gap = { from: seq, to: seq, class: "event", cause: "deleted", since: 0, until: 0 } as const;
  const item = { kind: "gap", gap } as const;
  return {
    seq,
    id: `id-${seq}`,
    at: 0,
    item,
    isNew: true,
    isBacklog: false,
    isPresent: true,
    bytes: 10,
  };
}

/** An outbox in memory: what is owed by stream, and what it was told. */
export class OwedModel implements Pick<
  DrainDeps["outbox"],
  "take" | "acknowledge" | "giveUp" | "onOwed"
> {
  readonly #streams = new Map<OutboxStream, Owed[]>();
  readonly acknowledged: number[] = [];
  readonly givenUp: (readonly [seq: number, cause: string])[] = [];
  readonly taken: (readonly [stream: OutboxStream, most: number])[] = [];
  failsNext = false;
  #onOwed: () => void = () => undefined;

  add(stream: OutboxStream, ...seqs: readonly number[]): void {
    const owed = this.#streams.get(stream) ?? [];
    this.#streams.set(stream, [...owed, ...seqs.map(owedOf)]);
    this.#onOwed();
  }

  take = async (stream: OutboxStream, most: number): Promise<readonly Owed[]> => {
    this.taken.push([stream, most]);
    if (this.failsNext) {
      this.failsNext = false;
      return Promise.reject(new Error("the database cannot be read now"));
    }
    const owed = this.#streams.get(stream) ?? [];
    return Promise.resolve(owed.splice(0, most));
  };

  acknowledge = (seq: number): void => void this.acknowledged.push(seq);

  giveUp = (seq: number, cause: string): void => void this.givenUp.push([seq, cause]);

  onOwed = (callback: () => void): (() => void) => {
    this.#onOwed = callback;
    return () => (this.#onOwed = () => undefined);
  };
}

export type Sent = {
  readonly message: UpMessage;
  readonly options: SendOptions;
  readonly settle: (failure?: LineFailure | MessageFailure) => void;
};

/** A line that acknowledges when it is told to. */
export class LineModel {
  readonly sent: Sent[] = [];
  #waiting = 0;
  #bytes = 0;

  get inFlight(): { readonly count: number; readonly bytes: number } {
    return { count: this.#waiting, bytes: this.#bytes };
  }

  send = (message: UpMessage, options: SendOptions, settled: Settled): number => {
    this.#waiting += 1;
    this.#bytes += message.payload.length;
    let isSettled = false;
    const settle = (failure?: LineFailure | MessageFailure): void => {
      if (isSettled) return;
      isSettled = true;
      this.#waiting -= 1;
      this.#bytes -= message.payload.length;
      settled(failure);
    };
    this.sent.push({ message, options, settle });
    return options.packetId ?? 60_001;
  };

  /** What was sent, by the text of its payload. */
  get texts(): readonly string[] {
    return this.sent.map(({ message }) => message.payload.toString());
  }

  end(): void {
    for (const { settle } of [...this.sent]) settle(new LineFailure("closed", "cut"));
  }
}

export function upMessage(text: string): UpMessage {
  return { topic: `t/${text}`, payload: Buffer.from(text), retain: false };
}

/** Until everything that waits for nothing but its turn has run. */
export async function settle(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
}
