import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";

/** What the kernel knows of a process, proc(5). */
export type Seen = {
  readonly rssBytes: number;
  readonly threads: number;
  readonly sockets: number;
  /** Open files that are no sockets. */
  readonly files: number;
};

/** @throws if there is no such process. */
export function lookAt(pid: number): Seen {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const numberOf = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+)`, "m").exec(status)?.[1]);
  const folder = `/proc/${pid}/fd`;
  const targets = readdirSync(folder).flatMap((name) =>
    whileThere(() => readlinkSync(join(folder, name))),
  );
  const sockets = targets.filter((target) => target.startsWith("socket:")).length;
  const files = targets.length - sockets;
  return { rssBytes: numberOf("VmRSS") * 1024, threads: numberOf("Threads"), sockets, files };
}

/** All files below a folder and their bytes. */
export function diskUseOf(folder: string): { readonly bytes: number; readonly files: number } {
  const sizes = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .flatMap((name) => whileThere(() => statSync(join(folder, name))))
    .filter((entry) => entry.isFile())
    .map(({ size }) => size);
  return { bytes: sizes.reduce((sum, size) => sum + size, 0), files: sizes.length };
}

/** Nothing, if it was closed or deleted in between. */
function whileThere<Value>(look: () => Value): readonly Value[] {
  try {
    return [look()];
  } catch {
    return [];
  }
}
