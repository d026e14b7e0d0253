import { readdirSync, readFileSync } from "node:fs";

// What the kernel knows of the machine and of a process (Linux, proc(5)).

/** Ticks a second in /proc (sysconf(_SC_CLK_TCK)); 100 on every Linux that runs Node. */
const TICKS_PER_S = 100;

/** A process and all it has started, in the order of their ids; empty if it has ended. */
export function familyOf(pid: number): readonly number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const stat = statOf(Number(name));
    if (stat !== undefined) parents.set(Number(name), Number(stat[1]));
  }
  const isOfFamily = (candidate: number): boolean => {
    for (let at: number | undefined = candidate; at !== undefined; at = parents.get(at)) {
      if (at === pid) return true;
    }
    return false;
  };
  return [...parents.keys()].filter(isOfFamily).sort((a, b) => a - b);
}

/** CPU seconds these processes have used. */
export function cpuSecondsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + cpuSecondsIn(statOf(pid)), 0);
}

/** CPU seconds of each thread of a process, the main one first. */
export function threadCpuSecondsOf(pid: number): readonly number[] {
  return readdirSync(`/proc/${pid}/task`)
    .map(Number)
    .sort((a, b) => a - b)
    .map((thread) => cpuSecondsIn(statOf(`${pid}/task/${thread}`)));
}

/**
 * CPU seconds used in all since boot. Interrupts are left out: no process is charged for them, so
 * that they would look like somebody else's.
 */
export function cpuSecondsUsed(): number {
  const [, user, nice, system, , , , , steal] = readFileSync("/proc/stat", "utf8")
    .split("\n", 1)
    .join("")
    .split(/\s+/)
    .map(Number);
  return ((user ?? 0) + (nice ?? 0) + (system ?? 0) + (steal ?? 0)) / TICKS_PER_S;
}

/** Bytes these processes have caused to be written to the disk, in whole pages. */
export function bytesWrittenBy(pids: readonly number[]): number {
  return sumOf(pids, "io", /^write_bytes: (\d+)/m);
}

/** Resident memory, bytes. */
export function residentBytesOf(pids: readonly number[]): number {
  return sumOf(pids, "status", /^VmRSS:\s+(\d+)/m) * 1024;
}

export function cores(): number {
  return processors().length;
}

/** The processor, its cores, the memory. */
export function describeMachine(): string {
  const [first] = processors();
  const total = /^MemTotal:\s+(\d+)/m.exec(readFileSync("/proc/meminfo", "utf8"))?.[1] ?? "0";
  const gib = Math.round(Number(total) / 1024 / 1024);
  return `${cores()} cores (${first ?? "unknown"}), ${gib} GiB, Linux ${kernel()}`;
}

/** The type of the file system a path is on. */
export function fileSystemOf(path: string): string {
  const mounts = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" "))
    .filter(
      ([, at]) => at !== undefined && (path === at || path.startsWith(at.replace(/\/?$/, "/"))),
    )
    .sort(([, a], [, b]) => (b?.length ?? 0) - (a?.length ?? 0));
  return mounts[0]?.[2] ?? "unknown";
}

function processors(): readonly string[] {
  const text = readFileSync("/proc/cpuinfo", "utf8");
  const models = [...text.matchAll(/^model name\s*: (.*)$/gm)].map(([, model]) => model ?? "");
  return models.length > 0 ? models : [...text.matchAll(/^processor\s*:/gm)].map(() => "unknown");
}

function kernel(): string {
  return readFileSync("/proc/sys/kernel/osrelease", "utf8").trim();
}

/** In user mode and in the kernel. */
function cpuSecondsIn(stat: readonly string[] | undefined): number {
  return stat === undefined ? 0 : (Number(stat[11]) + Number(stat[12])) / TICKS_PER_S;
}

/** The fields of /proc/PID/stat from the third, the state, on; of a process or of a thread. */
function statOf(task: number | string): readonly string[] | undefined {
  const text = readOf(task, "stat");
  // The name in parentheses may hold anything, spaces and parentheses included.
  return text?.slice(text.lastIndexOf(")") + 2).split(" ");
}

function sumOf(pids: readonly number[], file: string, pattern: RegExp): number {
  const values = pids.map((pid) => Number(pattern.exec(readOf(pid, file) ?? "")?.[1] ?? "0"));
  return values.reduce((sum, value) => sum + value, 0);
}

/** `undefined`: the process has ended. */
function readOf(task: number | string, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${task}/${file}`, "utf8");
  } catch {
    return undefined;
  }
}
