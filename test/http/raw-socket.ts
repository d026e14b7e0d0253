import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** A connection that says what it is told, byte for byte, and keeps what it hears. */
export class RawSocket {
  readonly socket: Socket;
  #heard = "";
  readonly #closed: Promise<unknown>;

  private constructor(socket: Socket) {
    this.socket = socket;
    this.#closed = once(socket, "close");
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => (this.#heard += text));
    // A reset is an end as any other: what was heard before it counts.
    socket.on("error", () => undefined);
  }

  /** `from`: the address of this machine that it comes from. */
  static async open(port: number, from = "127.0.0.1"): Promise<RawSocket> {
    const socket = connect({ port, host: "127.0.0.1", localAddress: from });
    await once(socket, "connect");
    return new RawSocket(socket);
  }

  send(text: string): void {
    this.socket.write(text, "latin1");
  }

  /** Resolves with everything heard so far once it matches. */
  async heard(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#heard)) {
      if (this.socket.closed) throw new Error(`closed, and heard only ${this.#heard}`);
      await Promise.race([once(this.socket, "data"), this.#closed]);
    }
    return this.#heard;
  }

  /** Resolves with everything heard once the other end has closed. */
  async closed(): Promise<string> {
    await this.#closed;
    return this.#heard;
  }
}
