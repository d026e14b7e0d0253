import { FIXED_LIMITS } from "../limits.ts";

/** What Node reads from a socket at once. As much as that: there may be more. */
const READ_BYTES = 65_536;

/**
 * One client's turn: it ends after so many frames, or a full read, and the next begins when the event
 * loop has been round all others. Else libuv would read 32 times in a row from who floods.
 */
export class Turn {
  readonly #onNext: () => void;
  #frames = 0;
  #isOver = false;

  constructor(onNext: () => void) {
    this.#onNext = onNext;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** So many bytes were read, and what can be taken of them has been. */
  isOverAfter(bytes: number): boolean {
    if (bytes >= READ_BYTES) this.#end();
    return this.#isOver;
  }

  /** A frame was taken. */
  took(): void {
    this.#frames += 1;
    if (this.#frames >= FIXED_LIMITS.turnFramesMax) this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    setImmediate(() => {
      this.#frames = 0;
      this.#isOver = false;
      this.#onNext();
    });
  }
}
