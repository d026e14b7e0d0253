import { findNode, growNode, levelNode, pruneNode, type LevelNode } from "./level-tree.ts";

/**
 * One value for each topic name, found by topic filter: an exact filter costs its levels, a wildcard
 * the part of the tree below it, however many topics there are besides.
 */
export class RetainedTrie<Value> {
  readonly #root: TopicNode<Value> = levelNode();
  #size = 0;

  /** Topics that have a value. */
  get size(): number {
    return this.#size;
  }

  /** Replaces what the topic had. The topic has to be a valid topic name. */
  set(topic: string, value: Value): void {
    const node = growNode(this.#root, topic);
    if (node.content === undefined) this.#size += 1;
    node.content = { topic, value };
  }

  get(topic: string): Value | undefined {
    return findNode(this.#root, topic)?.content?.value;
  }

  /** False if the topic had no value. */
  delete(topic: string): boolean {
    const node = findNode(this.#root, topic);
    if (node?.content === undefined) return false;
    node.content = undefined;
    this.#size -= 1;
    pruneNode(this.#root, topic);
    return true;
  }

  /**
   * Calls `visit` once for each topic that the filter matches, in no promised order. `visit` must
   * not change the trie.
   */
  match(filter: string, visit: (value: Value, topic: string) => void): void {
    // Breadth first: neither a deep filter nor a deep topic can exhaust the stack.
    let nodes: readonly TopicNode<Value>[] = [this.#root];
    for (const level of filter.split("/")) {
      const isRoot = nodes[0] === this.#root;
      if (level === "#") {
        // `a/#` matches `a` too, §4.7.1.2. The root itself is no topic.
        visitTrees(isRoot ? wildcardChildren(nodes, isRoot) : nodes, visit);
        return;
      }
      nodes = level === "+" ? wildcardChildren(nodes, isRoot) : namedChildren(nodes, level);
      if (nodes.length === 0) return;
    }
    for (const { content } of nodes) if (content !== undefined) visit(content.value, content.topic);
  }
}

/** With the whole topic, which a walk by wildcard would have to put together again. */
type TopicNode<Value> = LevelNode<{ readonly topic: string; readonly value: Value }>;

function namedChildren<Value>(
  nodes: readonly TopicNode<Value>[],
  level: string,
): TopicNode<Value>[] {
  const found: TopicNode<Value>[] = [];
  for (const { children } of nodes) {
    const child = children?.get(level);
    if (child !== undefined) found.push(child);
  }
  return found;
}

/** Wildcards at the first level do not match topics that begin with $ [MQTT-4.7.2-1]. */
function wildcardChildren<Value>(
  nodes: readonly TopicNode<Value>[],
  isRoot: boolean,
): TopicNode<Value>[] {
  const found: TopicNode<Value>[] = [];
  for (const { children } of nodes) {
    if (children === undefined) continue;
    for (const [level, child] of children) {
      if (!isRoot || !level.startsWith("$")) found.push(child);
    }
  }
  return found;
}

function visitTrees<Value>(
  tops: readonly TopicNode<Value>[],
  visit: (value: Value, topic: string) => void,
): void {
  const open = tops.slice();
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    const { children, content } = node;
    if (content !== undefined) visit(content.value, content.topic);
    if (children !== undefined) for (const child of children.values()) open.push(child);
  }
}
