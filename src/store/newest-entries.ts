import { readFragile } from "./fragile-file.ts";
import { entriesOfBatch, listLevelFolder } from "./level-folder.ts";
import { readLogFile } from "./level-log-file.ts";
import { TableFile, type Entry } from "./level-table.ts";

/** Met while reading: what is not in the answer. */
export type Losses = { damagedBlocks: number; damagedLogs: number };

/**
 * The newest version of every row in a LevelDB folder, in key order, without those that are deleted;
 * read from the files themselves, each block and record checked. Nothing is written.
 */
export function* newestEntries(folder: string, losses: Losses): Generator<Entry> {
  const { logs: paths, tables } = listLevelFolder(folder);
  const logs = paths.map((path) => readLogFile(readFragile(path).bytes));
  losses.damagedLogs = logs.filter(({ isDamaged, isTorn }) => isDamaged || isTorn).length;
  const files = tables.map((path) => new TableFile(path));
  try {
    const fromLogs = logs.flatMap(({ records }) =>
      records.flatMap((record) => [...entriesOfBatch(record)]),
    );
    const sources = [fromLogs.sort(byKeyAndVersion).values(), ...files.map((f) => f.entries())];
    let last: string | undefined;
    for (const entry of merge(sources)) {
      if (entry.key === last) continue;
      last = entry.key;
      if (entry.value !== undefined) yield entry;
    }
  } finally {
    losses.damagedBlocks = files.reduce((sum, file) => sum + file.damagedBlocks, 0);
    for (const file of files) file.close();
  }
}

function byKeyAndVersion(a: Entry, b: Entry): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  return a.version > b.version ? -1 : 1;
}

type Head = { entry: Entry; readonly rest: Iterator<Entry> };

/** Merges what is in order each by itself; a heap, because there may be hundreds of tables. */
function* merge(sources: readonly Iterator<Entry>[]): Generator<Entry> {
  const heap: Head[] = [];
  for (const rest of sources) {
    const first = rest.next();
    if (first.done !== true) heap.push({ entry: first.value, rest });
  }
  for (let at = heap.length >> 1; at >= 0; at -= 1) sink(heap, at);
  for (let top = heap[0]; top !== undefined; top = heap[0]) {
    yield top.entry;
    const next = top.rest.next();
    if (next.done !== true) {
      top.entry = next.value;
    } else {
      const end = heap.pop();
      if (end !== undefined && heap.length > 0) heap[0] = end;
    }
    sink(heap, 0);
  }
}

function sink(heap: Head[], from: number): void {
  for (let at = from; ;) {
    let least = at;
    for (const child of [2 * at + 1, 2 * at + 2]) {
      if (isBefore(heap[child], heap[least])) least = child;
    }
    const [upper, lower] = [heap[at], heap[least]];
    if (least === at || upper === undefined || lower === undefined) return;
    heap[at] = lower;
    heap[least] = upper;
    at = least;
  }
}

function isBefore(a: Head | undefined, b: Head | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  return byKeyAndVersion(a.entry, b.entry) < 0;
}
