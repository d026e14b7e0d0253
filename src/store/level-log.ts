import { readFileSync } from "node:fs";
import { join } from "node:path";

/** What LevelDB said at the last opening that it left out. */
export type Dropped = { readonly records: number; readonly bytes: number };

const DROPPED = /\bdropping (\d+) bytes|\bignoring error|\bcorruption\b/i;

/**
 * Reads LevelDB's own log: the only place where it says that it left out a part of its log that does
 * not match its checksum. The end of one may be torn by a power cut, and then nothing is lost that
 * was acknowledged.
 */
export function readDropped(folder: string): Dropped {
  let records = 0;
  let bytes = 0;
  for (const line of linesOf(join(folder, "LOG"))) {
    const match = DROPPED.exec(line);
    if (match === null) continue;
    records += 1;
    bytes += Number(match[1] ?? "0");
  }
  return { records, bytes };
}

function linesOf(file: string): readonly string[] {
  try {
    return readFileSync(file, "latin1").split("\n");
  } catch {
    return []; // Nothing depends on it being there.
  }
}
