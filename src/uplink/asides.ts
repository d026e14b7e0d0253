import { FIXED_LIMITS } from "../limits.ts";
import type { Settled } from "./line-flight.ts";
import type { Line } from "./line.ts";
import type { UpMessage } from "./message.ts";

/**
 * Messages that are not owed: about the gateway itself, and why something from upstream was refused.
 * They go before what is owed, in the window as all others, and end with the line.
 */
export class Asides {
  readonly #line: Pick<Line, "send">;
  readonly #onRoom: () => void;
  readonly #waiting: { readonly message: UpMessage; readonly settled: Settled }[] = [];

  constructor(line: Pick<Line, "send">, onRoom: () => void) {
    this.#line = line;
    this.#onRoom = onRoom;
  }

  /** False: there are too many, and it is lost. */
  add(message: UpMessage, settled: Settled): boolean {
    if (this.#waiting.length >= FIXED_LIMITS.uplinkAsidesMax) return false;
    this.#waiting.push({ message, settled });
    return true;
  }

  send(hasRoom: () => boolean): void {
    while (hasRoom()) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#line.send(next.message, {}, (failure) => {
        next.settled(failure);
        this.#onRoom();
      });
    }
  }
}
