import { test } from "tap";
import { applyJsonPatch } from "../../src/http/json-patch.ts";
import { GatewayError } from "../../src/errors.ts";
import type { Json } from "../../src/thing/json.ts";
import { BOILER, startGateway } from "./harness.ts";

const DOCUMENT: Json = { title: "a", list: [1, 2, 3], "a/b": { "c~d": 1 }, empty: {} };

const APPLIED: readonly (readonly [title: string, patch: Json, expected: Json])[] = [
  ["nothing", [], DOCUMENT],
  ["add", [{ op: "add", path: "/new", value: { a: 1 } }], { ...DOCUMENT, new: { a: 1 } }],
  [
    "add at an index",
    [{ op: "add", path: "/list/1", value: 9 }],
    { ...DOCUMENT, list: [1, 9, 2, 3] },
  ],
  [
    "add at the end",
    [{ op: "add", path: "/list/-", value: 9 }],
    { ...DOCUMENT, list: [1, 2, 3, 9] },
  ],
  ["replace", [{ op: "replace", path: "/title", value: null }], { ...DOCUMENT, title: null }],
  [
    "escapes",
    [{ op: "replace", path: "/a~1b/c~0d", value: 2 }],
    { ...DOCUMENT, "a/b": { "c~d": 2 } },
  ],
  ["remove", [{ op: "remove", path: "/list/0" }], { ...DOCUMENT, list: [2, 3] }],
  [
    "copy",
    [
      { op: "copy", from: "/list", path: "/copied" },
      { op: "add", path: "/copied/-", value: 4 },
    ],
    { ...DOCUMENT, copied: [1, 2, 3, 4] },
  ],
  [
    "move",
    [{ op: "move", from: "/title", path: "/empty/title" }],
    { list: [1, 2, 3], "a/b": { "c~d": 1 }, empty: { title: "a" } },
  ],
  ["a test that holds", [{ op: "test", path: "/list", value: [1, 2, 3] }], DOCUMENT],
  [
    "an unknown member of an operation",
    [{ op: "test", path: "/title", value: "a", x: 1 }],
    DOCUMENT,
  ],
  [
    "a member that objects inherit",
    [{ op: "add", path: "/constructor", value: 1 }],
    { ...DOCUMENT, constructor: 1 },
  ],
];

await test("a JSON Patch changes a copy", (t) => {
  for (const [title, patch, expected] of APPLIED) {
    const before = structuredClone(DOCUMENT);
    t.same(applyJsonPatch(DOCUMENT, patch), expected, title);
    t.same(DOCUMENT, before, `${title}: the document stays`);
  }
  t.end();
});

const DOUBLINGS = Array.from({ length: 40 }, (_, index) => ({
  op: "copy",
  from: "",
  path: `/again${index}`,
}));

const REFUSED: readonly (readonly [title: string, patch: Json, code: string, pointer?: string])[] =
  [
    ["an object", {}, "malformed"],
    ["an unknown operation", [{ op: "increment", path: "/title" }], "malformed", "/0/op"],
    ["no value", [{ op: "add", path: "/x" }], "malformed", "/0/value"],
    ["no path", [{ op: "remove" }], "malformed", "/0/path"],
    ["no pointer", [{ op: "remove", path: "title" }], "malformed", "/0/path"],
    ["a bad escape", [{ op: "remove", path: "/a~2b" }], "malformed", "/0/path"],
    ["__proto__", [{ op: "add", path: "/__proto__/polluted", value: 1 }], "malformed", "/0/path"],
    [
      "__proto__ within",
      [{ op: "add", path: "/empty/__proto__", value: 1 }],
      "malformed",
      "/0/path",
    ],
    ["from __proto__", [{ op: "copy", from: "/__proto__", path: "/x" }], "malformed", "/0/from"],
    [
      "constructor/prototype",
      [{ op: "add", path: "/empty/constructor/prototype/polluted", value: 1 }],
      "malformed",
      "/0/path",
    ],
    ["a test that fails", [{ op: "test", path: "/title", value: "b" }], "conflict", "/0"],
    [
      "the second operation",
      [
        { op: "add", path: "/x", value: 1 },
        { op: "remove", path: "/y" },
      ],
      "conflict",
      "/1",
    ],
    ["a path that leads nowhere", [{ op: "add", path: "/no/where", value: 1 }], "conflict", "/0"],
    ["an index beyond the end", [{ op: "add", path: "/list/7", value: 1 }], "conflict", "/0"],
    ["a word as an index", [{ op: "add", path: "/list/x", value: 1 }], "conflict", "/0"],
    ["through a number", [{ op: "add", path: "/list/0/x", value: 1 }], "conflict", "/0"],
    ["into itself", [{ op: "move", from: "/empty", path: "/empty/x" }], "conflict", "/0"],
    ["a doubling", DOUBLINGS, "too-large"],
    ["too many", Array(501).fill({ op: "remove", path: "/x" }), "malformed"],
  ];

await test("a JSON Patch that is none, or does not apply, is refused whole", (t) => {
  for (const [title, patch, code, pointer] of REFUSED) {
    try {
      applyJsonPatch(DOCUMENT, patch);
      t.fail(title);
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      t.equal(error.code, code, title);
      if (pointer !== undefined) t.equal(error.faults[0]?.pointer, pointer, title);
      t.notMatch(error.message, /"c~d"/, `${title}: the document is not shown`);
    }
  }
  t.equal(Object.hasOwn(Object.prototype, "polluted"), false);
  t.end();
});

await test("a value may have a member __proto__, which stays a member", (t) => {
  const patch = JSON.parse(
    '[{"op":"add","path":"/x","value":{"__proto__":{"polluted":1}}}]',
  ) as Json;
  const changed = applyJsonPatch(DOCUMENT, patch) as { x: object };
  t.equal(JSON.stringify(changed.x), '{"__proto__":{"polluted":1}}');
  const copy = applyJsonPatch(changed as unknown as Json, [{ op: "copy", from: "/x", path: "/y" }]);
  t.match(JSON.stringify(copy), '"y":{"__proto__":{"polluted":1}}');
  t.equal(({} as { polluted?: unknown }).polluted, undefined);
  t.end();
});

await test("PATCH of a Thing takes a JSON Patch by its media type", async (t) => {
  const { call } = await startGateway(t);
  await call("POST", "/A/things", { json: BOILER });
  const headers = { "content-type": "application/json-patch+json" };
  const patch = async (operations: unknown) =>
    call("PATCH", "/A/things/boiler", { body: JSON.stringify(operations), headers });
  const added = await patch([
    { op: "test", path: "/title", value: "Boiler" },
    { op: "add", path: "/properties/pressure", value: { type: "number" } },
    { op: "remove", path: "/actions/reset" },
  ]);
  t.equal(added.status, 200);
  t.match(added.json, { properties: { pressure: { type: "number" } } });
  t.notOk("reset" in added.json.actions);

  const failed = await patch([{ op: "test", path: "/title", value: "Other" }]);
  t.equal(failed.status, 409);
  t.equal(failed.json.code, "conflict");
  const renamed = await patch([{ op: "replace", path: "/id", value: "other" }]);
  t.equal(renamed.json.code, "description-invalid");
  const whole = await patch([{ op: "replace", path: "", value: 7 }]);
  t.equal(whole.json.code, "description-invalid");
  const polluting = await patch([{ op: "add", path: "/__proto__/x", value: 1 }]);
  t.equal(polluting.status, 400);
});
