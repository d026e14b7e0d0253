import { spawn } from "node:child_process";
import type { ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";

/** The compiled program, beside the compiled tests. */
export const MAIN = fileURLToPath(new URL("../src/main.js", import.meta.url));

export type Ended = {
  readonly code: number | null;
  /** What ended it, where that was a signal. */
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
};

export type Ready = {
  readonly event: "gateway.ready";
  readonly mqttPort: number;
  readonly httpPort: number;
  readonly mqttsPort?: number;
  readonly httpsPort?: number;
};

/** The program as its own process; ended with the test, whatever becomes of the test. */
export class Daemon {
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<Ended>;
  readonly #ready: Promise<Ready>;
  #stdout = "";
  #stderr = "";

  /** `through`: a program with arguments that runs the one behind them. */
  constructor(
    t: Test,
    args: readonly string[],
    env: NodeJS.ProcessEnv,
    through: readonly string[] = [],
  ) {
    const [program = "", ...rest] = [...through, process.execPath, MAIN, ...args];
    this.#child = spawn(program, rest, {
      env: { PATH: process.env["PATH"], ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child.stdout.on("data", (chunk: Buffer) => (this.#stdout += chunk.toString()));
    this.#child.stderr.on("data", (chunk: Buffer) => (this.#stderr += chunk.toString()));
    this.#ended = once(this.#child, "close").then(([code, signal]) => ({
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    }));
    this.#ready = this.#awaitReady();
    this.#ready.catch(() => undefined);
    t.teardown(async () => {
      this.#child.kill("SIGKILL");
      await this.#ended;
    });
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** Rejects with all that was said if the program ends before. */
  get ready(): Promise<Ready> {
    return this.#ready;
  }

  get ended(): Promise<Ended> {
    return this.#ended;
  }

  /** The first group of what standard output has by the time it is ready; rejects if it has none. */
  async printed(pattern: RegExp): Promise<string> {
    await this.#ready;
    const found = pattern.exec(this.#stdout)?.[1];
    if (found === undefined) throw new Error(`no ${String(pattern)} was printed\n${this.#stdout}`);
    return found;
  }

  signal(signal: "SIGTERM" | "SIGINT" | "SIGKILL"): void {
    this.#child.kill(signal);
  }

  async #awaitReady(): Promise<Ready> {
    for await (const line of createInterface({ input: this.#child.stdout })) {
      if (!line.includes('"event":"gateway.ready"')) continue;
      return JSON.parse(line.slice(line.indexOf("{"))) as Ready;
    }
    const { code, stdout, stderr } = await this.#ended;
    throw new Error(`ended with ${String(code)} before it was ready\n${stdout}${stderr}`);
  }
}

/** A store of its own, ports picked by the system, loopback. */
export function daemonEnvironment(t: Test): NodeJS.ProcessEnv & { SLUICE_STORE__PATH: string } {
  const directory = mkdtempSync(join(tmpdir(), "sluice-daemon-"));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return {
    SLUICE_STORE__PATH: join(directory, "store"),
    SLUICE_MQTT__PORT: "0",
    SLUICE_HTTP__PORT: "0",
  };
}
