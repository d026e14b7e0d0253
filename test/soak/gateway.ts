import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { MAIN, type Ready } from "../daemon.ts";
import { ASK_FOR_MEMORY, LEAK_VARIABLE, type MemoryAnswer, type Leak } from "./inside.ts";

/** The daemon under soak, with a store of its own. */
export type SoakedGateway = {
  readonly pid: number;
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly token: string;
  readonly storePath: string;
  /** Records of the level `error` so far. */
  readonly errors: readonly string[];
  /** What is in use after a full collection. @throws if it does not answer. */
  readonly memory: () => Promise<MemoryAnswer>;
  /** Resolves when it has ended, whyever. */
  readonly ended: Promise<void>;
  readonly hasEnded: () => boolean;
  /** An ordered stop; its store is deleted. @returns the exit code. Idempotent. */
  readonly stop: () => Promise<number | null>;
};

const INSIDE = fileURLToPath(new URL("./inside.js", import.meta.url));
const TOKEN = "slu_soak-test-administrator";
const STOP_MS_MAX = 15_000;
const ANSWER_MS_MAX = 10_000;
const ERRORS_MAX = 20;

/** As it ships, but for bounds so small that a short run reaches them. */
const SETTINGS = {
  SLUICE_MQTT__PORT: "0",
  SLUICE_HTTP__PORT: "0",
  SLUICE_MQTT__FREE_TOPICS: "true",
  SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN,
  SLUICE_HISTORY__PROPERTY_ROWS: "2000",
  SLUICE_HISTORY__EVENT_ROWS: "500",
  SLUICE_HISTORY__ACTION_ROWS: "200",
  SLUICE_HISTORY__DATA_ROWS: "500",
  SLUICE_LIMITS__SESSION_QUEUE_MESSAGES: "200",
  SLUICE_LIMITS__SESSION_QUEUE_BYTES: "262144",
  SLUICE_LIMITS__RETAINED_MESSAGES: "100",
  SLUICE_LIMITS__THINGS: "100",
  SLUICE_LIMITS__CREDENTIALS: "100",
  SLUICE_LIMITS__SESSIONS: "100",
  // All clients share one address.
  SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "6000",
  SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "600",
  UV_THREADPOOL_SIZE: "16",
} as const;

/** @throws Error with what it said if it ends before it is ready. */
export async function startSoaked(leak: Leak | undefined): Promise<SoakedGateway> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-soak-"));
  const storePath = join(folder, "store");
  const child = spawn(process.execPath, ["--import", INSIDE, MAIN], {
    // Ctrl-C at the terminal is for the soak, which then stops its gateway.
    detached: true,
    stdio: ["ignore", "pipe", "inherit", "ipc"],
    env: {
      PATH: process.env["PATH"],
      ...SETTINGS,
      SLUICE_STORE__PATH: storePath,
      ...(leak === undefined ? {} : { [LEAK_VARIABLE]: leak }),
    },
  });
  const ended = once(child, "exit").then(() => undefined);
  // Should the soak itself end by an error nobody took.
  const endNow = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", endNow);
  const errors: string[] = [];
  const { mqttPort, httpPort } = await readLog(child.stdout, errors);
  return {
    pid: child.pid ?? -1,
    mqttPort,
    httpPort,
    token: TOKEN,
    storePath,
    errors,
    ended,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    memory: async () => askForMemory(child),
    stop: async () => {
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
      child.kill("SIGTERM");
      await ended;
      clearTimeout(timer);
      process.off("exit", endNow);
      rmSync(folder, { recursive: true, force: true });
      return child.exitCode;
    },
  };
}

/** Reads on for as long as it writes; resolves when it is ready. */
async function readLog(stdout: Readable | null, errors: string[]): Promise<Ready> {
  if (stdout === null) throw new Error("the gateway has no standard output");
  return new Promise((resolve, reject) => {
    const said: string[] = [];
    const lines = createInterface({ input: stdout });
    lines.on("line", (line) => {
      if (said.length < ERRORS_MAX) said.push(line);
      if (line.includes('"event":"gateway.ready"')) resolve(JSON.parse(line) as Ready);
      if (line.startsWith('{"level":"error"') && errors.length < ERRORS_MAX) errors.push(line);
    });
    lines.on("close", () => reject(new Error(`the gateway did not start:\n${said.join("\n")}`)));
  });
}

async function askForMemory(child: ChildProcess): Promise<MemoryAnswer> {
  const answered = once(child, "message", { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
  child.send(ASK_FOR_MEMORY);
  const [answer] = (await answered) as [MemoryAnswer];
  return answer;
}
