import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { open, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";

const MIB = 1024 * 1024;

/** A file system of its own that a test may fill. */
export type SmallDisk = {
  readonly path: string;
  /** Another program takes room until so many bytes are left. */
  readonly leave: (bytes: number) => Promise<void>;
  /** The other program gives its room back. */
  readonly free: () => void;
};

/** Mounting takes root; `undefined`: this user cannot. */
export function mountSmallDisk(t: Test, mebibytes: number): SmallDisk | undefined {
  const path = mkdtempSync(join(tmpdir(), "sluice-disk-"));
  try {
    const size = `size=${mebibytes}m`;
    execFileSync("mount", ["-t", "tmpfs", "-o", size, "tmpfs", path], { stdio: "pipe" });
  } catch {
    rmSync(path, { recursive: true, force: true });
    return undefined;
  }
  const filler = join(path, "filler");
  t.teardown(() => {
    execFileSync("umount", ["-l", path]);
    rmSync(path, { recursive: true, force: true });
  });
  return {
    path,
    leave: async (bytes) => {
      const { bavail, bsize } = await statfs(path);
      const file = await open(filler, "w");
      const wanted = Math.max(0, bavail * bsize - bytes);
      for (let done = 0; done < wanted; done += MIB) {
        await file.write(Buffer.alloc(Math.min(MIB, wanted - done)));
      }
      await file.close();
    },
    free: () => rmSync(filler, { force: true }),
  };
}
