import type { Duplex } from "node:stream";
import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { ACK_BYTES, writeAck, type AckByte } from "./answers.ts";
import { publishBytes, writePublish, type Message, type PublishHeader } from "./message.ts";
import type { Outlet } from "./session.ts";

/** Bytes that may wait in a socket. */
export const OUT_BYTES_MAX = FIXED_LIMITS.outBytesMax;

const COPIED_BYTES_MAX = FIXED_LIMITS.copiedBytesMax;
const CHUNK_BYTES_MIN = 64;
const NOTHING = Buffer.alloc(0);

/**
 * The way out to one client. The packets of one turn are written one behind the other into one
 * buffer, and leave in one system call: a buffer for each costs more than all else that is done for
 * them.
 */
export class SocketOutlet implements Outlet {
  readonly #socket: Duplex;
  readonly #clock: Clock;
  readonly #onFrozen: () => void;
  /** What leaves at the end of this turn; filled up to `#used`. */
  #chunk: Buffer = NOTHING;
  #used = 0;
  /** Bytes of the last turn: the next one is likely to need as much. */
  #usual = CHUNK_BYTES_MIN;
  #isScheduled = false;

  constructor(socket: Duplex, clock: Clock, onFrozen: () => void) {
    this.#socket = socket;
    this.#clock = clock;
    this.#onFrozen = onFrozen;
  }

  send(packet: Buffer): void {
    if (packet.length > COPIED_BYTES_MAX) {
      this.#write();
      this.#give(packet);
      return;
    }
    const at = this.#take(packet.length);
    this.#chunk.set(packet, at);
  }

  sendAck(first: AckByte, packetId: number): void {
    const at = this.#take(ACK_BYTES);
    writeAck(this.#chunk, at, first, packetId);
  }

  sendPublish(message: Message, header: PublishHeader): void {
    const bytes = publishBytes(message, header.qos);
    if (bytes > COPIED_BYTES_MAX) this.#write();
    const at = this.#take(bytes);
    writePublish(this.#chunk, at, message, header);
  }

  isClogged(): boolean {
    return this.#socket.writableLength + this.#used > FIXED_LIMITS.cloggedBytesMax;
  }

  onDrained(callback: () => void): void {
    this.#socket.on("drain", callback);
  }

  /** What is buffered still goes out. */
  end(): void {
    this.#write();
    this.#socket.end();
    this.#clock.after(FIXED_LIMITS.lingerMs, () => this.#socket.destroy());
  }

  /** Room for so many bytes, from the place that is returned. */
  #take(bytes: number): number {
    if (this.#used + bytes > this.#chunk.length) {
      const grown = Math.min(2 * this.#chunk.length, COPIED_BYTES_MAX);
      this.#write();
      this.#chunk = Buffer.allocUnsafe(Math.max(this.#usual, grown, bytes));
    }
    if (!this.#isScheduled) {
      this.#isScheduled = true;
      process.nextTick(() => {
        this.#isScheduled = false;
        this.#usual = Math.min(Math.max(this.#used, CHUNK_BYTES_MIN), COPIED_BYTES_MAX);
        this.#write();
        this.#chunk = NOTHING; // An idle connection keeps none.
      });
    }
    const at = this.#used;
    this.#used += bytes;
    return at;
  }

  #write(): void {
    if (this.#used === 0) return;
    const filled = this.#chunk.subarray(0, this.#used);
    // The rest of the chunk is still free: what the socket has got is not written to.
    this.#chunk = this.#chunk.subarray(this.#used);
    this.#used = 0;
    this.#give(filled);
  }

  #give(bytes: Buffer): void {
    if (this.#socket.destroyed || this.#socket.writableEnded) return;
    this.#socket.write(bytes);
    if (this.#socket.writableLength > OUT_BYTES_MAX) {
      this.#onFrozen();
      this.#socket.destroy();
    }
  }
}
