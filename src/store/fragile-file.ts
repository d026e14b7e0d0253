import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { FIXED_LIMITS } from "../limits.ts";

/** The system reads by pages of memory: one bad sector takes as much with it. */
const PIECE = 4096;

/** In place of what the disk cannot give. No zeros: in a log these say that nothing was written. */
const UNREADABLE = 0xff;

/** A file on a disk that may have bad sectors: what it cannot give is left out, the rest is read. */
export class FragileFile {
  readonly size: number;
  readonly #descriptor: number;
  #unreadable = 0;

  /** @throws Error of the file system. */
  constructor(path: string) {
    this.#descriptor = openSync(path, "r");
    this.size = fstatSync(this.#descriptor).size;
  }

  /** Pieces met so far in whose place other bytes were given. */
  get unreadable(): number {
    return this.#unreadable;
  }

  /** As many bytes from `offset` on as there are, `length` at the most. @throws as the constructor. */
  read(offset: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(Math.max(0, Math.min(length, this.size - offset)));
    let filled = 0;
    let isWhole = true;
    while (filled < bytes.length) {
      const place = offset + filled;
      // Until a read fails all is asked for at once: then any sector of it may be the bad one.
      const end = isWhole ? bytes.length : Math.min(bytes.length, filled + PIECE - (place % PIECE));
      try {
        const count = this.#readPart(bytes.subarray(filled, end), place);
        if (count === 0) break;
        filled += count;
      } catch (error) {
        if (!isReadError(error)) throw error;
        if (!isWhole) {
          bytes.fill(UNREADABLE, filled, end);
          this.#unreadable += 1;
          filled = end;
        }
        isWhole = false;
      }
    }
    return bytes.subarray(0, filled);
  }

  close(): void {
    closeSync(this.#descriptor);
  }

  #readPart(part: Buffer, offset: number): number {
    if (this.#unreadable < FIXED_LIMITS.unreadablePiecesMax) {
      return readSync(this.#descriptor, part, 0, part.length, offset);
    }
    part.fill(UNREADABLE);
    return part.length;
  }
}

/** All of a file, as `FragileFile` reads it. @throws Error of the file system. */
export function readFragile(path: string): { readonly bytes: Buffer; readonly unreadable: number } {
  const file = new FragileFile(path);
  try {
    return { bytes: file.read(0, file.size), unreadable: file.unreadable };
  } finally {
    file.close();
  }
}

function isReadError(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "EIO";
}
