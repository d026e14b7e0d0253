import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Outlet } from "./session.ts";

/** Bytes that may wait in a socket. */
export const OUT_BYTES_MAX = FIXED_LIMITS.outBytesMax;

/** The way out to one client: the packets of one turn leave in one system call. */
export class SocketOutlet implements Outlet {
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #onFrozen: () => void;
  #isCorked = false;

  constructor(socket: Socket, clock: Clock, onFrozen: () => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#onFrozen = onFrozen;
  }

  send(packet: Buffer): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#isCorked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(packet);
    if (this.#socket.writableLength > OUT_BYTES_MAX) {
      this.#onFrozen();
      this.#socket.destroy();
    }
  }

  isClogged(): boolean {
    return this.#socket.writableLength > FIXED_LIMITS.cloggedBytesMax;
  }

  onDrained(callback: () => void): void {
    this.#socket.on("drain", callback);
  }

  /** What is buffered still goes out. */
  end(): void {
    this.#socket.end();
    this.#clock.after(FIXED_LIMITS.lingerMs, () => this.#socket.destroy());
  }
}
