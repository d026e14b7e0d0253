import { request, type IncomingMessage } from "node:http";
import { CLI_EXIT, CliError } from "./exit.ts";

/** What the daemon answered: a JSON object, whatever its status. */
export type DaemonAnswer = {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
};

/** Asks the daemon something. Rejects with a CliError if it does not answer. */
export type Ask = (
  method: string,
  path: string,
  body?: object,
  headers?: Readonly<Record<string, string>>,
) => Promise<DaemonAnswer>;

/** The longest answer takes seconds: whoever waits longer waits for a daemon that hangs. */
const ANSWER_MS = 30_000;

/** Speaks HTTP over the Unix socket at `socketPath`. */
export function daemonAt(socketPath: string): Ask {
  return async (method, path, body, more = {}) => {
    const text = body === undefined ? "" : JSON.stringify(body);
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const headers = { "Content-Type": "application/json", Host: "localhost", ...more };
      const asked = request({ socketPath, method, path, headers, timeout: ANSWER_MS }, resolve);
      asked.on("timeout", () => asked.destroy(new Error("the gateway does not answer")));
      asked.on("error", (cause) => reject(unavailable(socketPath, cause)));
      asked.end(text);
    });
    return { status: response.statusCode ?? 0, body: await readObject(response) };
  };
}

async function readObject(response: IncomingMessage): Promise<DaemonAnswer["body"]> {
  response.setEncoding("utf8");
  let text = "";
  try {
    for await (const chunk of response) text += String(chunk);
    const value: unknown = text === "" ? {} : JSON.parse(text);
    if (typeof value === "object" && value !== null) return { ...value };
  } catch (cause) {
    throw new CliError(CLI_EXIT.unavailable, "the gateway's answer did not arrive", { cause });
  }
  throw new CliError(CLI_EXIT.unavailable, "the gateway answered with something else");
}

function unavailable(path: string, cause: NodeJS.ErrnoException): CliError {
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "is the gateway running? There is no such socket",
    ECONNREFUSED: "the gateway does not run",
    EACCES: "permission denied: use sudo, or be in the group sluice",
    EPERM: "permission denied: use sudo, or be in the group sluice",
  };
  const reason = reasons[cause.code ?? ""] ?? cause.message;
  return new CliError(CLI_EXIT.unavailable, `${path}: ${reason}`, { cause });
}

/**
 * The answer, if it is a good one.
 * @throws CliError with what the problem document says.
 */
export function requireDone({ status, body }: DaemonAnswer): DaemonAnswer["body"] {
  if (status >= 200 && status < 300) return body;
  const detail = body["detail"];
  const text = typeof detail === "string" ? detail : `the gateway answered ${status}`;
  throw new CliError(CLI_EXIT.refused, text);
}
