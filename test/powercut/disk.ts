import { constants } from "node:fs";
import { basename, dirname } from "node:path";
import type { Call } from "./trace.ts";

/** A change that is on the disk for certain only when its file or folder was synced afterwards. */
type Timed = { readonly begin: bigint; readonly end: bigint };

/** A change of a file's content. */
export type Edit = Timed &
  (
    | { readonly kind: "write"; readonly offset: number; readonly data: Buffer }
    | { readonly kind: "truncate"; readonly size: number }
  );

/** A change of the names in a folder: `node` is what the name leads to, `undefined` removes it. */
export type Naming = Timed & { readonly name: string; readonly node: Node | undefined };

/** A file or a folder, whatever its name is, and all that happened to it. */
export type Node = {
  readonly kind: "file" | "folder";
  readonly edits: Edit[];
  /** In one array what one call does: a rename takes one name away and gives another. */
  readonly namings: (readonly Naming[])[];
  readonly syncs: Timed[];
};

/** What a recorded process did to a folder that was empty, and there, before it began. */
export function buildDisk(calls: readonly Call[], root: string): Node {
  return new Recording(root).apply(calls);
}

class Recording {
  readonly #root: string;
  readonly #rootNode = newNode("folder");
  readonly #names = new Map<Node, Map<string, Node>>();
  readonly #open = new Map<bigint, Node>();
  readonly #sizes = new Map<Node, number>();

  constructor(root: string) {
    this.#root = root;
  }

  apply(calls: readonly Call[]): Node {
    for (const call of calls) this.#apply(call);
    return this.#rootNode;
  }

  #apply(call: Call): void {
    const { begin, end } = call;
    switch (call.kind) {
      case "open":
        this.#applyOpen(call);
        return;
      case "write": {
        const node = this.#opened(call.file);
        const size = this.#sizes.get(node) ?? 0;
        const offset = call.offset ?? size;
        node.edits.push({ kind: "write", begin, end, offset, data: call.data });
        this.#sizes.set(node, Math.max(size, offset + call.data.length));
        return;
      }
      case "truncate":
        this.#truncate(this.#opened(call.file), call.size, call);
        return;
      case "sync":
        this.#opened(call.file).syncs.push({ begin, end });
        return;
      case "mkdir":
        this.#name(call.path, newNode("folder"), call);
        return;
      case "remove":
        this.#name(call.path, undefined, call);
        return;
      case "rename":
        this.#rename(call.path, call.to, call);
    }
  }

  #applyOpen(call: Call & { readonly kind: "open" }): void {
    const { path, flags, file } = call;
    let node = this.#find(path);
    if (node === undefined) {
      if ((flags & constants.O_CREAT) === 0) return;
      node = newNode("file");
      this.#name(path, node, call);
    } else if ((flags & constants.O_TRUNC) !== 0) {
      this.#truncate(node, 0, call);
    }
    this.#open.set(file, node);
  }

  #truncate(node: Node, size: number, { begin, end }: Timed): void {
    node.edits.push({ kind: "truncate", begin, end, size });
    this.#sizes.set(node, size);
  }

  #rename(from: string, to: string, { begin, end }: Timed): void {
    const node = this.#find(from);
    if (node === undefined) throw new Error(`${from} was renamed and was never made`);
    if (dirname(from) !== dirname(to)) throw new Error("renames across folders are not replayed");
    const folder = this.#folder(from);
    const [old, name] = [basename(from), basename(to)];
    folder.namings.push([
      { begin, end, name: old, node: undefined },
      { begin, end, name, node },
    ]);
    const names = this.#namesIn(folder);
    names.delete(old);
    names.set(name, node);
  }

  #name(path: string, node: Node | undefined, { begin, end }: Timed): void {
    const folder = this.#folder(path);
    const name = basename(path);
    folder.namings.push([{ begin, end, name, node }]);
    if (node === undefined) this.#namesIn(folder).delete(name);
    else this.#namesIn(folder).set(name, node);
  }

  #find(path: string): Node | undefined {
    if (path === this.#root) return this.#rootNode;
    const parent = this.#find(dirname(path));
    return parent === undefined ? undefined : this.#namesIn(parent).get(basename(path));
  }

  #folder(path: string): Node {
    const folder = this.#find(dirname(path));
    if (folder === undefined) throw new Error(`the folder of ${path} was never made`);
    return folder;
  }

  #namesIn(folder: Node): Map<string, Node> {
    let names = this.#names.get(folder);
    if (names === undefined) this.#names.set(folder, (names = new Map<string, Node>()));
    return names;
  }

  #opened(file: bigint): Node {
    const node = this.#open.get(file);
    if (node === undefined) throw new Error("a file was written that was never opened");
    return node;
  }
}

function newNode(kind: Node["kind"]): Node {
  return { kind, edits: [], namings: [], syncs: [] };
}
