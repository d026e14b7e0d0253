import fc from "fast-check";
import { test } from "tap";
import type { Json } from "../../src/thing/json.ts";
import { mergePatch } from "../../src/thing/merge-patch.ts";

await test("a merge patch does what the examples of RFC 7396 appendix A say", (t) => {
  const table: readonly (readonly [target: Json, patch: Json, result: Json])[] = [
    [{ a: "b" }, { a: "c" }, { a: "c" }],
    [{ a: "b" }, { b: "c" }, { a: "b", b: "c" }],
    [{ a: "b" }, { a: null }, {}],
    [{ a: "b", b: "c" }, { a: null }, { b: "c" }],
    [{ a: ["b"] }, { a: "c" }, { a: "c" }],
    [{ a: "c" }, { a: ["b"] }, { a: ["b"] }],
    [{ a: { b: "c" } }, { a: { b: "d", c: null } }, { a: { b: "d" } }],
    [{ a: [{ b: "c" }] }, { a: [1] }, { a: [1] }],
    [
      ["a", "b"],
      ["c", "d"],
      ["c", "d"],
    ],
    [{ a: "b" }, ["c"], ["c"]],
    [{ a: "foo" }, null, null],
    [{ a: "foo" }, "bar", "bar"],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: "b", c: null }, { a: "b" }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ];
  for (const [target, patch, result] of table) {
    t.equal(JSON.stringify(mergePatch(target, patch)), JSON.stringify(result));
  }
  t.end();
});

await test("a merge patch never touches a prototype nor what it is given", (t) => {
  const patch = JSON.parse(
    '{"__proto__":{"polluted":1},"constructor":{"prototype":{"x":1}}}',
  ) as Json;
  const target = Object.freeze({ a: Object.freeze({ b: 1 }) });
  const merged = mergePatch(target, patch);
  t.equal(
    JSON.stringify(merged),
    '{"a":{"b":1},"__proto__":{"polluted":1},"constructor":{"prototype":{"x":1}}}',
  );
  t.equal(Object.getPrototypeOf(merged), Object.prototype);
  t.equal("polluted" in {}, false);
  t.end();
});

await test("applying a merge patch twice is applying it once", (t) => {
  const json = fc.jsonValue({ maxDepth: 4 }) as fc.Arbitrary<Json>;
  fc.assert(
    fc.property(json, json, (target, patch) => {
      const once = mergePatch(target, patch);
      return JSON.stringify(mergePatch(once, patch)) === JSON.stringify(once);
    }),
  );
  t.end();
});
