import fc from "fast-check";
import { test } from "tap";
import { RetainedTrie } from "../../src/mqtt/retained-trie.ts";
import { heapBytes } from "./heap.ts";
import { filters, naiveMatch, topics } from "./topic-samples.ts";

function matched<Value>(trie: RetainedTrie<Value>, filter: string): string[] {
  const found: string[] = [];
  trie.match(filter, (_value, topic) => found.push(topic));
  return found.sort();
}

const TOPICS = ["/", "/a", "a", "a/", "a/b", "a/b/c", "a/c", "b", "$SYS", "$SYS/a", "a/$x"];

const TABLE: readonly (readonly [filter: string, found: readonly string[]])[] = [
  ["a/b", ["a/b"]],
  ["a/d", []],
  ["#", ["/", "/a", "a", "a/", "a/$x", "a/b", "a/b/c", "a/c", "b"]],
  ["+", ["a", "b"]],
  ["+/+", ["/", "/a", "a/", "a/$x", "a/b", "a/c"]],
  ["+/#", ["/", "/a", "a", "a/", "a/$x", "a/b", "a/b/c", "a/c", "b"]],
  ["a/#", ["a", "a/", "a/$x", "a/b", "a/b/c", "a/c"]],
  ["a/+", ["a/", "a/$x", "a/b", "a/c"]],
  ["a/b/#", ["a/b", "a/b/c"]],
  ["/#", ["/", "/a"]],
  ["+/b/+", ["a/b/c"]],
  ["$SYS/#", ["$SYS", "$SYS/a"]],
  ["$SYS/+", ["$SYS/a"]],
  ["c/#", []],
  ["a/b/c/d/#", []],
];

for (const [filter, found] of TABLE) {
  await test(`${filter} finds what §4.7 says and nothing else`, (t) => {
    const trie = new RetainedTrie<string>();
    for (const topic of TOPICS) trie.set(topic, `at ${topic}`);
    t.same(matched(trie, filter), [...found].sort());
    trie.match(filter, (value, topic) => t.equal(value, `at ${topic}`));
    t.end();
  });
}

await test("a topic has one value: the one set last", (t) => {
  const trie = new RetainedTrie<number>();
  trie.set("a/b", 1);
  trie.set("a/b", 2);
  t.equal(trie.size, 1);
  t.equal(trie.get("a/b"), 2);
  t.equal(trie.get("a"), undefined);
  t.equal(trie.delete("a"), false);
  t.equal(trie.delete("a/b"), true);
  t.equal(trie.delete("a/b"), false);
  t.equal(trie.get("a/b"), undefined);
  t.equal(trie.size, 0);
  t.end();
});

await test("topics of 60,000 levels are found without exhausting the stack", (t) => {
  const trie = new RetainedTrie<number>();
  const deep = "/".repeat(60_000);
  trie.set(deep, 1);
  for (const filter of [deep, "#", "/#", `${"+/".repeat(60_000)}#`]) {
    t.equal(matched(trie, filter).length, 1);
  }
  t.equal(trie.delete(deep), true);
  t.end();
});

await test("topics taken away again leave nothing in memory", (t) => {
  const trie = new RetainedTrie<number>();
  const before = heapBytes();
  for (let index = 0; index < 50_000; index += 1) {
    const topic = `line/${index}/temperature`;
    trie.set(topic, 1);
    trie.delete(topic);
  }
  const grown = heapBytes() - before;
  t.ok(grown < 2_000_000, `${grown} bytes more`);
  t.equal(trie.size, 0);
  t.end();
});

await test("agrees with trying each topic by itself, through any settings and deletions", (t) => {
  const step = fc.record({ isSet: fc.boolean(), topic: topics, value: fc.nat(9) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.array(filters, { maxLength: 8 }),
      (steps, asked) => {
        const trie = new RetainedTrie<number>();
        const model = new Map<string, number>();
        for (const { isSet, topic, value } of steps) {
          if (isSet) {
            trie.set(topic, value);
            model.set(topic, value);
          } else if (trie.delete(topic) !== model.delete(topic)) return false;
        }
        if (trie.size !== model.size) return false;
        for (const [topic, value] of model) if (trie.get(topic) !== value) return false;
        return asked.every((filter) => {
          const expected = [...model.keys()].filter((topic) => naiveMatch(filter, topic)).sort();
          return JSON.stringify(expected) === JSON.stringify(matched(trie, filter));
        });
      },
    ),
    { numRuns: 1000 },
  );
  t.end();
});
