import type { Readable, Writable } from "node:stream";

export type Result = Readonly<Record<string, unknown>>;

/** An event of the DevTools protocol. */
export type Told = { readonly method: string; readonly params: Result };

type Message = Told & {
  readonly id?: number;
  readonly result?: Result;
  readonly error?: { readonly message: string };
};

type Waiting = {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
};

/** The DevTools protocol over a pair of pipes: one JSON text a message, each ended by NUL. */
export class Conversation {
  listener: (told: Told) => void = () => undefined;
  readonly #to: Writable;
  readonly #waiting = new Map<number, Waiting>();
  #sent = 0;
  #rest: Buffer = Buffer.alloc(0);

  constructor(to: Writable, from: Readable) {
    this.#to = to;
    to.on("error", () => this.end("the browser does not listen"));
    from.on("data", (chunk: Buffer) => this.#read(chunk));
    from.on("close", () => this.end("the browser has ended"));
  }

  /** @throws Error with what the browser complains of. */
  async send(method: string, params: object = {}, sessionId?: string): Promise<Result> {
    const id = (this.#sent += 1);
    const answer = new Promise<Result>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
    });
    this.#to.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return answer;
  }

  /** Nothing more comes. */
  end(reason: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(reason));
    this.#waiting.clear();
  }

  #read(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    for (;;) {
      const end = this.#rest.indexOf(0);
      if (end < 0) return;
      const text = this.#rest.subarray(0, end).toString();
      this.#rest = this.#rest.subarray(end + 1);
      this.#take(JSON.parse(text) as Message);
    }
  }

  #take(message: Message): void {
    const { id, error, result = {} } = message;
    if (id === undefined) {
      this.listener(message);
      return;
    }
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) waiting?.resolve(result);
    else waiting?.reject(new Error(error.message));
  }
}
