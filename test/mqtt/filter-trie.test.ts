import fc from "fast-check";
import { test } from "tap";
import { FilterTrie } from "../../src/mqtt/filter-trie.ts";
import { heapBytes } from "./heap.ts";
import { filters, naiveMatch, topics } from "./topic-samples.ts";

function matched<Value>(trie: FilterTrie<Value>, topic: string): Value[] {
  const found: Value[] = [];
  trie.match(topic, (value) => found.push(value));
  return found;
}

/** Filter, topics it matches, topics it does not: MQTT 3.1.1 §4.7 and its examples. */
const TABLE: readonly (readonly [string, readonly string[], readonly string[]])[] = [
  ["a/b", ["a/b"], ["a", "a/b/", "a/b/c", "/a/b", "A/b"]],
  ["sport/tennis/player1/#", ["sport/tennis/player1", "sport/tennis/player1/ranking"], ["sport"]],
  ["sport/#", ["sport", "sport/", "sport/a/b/c"], ["sports", "a/sport"]],
  ["#", ["a", "/", "a/b/c", "//"], ["$SYS", "$SYS/a", "$"]],
  ["+", ["a"], ["a/b", "/a", "$SYS"]],
  ["+/+", ["/finance", "a/b", "/"], ["a", "a/b/c", "$SYS/a"]],
  ["/+", ["/finance", "/"], ["finance", "/a/b"]],
  ["sport/+", ["sport/", "sport/a"], ["sport", "sport/a/b"]],
  ["+/monitor/Clients", ["a/monitor/Clients"], ["$SYS/monitor/Clients"]],
  ["+/#", ["a", "a/b", "/"], ["$SYS/a"]],
  ["$SYS/#", ["$SYS", "$SYS/a/b"], ["SYS/a"]],
  ["$SYS/monitor/+", ["$SYS/monitor/Clients"], ["$SYS/monitor"]],
  ["a/+/#", ["a/b", "a/$b/c", "a/"], ["a"]],
  ["a//b", ["a//b"], ["a/b"]],
  ["__proto__/+", ["__proto__/constructor"], ["a/constructor"]],
];

for (const [filter, matches, others] of TABLE) {
  await test(`${filter} matches what §4.7 says and nothing else`, (t) => {
    const trie = new FilterTrie<string>();
    trie.add(filter, "it");
    for (const topic of matches) t.same(matched(trie, topic), ["it"], topic);
    for (const topic of others) t.same(matched(trie, topic), [], topic);
    t.end();
  });
}

await test("a value stands under a filter once, and under several filters", (t) => {
  const trie = new FilterTrie<string>();
  t.equal(trie.add("a/#", "x"), true);
  t.equal(trie.add("a/#", "x"), false);
  t.equal(trie.add("a/#", "y"), true);
  t.equal(trie.add("a/b", "x"), true);
  t.equal(trie.size, 3);
  t.same(matched(trie, "a/b").sort(), ["x", "x", "y"]);
  t.equal(trie.remove("a/#", "x"), true);
  t.equal(trie.remove("a/#", "x"), false);
  t.equal(trie.remove("a/c", "x"), false);
  t.same(matched(trie, "a/b").sort(), ["x", "y"]);
  t.equal(trie.size, 2);
  t.end();
});

await test("removing a filter leaves those above and below it", (t) => {
  const trie = new FilterTrie<string>();
  for (const filter of ["a", "a/b", "a/b/c", "a/+"]) trie.add(filter, filter);
  trie.remove("a/b", "a/b");
  t.same(matched(trie, "a"), ["a"]);
  t.same(matched(trie, "a/b"), ["a/+"]);
  t.same(matched(trie, "a/b/c"), ["a/b/c"]);
  t.end();
});

await test("a topic and a filter of 60,000 levels match without exhausting the stack", (t) => {
  const trie = new FilterTrie<string>();
  const deep = "/".repeat(60_000);
  for (const filter of [deep, "/#", `${"+/".repeat(60_000)}+`]) trie.add(filter, filter);
  t.equal(matched(trie, deep).length, 3);
  t.equal(trie.remove(deep, deep), true);
  t.equal(matched(trie, deep).length, 2);
  t.end();
});

await test("filters taken away again leave nothing in memory", (t) => {
  const trie = new FilterTrie<number>();
  const before = heapBytes();
  for (let index = 0; index < 50_000; index += 1) {
    const filter = `line/${index}/temperature`;
    trie.add(filter, 1);
    trie.remove(filter, 1);
  }
  const grown = heapBytes() - before;
  t.ok(grown < 2_000_000, `${grown} bytes more`);
  t.equal(trie.size, 0);
  t.end();
});

await test("agrees with matching each filter by itself, through any additions and removals", (t) => {
  const step = fc.record({ isAdd: fc.boolean(), filter: filters, value: fc.nat(3) });
  fc.assert(
    fc.property(
      fc.array(step, { maxLength: 40 }),
      fc.array(topics, { maxLength: 8 }),
      (steps, names) => {
        const trie = new FilterTrie<number>();
        const model = new Map<string, { filter: string; value: number }>();
        for (const { isAdd, filter, value } of steps) {
          const key = JSON.stringify([filter, value]);
          const changed = isAdd ? trie.add(filter, value) : trie.remove(filter, value);
          if (changed !== (isAdd ? !model.has(key) : model.has(key))) return false;
          if (isAdd) model.set(key, { filter, value });
          else model.delete(key);
        }
        if (trie.size !== model.size) return false;
        return names.every((topic) => {
          const expected = [...model.values()]
            .filter(({ filter }) => naiveMatch(filter, topic))
            .map(({ value }) => value);
          return expected.sort().join() === matched(trie, topic).sort().join();
        });
      },
    ),
    { numRuns: 1000 },
  );
  t.end();
});
