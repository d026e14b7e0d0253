import { rmSync } from "node:fs";
import { access, constants, open, readdir, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { folderIn } from "./level-opening.ts";

/** The room on the disk that the store lives on; bytes everywhere. */
export type DiskRoom = {
  /** `used`: by the store. */
  readonly look: () => Promise<{
    readonly total: number;
    readonly free: number;
    readonly used: number;
  }>;
  /** Nothing may be made under it: a file system that was mounted read-only, a folder of another. */
  readonly isReadOnly: () => Promise<boolean>;
  /** Room kept to be given up when there is no other. */
  readonly ballast: () => Promise<number>;
  readonly writeBallast: (bytes: number) => Promise<void>;
  readonly dropBallast: () => void;
};

const BALLAST_FILE = "ballast";

/** The file system under `path`. */
export function diskRoomAt(path: string): DiskRoom {
  const ballastFile = join(path, BALLAST_FILE);
  return {
    look: async () => {
      const { blocks, bavail, bsize } = await statfs(path);
      return { total: blocks * bsize, free: bavail * bsize, used: await bytesUnder(path) };
    },
    isReadOnly: async () => (await mayNotBeWritten(path)) || mayNotBeWritten(folderIn(path)),
    ballast: async () => sizeOf(ballastFile),
    writeBallast: async (bytes) => {
      const file = await open(ballastFile, "w", 0o600);
      try {
        // Real bytes: a file with holes would give nothing back.
        await file.writeFile(Buffer.alloc(bytes, 1));
        await file.sync();
      } finally {
        await file.close();
      }
    },
    dropBallast: () => rmSync(ballastFile, { force: true }),
  };
}

async function mayNotBeWritten(folder: string): Promise<boolean> {
  return access(folder, constants.W_OK).then(
    () => false,
    (error: unknown) => isRefusal(error),
  );
}

function isRefusal(error: unknown): boolean {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return code === "EROFS" || code === "EACCES" || code === "EPERM";
}

/** Bytes of all files under a folder; what vanishes meanwhile counts as nothing. */
async function bytesUnder(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true });
  const sizes = await Promise.all(
    entries
      .filter((entry) => entry.isFile())
      .map(async (entry) => sizeOf(join(entry.parentPath, entry.name))),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}
