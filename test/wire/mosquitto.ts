import { spawn, type ChildProcessByStdio } from "node:child_process";
import { once } from "node:events";
import type { Readable, Writable } from "node:stream";
import { createInterface } from "node:readline";
import type { Test } from "tap";
import { within } from "./within.ts";

type Login = { readonly username: string; readonly password: string };
type At = { readonly mqttPort: number };

export type Ended = {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
};

function common(at: At, login: Login | undefined): readonly string[] {
  const as = login === undefined ? [] : ["-u", login.username, "-P", login.password];
  return ["-h", "127.0.0.1", "-p", String(at.mqttPort), ...as];
}

/** `mosquitto_pub` to its end; `lines` are its standard input, for `-l` and `-s`. */
export async function mosquittoPub(
  t: Test,
  at: At,
  login: Login | undefined,
  args: readonly string[],
  lines: readonly string[] = [],
): Promise<Ended> {
  const program = new Program(t, "mosquitto_pub", [...common(at, login), ...args]);
  program.write(lines);
  return program.ended;
}

/** `mosquitto_sub` to its end: give `-C`, `-E` or `-W`. */
export async function mosquittoSub(
  t: Test,
  at: At,
  login: Login | undefined,
  args: readonly string[],
): Promise<Ended> {
  return new Program(t, "mosquitto_sub", [...common(at, login), ...args]).ended;
}

/** A `mosquitto_sub` that has its SUBACK. */
export async function listen(
  t: Test,
  at: At,
  login: Login,
  args: readonly string[],
): Promise<Program> {
  // Into a pipe it would keep its lines back until it has many.
  const lineByLine = ["-oL", "mosquitto_sub", ...common(at, login), "-d", ...args];
  const program = new Program(t, "stdbuf", lineByLine);
  await program.untilLine(/^Subscribed /);
  return program;
}

/** One of the programs as its own process; killed with the test. */
export class Program {
  readonly ended: Promise<Ended>;
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: string[] = [];
  #onLine: () => void = () => undefined;

  constructor(t: Test, name: string, args: readonly string[]) {
    this.#child = spawn(name, [...args], { stdio: "pipe" });
    let stderr = "";
    this.#child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const all: string[] = [];
    createInterface({ input: this.#child.stdout }).on("line", (line) => {
      all.push(line);
      this.#lines.push(line);
      this.#onLine();
    });
    this.ended = within(
      `the end of ${name}`,
      once(this.#child, "close").then(([code]) => {
        return { code: code as number | null, stdout: all.join("\n"), stderr };
      }),
    );
    this.ended.catch(() => undefined);
    t.teardown(() => this.#child.kill("SIGKILL"));
  }

  write(lines: readonly string[]): void {
    this.#child.stdin.on("error", () => undefined);
    this.#child.stdin.end(lines.map((line) => `${line}\n`).join(""));
  }

  /** The next line like this; lines before it are let go. */
  async untilLine(like: RegExp): Promise<string> {
    return within(
      `a line like ${String(like)}`,
      new Promise<string>((resolve) => {
        this.#onLine = () => {
          for (let line = this.#lines.shift(); line !== undefined; line = this.#lines.shift()) {
            if (!like.test(line)) continue;
            this.#onLine = () => undefined;
            resolve(line);
            return;
          }
        };
        this.#onLine();
      }),
    );
  }

  kill(): void {
    this.#child.kill("SIGKILL");
  }
}
