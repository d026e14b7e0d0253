import { Agent, request } from "node:http";

export type Answer = { readonly status: number; readonly body: unknown };

/** Requests over kept connections, some over one of their own. */
export class HttpClient {
  readonly #port: number;
  readonly #token: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 16 });

  constructor(port: number, token: string) {
    this.#port = port;
    this.#token = token;
  }

  /** Rejects if the connection fails. */
  async call(
    method: string,
    path: string,
    body?: unknown,
    options: { readonly authorization?: string; readonly once?: boolean } = {},
  ): Promise<Answer> {
    const { authorization = `Bearer ${this.#token}`, once = false } = options;
    return new Promise((resolve, reject) => {
      const sent = request({
        host: "127.0.0.1",
        port: this.#port,
        method,
        path,
        agent: once ? false : this.#agent,
        headers: { authorization, "content-type": "application/json" },
      });
      sent.on("error", reject);
      sent.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          const isJson = response.headers["content-type"]?.includes("json") === true;
          const status = response.statusCode ?? 0;
          resolve({ status, body: isJson ? (JSON.parse(text) as unknown) : text });
        });
      });
      sent.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }

  /** Closes the kept connections. */
  close(): void {
    this.#agent.destroy();
  }
}
