import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { readLogFile } from "./level-log-file.ts";
import { varintAt, type Entry } from "./level-table.ts";

/** Paths of the files that hold rows, the oldest first, and of those that say which these are. */
export type LevelFolder = {
  readonly logs: readonly string[];
  readonly tables: readonly string[];
  readonly descriptions: readonly string[];
};

const LOG = /^(\d+)\.log$/;
const DESCRIPTION = /^(?:CURRENT|MANIFEST-\d+)$/;
const TABLE = /^(\d+)\.(?:ldb|sst)$/;

/**
 * Lists the files that belong to the database: those that MANIFEST names if it can be read, else all
 * there are. Tables that LevelDB was about to delete hold rows that are deleted by now.
 */
export function listLevelFolder(folder: string): LevelFolder {
  const names = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);
  const live = liveFiles(folder);
  const logs = names.filter((name) => {
    const number = LOG.exec(name)?.[1];
    return number !== undefined && (live === undefined || Number(number) >= live.firstLog);
  });
  const tables = names.filter((name) => {
    const number = TABLE.exec(name)?.[1];
    return number !== undefined && (live === undefined || live.tables.has(Number(number)));
  });
  const inOrder = (files: readonly string[]): readonly string[] =>
    [...files].sort().map((name) => join(folder, name));
  const descriptions = names.filter((name) => DESCRIPTION.test(name));
  return { logs: inOrder(logs), tables: inOrder(tables), descriptions: inOrder(descriptions) };
}

/** The rows that a batch of the log puts and deletes. */
export function* entriesOfBatch(record: Buffer): Generator<Entry> {
  const HEADER = 12;
  if (record.length < HEADER) return;
  let version = record.readBigUInt64LE(0);
  for (let at = HEADER; at < record.length; version += 1n) {
    const isPut = record[at] === 1;
    const [key, afterKey] = textAt(record, at + 1);
    const [value, end] = isPut ? textAt(record, afterKey) : [undefined, afterKey];
    yield { key: key.toString("latin1"), version, value };
    at = end;
  }
}

type Live = { readonly firstLog: number; readonly tables: ReadonlySet<number> };

/** `undefined` if CURRENT or MANIFEST cannot be read to its end. */
function liveFiles(folder: string): Live | undefined {
  try {
    const current = readFileSync(join(folder, "CURRENT"), "utf8");
    if (!/^MANIFEST-\d+\n$/.test(current)) return undefined;
    const manifest = readLogFile(readFileSync(join(folder, current.trimEnd())));
    if (manifest.isDamaged || manifest.isTorn || manifest.records.length === 0) return undefined;
    const tables = new Set<number>();
    let firstLog = 0;
    for (const record of manifest.records) {
      for (const edit of editsOf(record)) {
        if (edit.kind === "log") firstLog = edit.number;
        else if (edit.kind === "added") tables.add(edit.number);
        else tables.delete(edit.number);
      }
    }
    return { firstLog, tables };
  } catch {
    return undefined;
  }
}

type Edit = { readonly kind: "log" | "added" | "deleted"; readonly number: number };

/** The parts of a VersionEdit that say which files there are; its tags are those of version_edit.cc. */
function* editsOf(record: Buffer): Generator<Edit> {
  for (let at = 0; at < record.length;) {
    const [tag, start] = varintAt(record, at);
    const [first, second] = varintAt(record, start);
    switch (tag) {
      case 1: // comparator
        at = second + first;
        break;
      case 2:
        yield { kind: "log", number: first };
        at = second;
        break;
      case 3: // next file number
      case 4: // last sequence
      case 9: // previous log number
        at = second;
        break;
      case 5: // compaction pointer of a level
        at = textAt(record, second)[1];
        break;
      case 6: {
        const [number, end] = varintAt(record, second);
        yield { kind: "deleted", number };
        at = end;
        break;
      }
      case 7: {
        const [number, afterNumber] = varintAt(record, second);
        const [, afterSize] = varintAt(record, afterNumber);
        const [, afterSmallest] = textAt(record, afterSize);
        yield { kind: "added", number };
        at = textAt(record, afterSmallest)[1];
        break;
      }
      default:
        throw new Error(`MANIFEST has an edit of the unknown kind ${tag}`);
    }
  }
}

function textAt(bytes: Buffer, at: number): readonly [text: Buffer, end: number] {
  const [length, start] = varintAt(bytes, at);
  return [bytes.subarray(start, start + length), start + length];
}
