import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, resolve } from "node:path";

/**
 * Writes a file that only its owner may read. Durable when it returns: after a power cut there is
 * either all of it or what was there before. @throws Error of the file system.
 */
export function writeDurably(path: string, text: string): void {
  const draft = `${path}.new`;
  // One that a power cut left, or that somebody put there to have it lead elsewhere.
  rmSync(draft, { force: true });
  const file = openSync(draft, "wx", 0o600);
  try {
    // Unlike `writeSync` it goes on after a part was taken: the last blocks of a disk, say.
    writeFileSync(file, text);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(draft, path);
  syncEntries(dirname(path));
}

/** Deletes a file, so that it stays deleted. @throws Error of the file system. */
export function deleteDurably(path: string): void {
  rmSync(path, { force: true });
  syncEntries(dirname(path));
}

/** Makes a folder that only its owner may enter, in one that exists, if it is not there. Durable. */
export function makePrivateFolder(path: string): void {
  if (mkdirSync(path, { recursive: true, mode: 0o700 }) === undefined) return;
  syncEntries(dirname(resolve(path)));
}

function syncEntries(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
