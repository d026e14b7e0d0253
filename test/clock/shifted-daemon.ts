import { closeSync, openSync, writeSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { compileLibrary } from "../preload.ts";
import { ADMIN_TOKEN, ask, type CallOptions, type Login, type Reply } from "../wire/site.ts";
import { timeOf, type Subject } from "./life.ts";

/** The daemon as its own process, under a wall clock that the test sets. */
export class ShiftedDaemon implements Subject {
  readonly #t: Test;
  readonly #env: NodeJS.ProcessEnv;
  readonly #shift: number;
  #shiftMs = 0;
  #daemon: Daemon | undefined;
  #ports = { mqttPort: 0, httpPort: 0 };

  private constructor(t: Test, env: NodeJS.ProcessEnv, shift: number) {
    this.#t = t;
    this.#env = env;
    this.#shift = shift;
  }

  /** Ended with the test. At its first start the clock is wrong by `stepMs`. */
  static async start(t: Test, stepMs = 0): Promise<ShiftedDaemon> {
    const env = daemonEnvironment(t);
    const folder = join(env.SLUICE_STORE__PATH, "..");
    const library = join(folder, "shift.so");
    compileLibrary("clock/shift.c", library);
    const file = join(folder, "shift");
    const shift = openSync(file, "w");
    t.teardown(() => closeSync(shift));
    const daemon = new ShiftedDaemon(
      t,
      {
        ...env,
        LD_PRELOAD: library,
        CLOCK_SHIFT: file,
        SLUICE_BOOTSTRAP__ACCOUNT: "A",
        SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN,
        SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "0",
      },
      shift,
    );
    daemon.step(stepMs);
    await daemon.begin();
    return daemon;
  }

  get mqttPort(): number {
    return this.#ports.mqttPort;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#ports.httpPort}`;
  }

  /** The machine's wall clock is put forward or back, in whole seconds. */
  step(ms: number): void {
    this.#shiftMs += ms;
    const bytes = Buffer.alloc(8);
    bytes.writeBigInt64LE(BigInt(this.#shiftMs));
    writeSync(this.#shift, bytes, 0, bytes.length, 0);
  }

  async begin(env: NodeJS.ProcessEnv = {}): Promise<void> {
    this.#daemon = new Daemon(this.#t, [], { ...this.#env, ...env });
    this.#ports = await this.#daemon.ready;
  }

  /** Returns what it wrote on standard output. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<string> {
    this.#daemon?.signal(signal);
    return (await this.#daemon?.ended)?.stdout ?? "";
  }

  readonly call = async (method: string, path: string, options: CallOptions = {}): Promise<Reply> =>
    ask(this.url + path, method, options);

  readonly did = async (method: string, path: string, json?: unknown): Promise<Reply> => {
    const reply = await this.call(method, path, { json });
    if (reply.status < 300) return reply;
    throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.json)}`);
  };

  readonly makeCredential = async (
    resources: readonly object[],
    more: Readonly<Record<string, unknown>> = {},
  ): Promise<Login> => (await this.did("POST", "/A/mqtt", { resources, ...more })).json as Login;

  /** The daemon's own time has gone on by so much: looked at, since nothing else can be awaited. */
  readonly pass = async (ms: number): Promise<void> => {
    const end = (await timeOf(this)) + ms;
    while ((await timeOf(this)) < end) await sleep(50);
  };
}
