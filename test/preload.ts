import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

/** Why no library can be made here; where everything has to run its compilation fails instead. */
export const missingCompiler: string | undefined =
  process.env["CI"] === "true" || spawnSync("gcc", ["--version"]).status === 0
    ? undefined
    : "needs gcc";

const FLAGS = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"];

/** Compiles `source`, a path below `test/`, to the library at `target`, to be preloaded. */
export function compileLibrary(source: string, target: string): void {
  const path = fileURLToPath(new URL(`../../test/${source}`, import.meta.url));
  const { status, stderr } = spawnSync("gcc", [...FLAGS, "-o", target, path, "-ldl", "-lpthread"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${source} was not compiled: ${stderr}`);
}
