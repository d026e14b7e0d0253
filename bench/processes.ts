import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { connect, createServer } from "node:net";
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { cores, familyOf } from "./machine.ts";

/** The broker has the first core to itself, the generator another: where there are two. */
export type Core = "broker" | "generator";

const READY_MS_MAX = 90_000;
const STOP_MS_MAX = 10_000;
/** Of what a process said: enough to see why it ended. */
const SAID_MAX = 4_000;

const running = new Set<Program>();

/** A child process. It ends with this one, whatever happens. */
export class Program {
  readonly #child: ChildProcess;
  readonly #ended: Promise<unknown>;
  readonly #lines = new Set<(line: string) => void>();
  #said = "";

  constructor(
    core: Core,
    command: readonly string[],
    options: { readonly env?: NodeJS.ProcessEnv; readonly ipc?: true; readonly cwd?: string } = {},
  ) {
    const [program = "", ...args] = [...pinning(core), ...command];
    const { env = {}, ipc, cwd } = options;
    this.#child = spawn(program, args, {
      // Nothing of the caller's settings reaches what is measured.
      env: { PATH: searchPath(), LANG: "C.UTF-8", ...env },
      stdio: ["ignore", "pipe", "pipe", ...(ipc === true ? (["ipc"] as const) : [])],
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.#ended = once(this.#child, "close").catch((error: unknown) => this.#hear(String(error)));
    running.add(this);
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      if (stream !== null)
        createInterface({ input: stream }).on("line", (line) => this.#hear(line));
    }
    void this.#ended.then(() => running.delete(this));
  }

  get pid(): number {
    return this.#child.pid ?? -1;
  }

  /** The process and what it has started. */
  get pids(): readonly number[] {
    return familyOf(this.pid);
  }

  /** For a generator's job and its reports. */
  get child(): ChildProcess {
    return this.#child;
  }

  get hasEnded(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  get ended(): Promise<unknown> {
    return this.#ended;
  }

  /** The last of what it said. */
  get said(): string {
    return this.#said;
  }

  /** The first line that `read` takes, said now or later. */
  async line<Line>(read: (line: string) => Line | undefined): Promise<Line> {
    return new Promise((resolve, reject) => {
      const give = (settle: () => void): void => {
        clearTimeout(timer);
        this.#lines.delete(hear);
        settle();
      };
      const hear = (line: string): void => {
        const found = read(line);
        if (found !== undefined) give(() => resolve(found));
      };
      const timer = setTimeout(
        () => give(() => reject(new Error(`not ready in time: ${this.#said}`))),
        READY_MS_MAX,
      );
      this.#lines.add(hear);
      void this.#ended.then(() => give(() => reject(new Error(`ended early: ${this.#said}`))));
    });
  }

  /** Resolves when something listens on the port. */
  async listening(port: number): Promise<void> {
    const deadline = performance.now() + READY_MS_MAX;
    while (!(await accepts(port))) {
      if (this.hasEnded) throw new Error(`ended early: ${this.#said}`);
      if (performance.now() > deadline) throw new Error(`not ready in time: ${this.#said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  /** SIGTERM, and after a while SIGKILL to all that is left of the family. */
  async stop(): Promise<void> {
    const family = this.pids;
    const timer = setTimeout(() => killAll(family), STOP_MS_MAX);
    this.#child.kill("SIGTERM");
    await this.#ended;
    clearTimeout(timer);
    killAll(family.filter((pid) => familyOf(pid).length > 0));
  }

  /** At once, without a clean stop. */
  kill(): void {
    killAll(this.pids);
  }

  #hear(line: string): void {
    this.#said = `${this.#said}${line}\n`.slice(-SAID_MAX);
    for (const hear of [...this.#lines]) hear(line);
  }
}

/** Ends every program that is still running: for a bench that is itself cut off. */
export function killPrograms(): void {
  for (const program of running) program.kill();
}

export function isPinned(): boolean {
  return cores() > 1 && findProgram("taskset") !== undefined;
}

/** The full path of a program, or `undefined`: it is not installed. */
export function findProgram(name: string): string | undefined {
  return searchPath()
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** The first match in what a program says of itself. */
export function versionOf(program: string, args: readonly string[], pattern: RegExp): string {
  const { stdout, stderr } = spawnSync(program, args, { encoding: "utf8" });
  return pattern.exec(`${stdout}${stderr}`)?.[1] ?? "unknown";
}

/** A port of the loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

function pinning(core: Core): readonly string[] {
  if (!isPinned()) return [];
  return ["taskset", "-c", core === "broker" ? "0" : "1"];
}

/** Brokers are installed where only an administrator looks. */
function searchPath(): string {
  return `${process.env["PATH"] ?? ""}:/usr/local/sbin:/usr/sbin:/sbin`;
}

function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended by itself.
    }
  }
}

async function accepts(port: number): Promise<boolean> {
  const socket = connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
