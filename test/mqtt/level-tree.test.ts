import { test } from "tap";
import { findNode, growNode, levelNode, pruneNode } from "../../src/mqtt/level-tree.ts";

await test("pruning takes what holds nothing and leaves what holds something", (t) => {
  const root = levelNode<string>();
  growNode(root, "a").content = "kept";
  growNode(root, "a/b/c/d");
  growNode(root, "a/b/e").content = "kept too";

  pruneNode(root, "a/b/c/d");
  t.equal(findNode(root, "a/b/c"), undefined);
  t.equal(findNode(root, "a/b/e")?.content, "kept too");

  const last = growNode(root, "a/b/e");
  last.content = undefined;
  pruneNode(root, "a/b/e");
  t.equal(findNode(root, "a/b"), undefined);
  t.equal(findNode(root, "a")?.content, "kept");

  growNode(root, "a").content = undefined;
  pruneNode(root, "a");
  t.strictSame(root, levelNode());
  t.end();
});

await test("pruning on the way to what is not there changes nothing", (t) => {
  const root = levelNode<string>();
  growNode(root, "a/b").content = "kept";
  pruneNode(root, "a/b/c/d");
  pruneNode(root, "x/y");
  t.equal(findNode(root, "a/b")?.content, "kept");
  t.end();
});
