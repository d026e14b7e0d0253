import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Test } from "tap";

/** A machine that systemd runs as process 1, and that is gone with the test. */
export type Box = {
  /** Runs a command in the box, as root, at its root. */
  readonly run: (command: readonly string[], input?: string) => Ran;
  /** Asks until systemd says of the service what is wanted; throws after half a minute. */
  readonly until: (wanted: Properties) => Promise<void>;
  /** What systemd says of the service. */
  readonly service: (...names: readonly string[]) => Properties;
};

export type Ran = { readonly code: number; readonly output: string };
type Properties = Readonly<Record<string, string>>;

/** What box.sh ends with where the kernel does not let it make such a machine. */
const NOT_HERE = 77;
const LOOK_EVERY_MS = 50;
const LOOK_MS_MAX = 30_000;

/** @returns a text where there can be none: why. */
export async function bootBox(t: Test): Promise<Box | string> {
  if (process.getuid?.() !== 0) return "a machine of its own takes root";
  const parent = cgroupFolder();
  if (parent === undefined) return "a machine of its own takes the second version of cgroups";
  const cgroup = join(parent, `sluice-box-${process.pid}`);
  try {
    mkdirSync(cgroup);
  } catch (error) {
    return `no cgroup of its own here: ${String(error)}`;
  }
  const folder = mkdtempSync(join(tmpdir(), "sluice-box-"));
  const outer = spawn("sh", ["test/systemd/box.sh", folder, process.cwd(), cgroup], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  for (const stream of [outer.stdout, outer.stderr]) {
    stream.setEncoding("utf8").on("data", (text: string) => (said += text));
  }
  const ended = once(outer, "close");
  t.teardown(async () => {
    // Everything in the box ends with its process 1, which ends with the one that made it.
    outer.kill("SIGKILL");
    await ended;
    await removeCgroup(cgroup);
    rmSync(folder, { recursive: true });
  });

  for (let waitedMs = 0; waitedMs < LOOK_MS_MAX; waitedMs += LOOK_EVERY_MS) {
    if (outer.exitCode === NOT_HERE) return `no machine of its own here: ${said.trim()}`;
    if (outer.exitCode !== null) break;
    const box = new NamespaceBox(outer.pid ?? 0);
    if (box.isUp()) return box;
    await pause(LOOK_EVERY_MS);
  }
  throw new Error(`the box did not start (${String(outer.exitCode)}): ${said}`);
}

class NamespaceBox implements Box {
  readonly #outer: number;

  constructor(outer: number) {
    this.#outer = outer;
  }

  isUp(): boolean {
    if (this.#first() === undefined) return false;
    return /running|degraded/.test(this.run(["systemctl", "is-system-running"]).output);
  }

  readonly run = (command: readonly string[], input = ""): Ran => {
    const namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup"];
    const target = ["--target", this.#first() ?? "1000000000", ...namespaces, "--root", "--wd"];
    const env = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C"];
    const { status, stdout, stderr } = spawnSync(
      "nsenter",
      [...target, ...env, "SYSTEMD_PAGER=", ...command],
      { encoding: "utf8", input, timeout: LOOK_MS_MAX * 2 },
    );
    return { code: status ?? -1, output: `${stdout}${stderr}` };
  };

  readonly service = (...names: readonly string[]): Properties => {
    const { output } = this.run(["systemctl", "show", "sluice", "--property", names.join(",")]);
    const lines = output.trim().split("\n");
    return Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]),
    );
  };

  readonly until = async (wanted: Properties): Promise<void> => {
    const names = Object.keys(wanted);
    const isThere = (is: Properties): boolean => names.every((name) => is[name] === wanted[name]);
    for (let waitedMs = 0; waitedMs < LOOK_MS_MAX; waitedMs += LOOK_EVERY_MS) {
      if (isThere(this.service(...names))) return;
      await pause(LOOK_EVERY_MS);
    }
    const is = JSON.stringify(this.service(...names));
    const log = this.run(["journalctl", "--unit", "sluice", "--lines", "20"]).output;
    throw new Error(`the service is ${is}, never ${JSON.stringify(wanted)}:\n${log}`);
  };

  /** The process 1 of the box, as this machine numbers it. */
  #first(): string | undefined {
    const outer = String(this.#outer);
    try {
      const children = readFileSync(`/proc/${outer}/task/${outer}/children`, "utf8");
      return /^\d+/.exec(children)?.[0];
    } catch {
      return undefined;
    }
  }
}

/** Where this process is in the second version of cgroups. */
function cgroupFolder(): string | undefined {
  const mounts = readFileSync("/proc/mounts", "utf8").split("\n");
  const mounted = mounts.map((line) => line.split(" ")).find(([, , type]) => type === "cgroup2");
  const own = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8"))?.[1];
  return mounted?.[1] === undefined || own === undefined ? undefined : join(mounted[1], own);
}

/** Removes it and those below; a process that was killed leaves its own a moment later. */
async function removeCgroup(cgroup: string): Promise<void> {
  for (const entry of readdirSync(cgroup, { withFileTypes: true })) {
    if (entry.isDirectory()) await removeCgroup(join(cgroup, entry.name));
  }
  for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
    try {
      rmdirSync(cgroup);
      return;
    } catch (error) {
      if (waitedMs >= LOOK_MS_MAX) throw error;
      await pause(LOOK_EVERY_MS);
    }
  }
}
