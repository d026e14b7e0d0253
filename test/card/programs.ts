import { spawn, spawnSync } from "node:child_process";
import type { Test } from "tap";
import { needs } from "../systemd/programs.ts";

/** Debian's own, which knows Debian's modules; another may stand before it in the path. */
export const PYTHON = "/usr/bin/python3";

/** As `needs`, for a module of Debian's Python. */
export function needsModule(name: string): { readonly skip?: string } {
  const isThere = spawnSync(PYTHON, ["-c", `import ${name}`]).status === 0;
  return isThere || process.env["CI"] === "true" ? {} : { skip: `needs Python's ${name}` };
}

export { needs };

export type RunOptions = {
  readonly cwd?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly input?: string;
};

/** What a program says on its standard output. Fails the test with what it said of why it failed. */
export function outputOf(
  t: Test,
  [program, ...args]: readonly [string, ...string[]],
  options: RunOptions = {},
): string {
  const { env = {}, ...rest } = options;
  const ended = spawnSync(program, args, {
    ...rest,
    env: { PATH: process.env["PATH"], PYTHONDONTWRITEBYTECODE: "1", ...env },
    encoding: "utf8",
    timeout: 30_000,
  });
  t.equal(ended.status, 0, `${program}: ${ended.stderr}`);
  return ended.stdout;
}

/** Runs a program that does not end by itself until it has said this; then ends it and all it began. */
export async function runUntil(
  [program, ...args]: readonly [string, ...string[]],
  wanted: string,
  { cwd, env = {} }: RunOptions,
): Promise<string> {
  const child = spawn(program, args, {
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], PYTHONDONTWRITEBYTECODE: "1", ...env },
    ...(cwd === undefined ? {} : { cwd }),
  });
  const said: Buffer[] = [];
  const text = (): string => Buffer.concat(said).toString();
  try {
    return await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`never said ${wanted}:\n${text()}`)), 30_000);
      const take = (chunk: Buffer): void => {
        said.push(chunk);
        if (!text().includes(wanted)) return;
        clearTimeout(late);
        resolve(text());
      };
      child.stdout.on("data", take);
      child.stderr.on("data", take);
      child.on("error", reject);
      child.on("close", () => {
        clearTimeout(late);
        reject(new Error(`ended before it said ${wanted}:\n${text()}`));
      });
    });
  } finally {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nothing was left.
    }
  }
}
