import type { LineFailure, MessageFailure } from "./line-failure.ts";

/** Called once: no failure means that the broker has acknowledged it. */
export type Settled = (failure: LineFailure | MessageFailure | undefined) => void;

/** What is acknowledged by its packet id. */
type Kind = "publish" | "subscribe" | "unsubscribe";

type Waiting = { readonly kind: Kind; readonly bytes: number; readonly settled: Settled };

/** Ids from here on are for what has no number of its own: presence, SUBSCRIBE. */
export const FIRST_FREE_ID = 60_001;
const LAST_ID = 65_535;

/**
 * The packet id of the item with this number: the same whenever it is sent, as [MQTT-4.4.0-1] wants of
 * what is sent again, with nothing to remember.
 */
export function packetIdOf(seq: number): number {
  return ((seq - 1) % (FIRST_FREE_ID - 1)) + 1;
}

/** What was sent and waits for its acknowledgement, by packet id. */
export class Flight {
  readonly #waiting = new Map<number, Waiting>();
  #bytes = 0;
  #next = FIRST_FREE_ID;

  get count(): number {
    return this.#waiting.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** `wanted` if it is free, otherwise one nobody else has. */
  takeId(wanted?: number): number {
    if (wanted !== undefined && !this.#waiting.has(wanted)) return wanted;
    for (let tried = FIRST_FREE_ID; tried <= LAST_ID; tried += 1) {
      const id = this.#next;
      this.#next = id === LAST_ID ? FIRST_FREE_ID : id + 1;
      if (!this.#waiting.has(id)) return id;
    }
    throw new Error("more is under way than a window allows");
  }

  add(kind: Kind, packetId: number, bytes: number, settled: Settled): void {
    this.#waiting.set(packetId, { kind, bytes, settled });
    this.#bytes += bytes;
  }

  /**
   * `oldest`: it was the one that waits the longest, as it is with a broker that keeps the order;
   * `unknown`: nothing of this kind waits under this id.
   */
  settle(
    kind: Kind,
    packetId: number,
    failure?: LineFailure | MessageFailure,
  ): "oldest" | "later" | "unknown" {
    const waiting = this.#waiting.get(packetId);
    if (waiting?.kind !== kind) return "unknown";
    const [oldest] = this.#waiting.keys();
    this.#waiting.delete(packetId);
    this.#bytes -= waiting.bytes;
    waiting.settled(failure);
    return packetId === oldest ? "oldest" : "later";
  }

  /** The line is gone. */
  failAll(failure: LineFailure): void {
    const all = [...this.#waiting.values()];
    this.#waiting.clear();
    this.#bytes = 0;
    for (const { settled } of all) settled(failure);
  }
}
