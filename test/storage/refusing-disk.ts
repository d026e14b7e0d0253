import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { compileLibrary } from "../preload.ts";

/** A folder for a store that can be made to take no writes. */
export type RefusingDisk = {
  /** Of a daemon whose store is on it. */
  readonly env: NodeJS.ProcessEnv & { readonly SLUICE_STORE__PATH: string };
  /** From now on, or only the next time, whoever writes to it fails with this error. */
  readonly refuse: (error: "EROFS" | "EIO", how?: "once") => void;
  readonly relent: () => void;
};

export function makeRefusingDisk(t: Test): RefusingDisk {
  const folder = mkdtempSync(join(tmpdir(), "sluice-refusing-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [library, flag, path] = ["refusing-disk.so", "flag", "store"].map((each) =>
    join(folder, each),
  ) as [string, string, string];
  compileLibrary("storage/refusing-disk.c", library);
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
