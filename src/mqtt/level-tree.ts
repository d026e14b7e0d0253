/** A tree over the levels of topic names or filters, split at `/` (MQTT 3.1.1 §4.7.1.1). */
export type LevelNode<Content> = {
  children: Map<string, LevelNode<Content>> | undefined;
  content: Content | undefined;
};

export function levelNode<Content>(): LevelNode<Content> {
  return { children: undefined, content: undefined };
}

export function findNode<Content>(
  root: LevelNode<Content>,
  text: string,
): LevelNode<Content> | undefined {
  let node: LevelNode<Content> | undefined = root;
  for (const level of text.split("/")) {
    node = node.children?.get(level);
    if (node === undefined) return undefined;
  }
  return node;
}

/** As `findNode`, but makes what is missing. */
export function growNode<Content>(root: LevelNode<Content>, text: string): LevelNode<Content> {
  let node = root;
  for (const level of text.split("/")) {
    node.children ??= new Map();
    let child = node.children.get(level);
    if (child === undefined) {
      child = levelNode();
      node.children.set(level, child);
    }
    node = child;
  }
  return node;
}

/** Takes away the nodes on the way to `text` that hold nothing, neither content nor children. */
export function pruneNode<Content>(root: LevelNode<Content>, text: string): void {
  const path: { readonly parent: LevelNode<Content>; readonly level: string }[] = [];
  let node: LevelNode<Content> | undefined = root;
  for (const level of text.split("/")) {
    path.push({ parent: node, level });
    node = node.children?.get(level);
    if (node === undefined) break;
  }
  for (const { parent, level } of path.reverse()) {
    const child = parent.children?.get(level);
    if (child?.content !== undefined || child?.children !== undefined) return;
    parent.children?.delete(level);
    if (parent.children?.size === 0) parent.children = undefined;
  }
}
