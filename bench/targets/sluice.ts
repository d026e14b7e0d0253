import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Endpoint } from "../generator/connection.ts";
import { HTTP_PROPERTY, HTTP_VALUE } from "../peers/http-answer.ts";
import { Program, type Core } from "../processes.ts";
import { packageVersion } from "../../src/version.ts";
import { temporaryFolder, type Broker, type Target } from "./target.ts";

const MAIN = fileURLToPath(new URL("../../src/main.js", import.meta.url));

export const ACCOUNT = "site";
/** Only ever on loopback, in a store that is removed. */
const ADMIN_TOKEN = "slu_bench_0123456789abcdefghij";

export type Gateway = Broker & {
  readonly httpPort: number;
  readonly adminToken: string;
};

export type GatewayOptions = {
  /** A store that is there already, and stays. */
  readonly store?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly nodeArgs?: readonly string[];
  /** `broker` unless said otherwise: where it is the one that sends, its upstream is the broker. */
  readonly core?: Core;
  /** Things to make, `bench-000` and on. */
  readonly things?: number;
};

/** This gateway as the real process, with so many Things and a credential for all of them. */
export function sluice(options: GatewayOptions = {}): Target<Gateway> {
  return {
    name: "sluice",
    missing: () => undefined,
    version: packageVersion,
    start: async () => startGateway(options),
  };
}

/** @throws Error with what the gateway said if it does not start. */
async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const { mqttPort, ...daemon } = await startDaemon(options);
  try {
    const login = await provision(daemon, options.things ?? 0);
    return { ...daemon, endpoint: { host: "127.0.0.1", port: mqttPort, ...login } };
  } catch (error) {
    await daemon.stop();
    throw error;
  }
}

/** The process as it says it is ready, and how long that took from its start. */
export type Daemon = Omit<Gateway, "endpoint"> & {
  readonly mqttPort: number;
  readonly readyMs: number;
};

export async function startDaemon(options: GatewayOptions = {}): Promise<Daemon> {
  const folder = temporaryFolder("store");
  const env = environment(options.store ?? join(folder.path, "store"), options.env ?? {});
  const begunMs = performance.now();
  const core = options.core ?? "broker";
  const program = new Program(core, [process.execPath, ...(options.nodeArgs ?? []), MAIN], {
    env,
  });
  const stop = async (): Promise<void> => {
    await program.stop();
    folder.remove();
  };
  try {
    const { mqttPort, httpPort } = await program.line(readyOf);
    const readyMs = performance.now() - begunMs;
    return { program, mqttPort, httpPort, adminToken: ADMIN_TOKEN, readyMs, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Ready = { readonly event: string; readonly mqttPort: number; readonly httpPort: number };

function readyOf(line: string): Ready | undefined {
  if (!line.includes('"event":"gateway.ready"')) return undefined;
  return JSON.parse(line.slice(line.indexOf("{"))) as Ready;
}

/**
 * Defaults, but for bounds that a load from one address would meet, and the queue of one subscriber:
 * all that is under way at once, 1,000 messages, is just its default.
 */
function environment(store: string, extra: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return {
    UV_THREADPOOL_SIZE: "16",
    MALLOC_ARENA_MAX: "2",
    SLUICE_STORE__PATH: store,
    SLUICE_MQTT__PORT: "0",
    SLUICE_HTTP__PORT: "0",
    SLUICE_MQTT__FREE_TOPICS: "true",
    SLUICE_BOOTSTRAP__ACCOUNT: ACCOUNT,
    SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN,
    SLUICE_LIMITS__CONNECTIONS_PER_ADDRESS: "5000",
    SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "0",
    SLUICE_LIMITS__SESSION_QUEUE_MESSAGES: "10000",
    ...extra,
  };
}

export type Access = Pick<Gateway, "httpPort" | "adminToken">;

/** Things, a value for the one that HTTP reads, and one credential for everything. */
async function provision(
  access: Access,
  things: number,
): Promise<Pick<Endpoint, "username" | "password">> {
  for (let nth = 0; nth < things; nth += 1) {
    await call(access, "POST", `/${ACCOUNT}/things`, {
      id: `bench-${String(nth).padStart(3, "0")}`,
      title: "Bench",
      properties: { p: { type: "string", maxLength: 4096 }, [HTTP_PROPERTY]: { type: "number" } },
    });
  }
  if (things > 0) {
    const path = `/${ACCOUNT}/things/bench-000/properties/${HTTP_PROPERTY}`;
    await call(access, "PUT", path, { [HTTP_PROPERTY]: HTTP_VALUE });
  }
  const answer = await call(access, "POST", `/${ACCOUNT}/mqtt`, {
    resources: [
      { entity: "things", id: ["*"] },
      { entity: "topics", patterns: [{ pub: "bench/#", sub: "bench/#" }] },
    ],
    user: "",
    password: "",
  });
  return answer as { readonly username: string; readonly password: string };
}

/** A request of an administrator. @throws Error with the answer if it is none of success. */
export async function call(
  access: Access,
  method: string,
  path: string,
  body: unknown,
): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${access.httpPort}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${access.adminToken}`,
      "content-type": "application/json",
    },
    body: JSON.stringify(body),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
  return text === "" ? undefined : JSON.parse(text);
}
