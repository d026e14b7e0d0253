import type { Socket } from "node:net";
import type { Clock } from "../clock.ts";
import type { Outlet } from "./session.ts";

/** Bytes waiting for a slow reader beyond which QoS 0 messages to it are dropped. */
const CLOGGED_BYTES = 1024 * 1024;
/** Beyond which its connection ends: a frozen reader costs itself only. */
export const OUT_BYTES_MAX = 32 * 1024 * 1024;
/** A peer that does not read its last packets has this long, then it is cut off. */
const LINGER_MS = 1_000;

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
    return this.#socket.writableLength > CLOGGED_BYTES;
  }

  /** What is buffered still goes out. */
  end(): void {
    this.#socket.end();
    this.#clock.after(LINGER_MS, () => this.#socket.destroy());
  }
}
