import { connect as dial } from "node:net";

/** What came back on one connection: the last response, and whether anything was no HTTP. */
export type Answer = {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
};

/** `closed`: the connection ended without a response. `silent`: nothing within the deadline. */
export type Exchange =
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "closed" | "silent" | "garbage"; readonly bytes: Buffer };

const DEADLINE_MS = 10_000;

/**
 * Sends the bytes on a connection of their own and reads until it ends. `endsFirst`: the client
 * closes its side behind them, as one that claims more than it sends.
 */
export async function exchange(
  port: number,
  request: { readonly bytes: Buffer; readonly endsFirst: boolean },
): Promise<Exchange> {
  const socket = dial({ port, host: "127.0.0.1", allowHalfOpen: true });
  const chunks: Buffer[] = [];
  const isInTime = await new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => resolve(false), DEADLINE_MS);
    const end = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    socket.on("data", (chunk) => chunks.push(chunk));
    // A reset behind an answer: the gateway would not read all that was sent.
    socket.on("error", end);
    socket.on("end", end);
    socket.write(request.bytes);
    if (request.endsFirst) socket.end();
  });
  socket.destroy();
  const bytes = Buffer.concat(chunks);
  const answer = readAnswer(bytes);
  if (answer === "garbage") return { kind: "garbage", bytes };
  if (answer !== undefined) return { kind: "answer", answer };
  return { kind: isInTime ? "closed" : "silent", bytes };
}

/** `undefined`: nothing, or no more than that the body may come. */
function readAnswer(bytes: Buffer): Answer | "garbage" | undefined {
  let at = 0;
  for (;;) {
    if (at === bytes.length) return undefined;
    const headEnd = bytes.indexOf("\r\n\r\n", at);
    if (headEnd === -1) return "garbage";
    const [statusLine = "", ...lines] = bytes.toString("latin1", at, headEnd).split("\r\n");
    const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine)?.[1] ?? 0);
    if (status === 0) return "garbage";
    at = headEnd + 4;
    if (status === 100) continue;
    const headers = new Map(
      lines.map((line) => {
        const colon = line.indexOf(":");
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()] as const;
      }),
    );
    return { status, headers, body: bytes.subarray(at) };
  }
}
