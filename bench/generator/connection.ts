import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { encodeConnect, encodeSubscribe, readFrames, TYPE, type Login } from "./frames.ts";

export type Endpoint = Login & { readonly host: string; readonly port: number };

/** What a connection does with what it hears. `bytes` is used again after the call. */
export type Listener = {
  /** A PUBACK. */
  readonly onPuback?: (packetId: number) => void;
  /** A PUBLISH at QoS 0 or 1: its packet id (0 at QoS 0) and where its payload stands. */
  readonly onPublish?: (packetId: number, bytes: Buffer, from: number, to: number) => void;
  /** After the frames of one read. */
  readonly onRead?: () => void;
};

/** Shared by all sockets: a read is taken in full before the next one begins. */
const READ_BUFFER = Buffer.allocUnsafeSlow(256 * 1024);
const NOTHING = Buffer.alloc(0);
const ANSWER_MS_MAX = 30_000;

/** One MQTT connection that sends ready frames and reads no more of an answer than it must. */
export class Connection {
  readonly #socket: Socket;
  #listener: Listener = {};
  /** The head of a frame whose rest has not come. */
  #rest: Buffer = NOTHING;
  #onAnswer: ((type: number, code: number) => void) | undefined;
  #failure: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
  }

  /** Resolves when the CONNACK has come. */
  static async open(
    endpoint: Endpoint,
    options: { readonly clientId: string; readonly clean: boolean },
  ): Promise<Connection> {
    const { host, port } = endpoint;
    const late: { connection?: Connection } = {};
    const socket = connect({
      host,
      port,
      noDelay: true,
      onread: {
        buffer: READ_BUFFER,
        callback: (count) => {
          if (late.connection !== undefined) late.connection.#read(count);
          return true;
        },
      },
    });
    const connection = new Connection(socket);
    late.connection = connection;
    socket.on("error", (error) => connection.#fail(error));
    socket.on("close", () => connection.#fail(new Error("the broker closed a connection")));
    const answer = connection.#answer(TYPE.connack);
    await Promise.race([once(socket, "connect"), answer]);
    socket.write(encodeConnect(options.clientId, options.clean, endpoint));
    const code = await answer;
    if (code !== 0) throw new Error(`CONNECT was answered ${code}`);
    return connection;
  }

  listen(listener: Listener): void {
    this.#listener = listener;
  }

  /** Resolves when the SUBACK has come. */
  async subscribe(filter: string, qos: 0 | 1): Promise<void> {
    const answer = this.#answer(TYPE.suback);
    this.write(encodeSubscribe(1, filter, qos));
    const code = await answer;
    if (code >= 0x80) throw new Error(`SUBSCRIBE to ${filter} was refused`);
  }

  /** The bytes must stay as they are until the broker has answered them. */
  write(bytes: Buffer): void {
    if (this.#failure === undefined) this.#socket.write(bytes);
  }

  /** Why the connection is gone, if it is. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** Reads no more: what comes is the broker's to keep. */
  freeze(): void {
    this.#socket.pause();
  }

  close(): void {
    this.#failure ??= new Error("closed");
    this.#socket.destroy();
  }

  /** `count` bytes have come into the shared buffer. */
  #read(count: number): void {
    const isWhole = this.#rest.length === 0;
    const chunk = READ_BUFFER.subarray(0, count);
    const bytes = isWhole ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = readFrames(bytes, 0, bytes.length, this.#take);
    this.#rest = end === bytes.length ? NOTHING : Buffer.from(bytes.subarray(end));
    this.#listener.onRead?.();
  }

  readonly #take = (first: number, bytes: Buffer, from: number, to: number): void => {
    const type = first >> 4;
    if (type === TYPE.puback) {
      this.#listener.onPuback?.(word(bytes, from));
    } else if (type === TYPE.publish) {
      const afterTopic = from + 2 + word(bytes, from);
      const hasId = (first & 0x06) !== 0;
      const packetId = hasId ? word(bytes, afterTopic) : 0;
      this.#listener.onPublish?.(packetId, bytes, afterTopic + (hasId ? 2 : 0), to);
    } else {
      // The last byte of a CONNACK and of a SUBACK with one filter is its code.
      this.#onAnswer?.(type, bytes[to - 1] ?? 0);
    }
  };

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#onAnswer?.(-1, 0);
  }

  /** The code of the next answer, which must be of this type. */
  async #answer(type: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`no answer in ${ANSWER_MS_MAX} ms`)),
        ANSWER_MS_MAX,
      );
      this.#onAnswer = (given, code) => {
        clearTimeout(timer);
        this.#onAnswer = undefined;
        if (given === type) resolve(code);
        else reject(this.#failure ?? new Error(`expected a packet of type ${type}, got ${given}`));
      };
    });
  }
}

function word(bytes: Buffer, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
