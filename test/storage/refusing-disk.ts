import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Test } from "tap";

const SOURCE = fileURLToPath(new URL("../../../test/storage/refusing-disk.c", import.meta.url));

/** A folder for a store that can be made to take no writes. */
export type RefusingDisk = {
  /** Of a daemon whose store is on it. */
  readonly env: NodeJS.ProcessEnv & { readonly SLUICE_STORE__PATH: string };
  /** From now on, or only the next time, whoever writes to it fails with this error. */
  readonly refuse: (error: "EROFS" | "EIO", how?: "once") => void;
  readonly relent: () => void;
};

/** Why there is none here; where everything has to run its compilation fails instead. */
export const missingCompiler: string | undefined =
  process.env["CI"] === "true" || spawnSync("gcc", ["--version"]).status === 0
    ? undefined
    : "needs gcc";

export function makeRefusingDisk(t: Test): RefusingDisk {
  const folder = mkdtempSync(join(tmpdir(), "sluice-refusing-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [library, flag, path] = ["refusing-disk.so", "flag", "store"].map((each) =>
    join(folder, each),
  ) as [string, string, string];
  const flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror"];
  const { status, stderr } = spawnSync("gcc", [...flags, "-o", library, SOURCE, "-ldl"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`the refusing disk was not compiled: ${stderr}`);
  return {
    env: {
      SLUICE_STORE__PATH: path,
      LD_PRELOAD: library,
      REFUSING_ROOT: path,
      REFUSING_FLAG: flag,
    },
    refuse: (error, how) => writeFileSync(flag, `${constants.errno[error]} ${how ?? ""}`),
    relent: () => rmSync(flag, { force: true }),
  };
}
