import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Dice } from "../crash/dice.ts";
import type { Edit, Node } from "./disk.ts";

/**
 * How much a power cut spares of what was not synced. `synced`: nothing of it. `all`: all of it.
 * `ordered`: in each file and folder what came first, and a part of the next write. `any`: in each
 * folder any of the changes, in each file any of the sectors.
 */
export const MERCIES = ["synced", "all", "ordered", "any"] as const;
export type Mercy = (typeof MERCIES)[number];

/** What a disk writes at once. */
const SECTOR = 512;

/** Writes a state to `target`, a new folder, that a power cut at the time `at` may leave. */
export function leaveTornState(
  root: Node,
  at: bigint,
  options: { readonly mercy: Mercy; readonly dice: Dice; readonly target: string },
): void {
  const { mercy, dice, target } = options;
  mkdirSync(target);
  for (const [name, node] of namesIn(root, at, mercy, dice)) {
    const path = join(target, name);
    if (node.kind === "folder") leaveTornState(node, at, { mercy, dice, target: path });
    else writeFileSync(path, contentOf(node, at, mercy, dice));
  }
}

/** Is there a file, here or below, whose content is synced at this time and whose name is not? */
export function hasUnsyncedNames(folder: Node, at: bigint): boolean {
  const pending = split(callsOf(folder), folder, at).pending.flatMap(({ namings }) => namings);
  if (pending.some(({ node }) => node?.syncs.some(({ end }) => end <= at) === true)) return true;
  const nodes = folder.namings.flat().flatMap(({ node }) => node ?? []);
  return nodes.some((node) => node.kind === "folder" && hasUnsyncedNames(node, at));
}

/** Changes that had begun, split at the last sync that had ended: what ended before it is certain. */
function split<Change extends { readonly begin: bigint; readonly end: bigint }>(
  changes: readonly Change[],
  { syncs }: Node,
  at: bigint,
): { readonly certain: readonly Change[]; readonly pending: readonly Change[] } {
  const begun = changes.filter(({ begin }) => begin <= at);
  const synced = syncs.filter(({ end }) => end <= at).map(({ begin }) => begin);
  const isCertain = ({ end }: Change): boolean => synced.some((begin) => end <= begin);
  return {
    certain: begun.filter(isCertain),
    pending: begun.filter((change) => !isCertain(change)),
  };
}

function namesIn(folder: Node, at: bigint, mercy: Mercy, dice: Dice): ReadonlyMap<string, Node> {
  const { certain, pending } = split(callsOf(folder), folder, at);
  const names = new Map<string, Node>();
  for (const { namings } of [...certain, ...spared(pending, mercy, dice)]) {
    for (const { name, node } of namings) {
      if (node === undefined) names.delete(name);
      else names.set(name, node);
    }
  }
  return names;
}

function callsOf({ namings: all }: Node) {
  return all.flatMap((namings) => {
    const [first] = namings;
    return first === undefined ? [] : [{ begin: first.begin, end: first.end, namings }];
  });
}

function spared<Change>(pending: readonly Change[], mercy: Mercy, dice: Dice): readonly Change[] {
  switch (mercy) {
    case "synced":
      return [];
    case "all":
      return pending;
    case "ordered":
      return pending.slice(0, dice.below(pending.length + 1));
    case "any":
      return pending.filter(() => dice.chance(0.5));
  }
}

function contentOf(file: Node, at: bigint, mercy: Mercy, dice: Dice): Buffer {
  const { certain, pending } = split(file.edits, file, at);
  const before = replay(certain);
  if (pending.length === 0 || mercy === "synced") return before;
  if (mercy !== "ordered") {
    const after = replay([...certain, ...pending]);
    return mercy === "all" ? after : mixSectors(before, after, dice);
  }
  const kept = spared(pending, mercy, dice);
  return replay([...certain, ...kept, ...tornEdit(pending[kept.length], dice)]);
}

/** The beginning of the write that was under way. */
function tornEdit(edit: Edit | undefined, dice: Dice): readonly Edit[] {
  if (edit?.kind !== "write") return [];
  const size = dice.below(edit.data.length + 1);
  const isWholeSectors = dice.chance(0.5);
  return [{ ...edit, data: edit.data.subarray(0, isWholeSectors ? size - (size % SECTOR) : size) }];
}

/** The size of the new content, and of each sector the old or the new state: zeros, if it is new. */
function mixSectors(before: Buffer, after: Buffer, dice: Dice): Buffer {
  const mixed = Buffer.alloc(after.length);
  before.copy(mixed);
  for (let at = 0; at < after.length; at += SECTOR) {
    const end = Math.min(at + SECTOR, after.length);
    const isSame = mixed.subarray(at, end).equals(after.subarray(at, end));
    if (isSame || dice.chance(0.5)) after.copy(mixed, at, at, end);
  }
  return mixed;
}

function replay(edits: readonly Edit[]): Buffer {
  const ends = edits.map((edit) => (edit.kind === "write" ? edit.offset + edit.data.length : 0));
  const content = Buffer.alloc(Math.max(0, ...ends));
  let size = 0;
  for (const edit of edits) {
    if (edit.kind === "truncate") {
      content.fill(0, edit.size, size);
      size = edit.size;
    } else {
      edit.data.copy(content, edit.offset);
      size = Math.max(size, edit.offset + edit.data.length);
    }
  }
  return content.subarray(0, size);
}
