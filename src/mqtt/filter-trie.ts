import { findNode, growNode, levelNode, pruneNode, type LevelNode } from "./level-tree.ts";

/**
 * Topic filters and what is subscribed with each, so that finding the filters that match a topic
 * name costs its levels and not the number of filters (MQTT 3.1.1 §4.7). A value stands under a
 * filter once, however often it is added.
 */
export class FilterTrie<Value> {
  /** `#` and `+` are levels like any other: no level of a topic name is spelt so. */
  readonly #root: FilterNode<Value> = levelNode();
  #size = 0;

  /** Pairs of filter and value. */
  get size(): number {
    return this.#size;
  }

  /** False if the value was under this filter already. The filter has to be a valid one. */
  add(filter: string, value: Value): boolean {
    const node = growNode(this.#root, filter);
    node.content ??= new Set();
    if (node.content.has(value)) return false;
    node.content.add(value);
    this.#size += 1;
    return true;
  }

  /** False if the value was not under this filter. */
  remove(filter: string, value: Value): boolean {
    const node = findNode(this.#root, filter);
    if (node?.content?.delete(value) !== true) return false;
    this.#size -= 1;
    if (node.content.size === 0) {
      node.content = undefined;
      pruneNode(this.#root, filter);
    }
    return true;
  }

  /**
   * Calls `visit` for each value whose filter matches the topic name: once for each such filter, in
   * no promised order. `visit` must not change the trie.
   */
  match(topic: string, visit: (value: Value) => void): void {
    // Breadth first: a deep topic cannot exhaust the stack.
    let nodes = [this.#root];
    // Wildcards at the first level do not match topics that begin with $ [MQTT-4.7.2-1].
    let takesWildcards = !topic.startsWith("$");
    for (const level of topic.split("/")) {
      const deeper: FilterNode<Value>[] = [];
      for (const { children } of nodes) {
        if (children === undefined) continue;
        if (takesWildcards) {
          visitContent(children.get("#"), visit);
          const single = children.get("+");
          if (single !== undefined) deeper.push(single);
        }
        const exact = children.get(level);
        if (exact !== undefined) deeper.push(exact);
      }
      if (deeper.length === 0) return;
      nodes = deeper;
      takesWildcards = true;
    }
    for (const node of nodes) {
      visitContent(node, visit);
      visitContent(node.children?.get("#"), visit); // `a/#` matches `a`, §4.7.1.2.
    }
  }
}

type FilterNode<Value> = LevelNode<Set<Value>>;

function visitContent<Value>(
  node: FilterNode<Value> | undefined,
  visit: (value: Value) => void,
): void {
  if (node?.content === undefined) return;
  for (const value of node.content) visit(value);
}
