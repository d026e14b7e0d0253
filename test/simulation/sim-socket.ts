import { Duplex } from "node:stream";
import { tcpPeer, type Peer } from "../../src/channel.ts";

/**
 * One end of a connection as the gateway sees it. What it writes is held until the world delivers
 * it; the world hands it bytes cut as it likes.
 */
export class SimSocket extends Duplex {
  readonly peer: Peer;
  readonly #sent: Buffer[] = [];
  #heldWrites: (() => void)[] = [];
  /** A frozen reader: nothing is taken from us. */
  isFrozen = false;

  constructor(remoteAddress: string) {
    super({ allowHalfOpen: true });
    this.peer = tcpPeer("plain", remoteAddress);
    this.on("error", () => undefined);
  }

  /** What the gateway has sent since the last call. */
  arrived(): Buffer {
    for (const done of this.#heldWrites.splice(0)) done();
    return Buffer.concat(this.#sent.splice(0));
  }

  /** The network is cut: what was on its way is lost. */
  cut(): void {
    this.#sent.length = 0;
    this.#heldWrites = [];
    this.destroy();
  }

  override _read(): void {
    // Bytes come by `push`.
  }

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#sent.push(chunk);
    if (this.isFrozen) this.#heldWrites.push(done);
    else done();
  }
}
