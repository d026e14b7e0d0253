import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { compileLibrary } from "../preload.ts";

/** What a bad sector takes with it, and where it may begin. */
export const PAGE = 4096;

export type BadPages = {
  readonly file: string;
  /** The first, counted from the start of the file, and how many. */
  readonly page: number;
  readonly pages: number;
};

/** The environment of a process that cannot read these; they stay bad when the file is renamed. */
export function withBadSectors(t: Test, all: readonly BadPages[]): NodeJS.ProcessEnv {
  const folder = mkdtempSync(join(tmpdir(), "sluice-bad-sectors-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const [library, list] = [join(folder, "bad-sectors.so"), join(folder, "list")];
  compileLibrary("storage/bad-sectors.c", library);
  const lines = all.map(
    ({ file, page, pages }) => `${statSync(file).ino} ${page * PAGE} ${pages * PAGE}\n`,
  );
  writeFileSync(list, lines.join(""));
  return { LD_PRELOAD: library, BAD_SECTORS: list };
}
