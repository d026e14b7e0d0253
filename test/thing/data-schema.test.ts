import fc from "fast-check";
import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { checkDataSchema, compileDataSchema, parseJson } from "../../src/thing/data-schema.ts";
import type { Json, JsonObject } from "../../src/thing/json.ts";

/** Faults of a value, as `pointer detail`. */
function faultsOf(schema: JsonObject, value: unknown): readonly string[] {
  const outcome = compileDataSchema(schema)(value);
  return outcome.ok ? [] : outcome.faults.map(({ pointer, detail }) => `${pointer} ${detail}`);
}

function schemaFaults(schema: unknown): readonly string[] {
  return checkDataSchema(schema, "/p").map(({ pointer, detail }) => `${pointer} ${detail}`);
}

function parsed(text: string): Json {
  const outcome = parseJson(text);
  if (!outcome.ok) throw new Error(outcome.code);
  return outcome.value;
}

function nested(depth: number): string {
  return "[".repeat(depth) + "]".repeat(depth);
}

await test("a value matches its DataSchema or is refused, term by term", (t) => {
  const table: readonly (readonly [schema: JsonObject, good: Json[], bad: Json[]])[] = [
    [{}, [null, 1, "a", [], {}], []],
    [{ title: "x", unit: "m", "@type": "T", "xyz:foo": {}, forms: [], observable: true }, [1], []],
    [{ type: "integer" }, [1, 1.0, -3, 1e3], [1.5, "1", null, true]],
    [{ type: "number" }, [1, 1.5], ["1", null]],
    [{ type: "boolean" }, [true], [0, "true", null]],
    [{ type: "null" }, [null], [0, "", {}]],
    [{ type: "string" }, [""], [1, null]],
    [{ type: "array" }, [[], [1]], [{}, "a"]],
    [{ type: "object" }, [{}], [[], null]],
    [{ type: "number", minimum: 1, maximum: 2 }, [1, 2], [0.9, 2.1]],
    [{ type: "number", exclusiveMinimum: 1, exclusiveMaximum: 2 }, [1.5], [1, 2]],
    [{ type: "number", multipleOf: 0.1 }, [21.3, 0.7, -1.1, 0], [0.15]],
    [{ type: "string", minLength: 1, maxLength: 2 }, ["a", "🌡🌡"], ["", "abc"]],
    [{ type: "string", pattern: "^a+$" }, ["aa"], ["ab"]],
    [{ type: "string", format: "date-time" }, ["2026-01-31T10:00:00Z"], ["2026-02-31T10:00:00Z"]],
    [{ type: "string", format: "email" }, ["a@example.org"], ["a"]],
    [{ type: "string", format: "phone" }, ["anything"], [1]],
    [{ const: { a: [1] } }, [{ a: [1] }], [{ a: [1, 2] }, { a: [1], b: 1 }, null]],
    [{ enum: ["a", 1, null, { b: 1, c: 2 }] }, ["a", 1, null, { c: 2, b: 1 }], ["1", { b: 1 }]],
    [{ oneOf: [{ type: "string" }, { const: 1 }] }, ["a", 1], [2]],
    [{ oneOf: [{ type: "number" }, { minimum: 1 }] }, [0], [1]],
    [{ allOf: [{ type: "number" }, { minimum: 1 }] }, [1], [0, "a"]],
    [{ anyOf: [{ type: "number" }, { type: "string" }] }, [1, "a"], [null]],
    [{ type: "array", items: { type: "number" }, minItems: 1, maxItems: 2 }, [[1]], [[], ["a"]]],
    [{ type: "array", items: [{ type: "number" }, { type: "string" }] }, [[1, "a"]], [["a", 1]]],
    [{ properties: { a: { type: "number" } }, required: ["a"] }, [{ a: 1 }, 1], [{}, { a: "1" }]],
    [{ additionalProperties: false, properties: { a: {} } }, [{ a: 1 }], [{ b: 1 }]],
    [{ additionalProperties: { type: "number" } }, [{ a: 1 }], [{ a: "1" }]],
    [{ type: "string", contentEncoding: "base64", contentMediaType: "image/png" }, ["?"], []],
  ];
  for (const [schema, good, bad] of table) {
    t.same(checkDataSchema(schema, ""), [], JSON.stringify(schema));
    for (const value of good) {
      t.same(compileDataSchema(schema)(value), { ok: true, value }, JSON.stringify(schema));
    }
    for (const value of bad) {
      t.not(faultsOf(schema, value).length, 0, JSON.stringify({ schema, value }));
    }
  }
  t.end();
});

await test("faults point at the part and say what was expected, never the value", (t) => {
  const schema = {
    type: "object",
    required: ["mode"],
    properties: {
      mode: { enum: ["auto", "off"] },
      "a/b~c": { type: "array", items: { type: "number", maximum: 5 } },
      id: { pattern: '^"x"$' },
    },
  };
  t.same(faultsOf(schema, { mode: "secret", "a/b~c": [1, 9, "secret"], id: "secret" }), [
    '/mode must be one of ["auto","off"]',
    "/a~1b~0c/1 must be <= 5",
    "/a~1b~0c/2 must be number",
    '/id must match pattern "^"x"$"',
  ]);
  t.same(faultsOf(schema, {}), [" must have required property 'mode'"]);
  t.equal(faultsOf({ items: { type: "null" } }, new Array(1_000).fill(1)).length, 20);
  t.end();
});

await test("names of Object.prototype are ordinary names in a schema and in a value", (t) => {
  const names = ["__proto__", "constructor", "toString", "valueOf", "hasOwnProperty"];
  for (const name of names) {
    const schema = parsed(`{"properties":{"${name}":{"type":"number"}}}`) as JsonObject;
    const required = { type: "object", required: [name] };
    t.same(checkDataSchema(schema, ""), []);
    t.same(faultsOf(schema, parsed(`{"${name}":1}`)), [], name);
    t.same(faultsOf(schema, parsed(`{"${name}":"a"}`)), [`/${name} must be number`]);
    t.same(faultsOf(schema, {}), [], name);
    t.equal(faultsOf(required, {}).length, 1, name);
    t.same(faultsOf(required, parsed(`{"${name}":null}`)), [], name);
    // An equality that calls valueOf or toString of the value would throw here.
    t.equal(faultsOf({ const: { a: 1 } }, parsed(`{"${name}":1}`)).length, 1, name);
    t.equal(faultsOf({ enum: [{ a: 1 }] }, parsed(`{"${name}":1}`)).length, 1, name);
    t.same(faultsOf({ const: parsed(`{"${name}":1}`) }, parsed(`{"${name}":1}`)), [], name);
  }
  t.equal(Object.hasOwn(Object.prototype, "type"), false);
  t.end();
});

await test("sluice:coerce reads exact numbers and booleans, and only at the top", (t) => {
  const table: readonly (readonly [type: string, text: string, value: Json | undefined])[] = [
    ["number", "80", 80],
    ["number", "-1.5e3", -1500],
    ["number", " 80", undefined],
    ["number", "80 ", undefined],
    ["number", "", undefined],
    ["number", "+1", undefined],
    ["number", "01", undefined],
    ["number", ".5", undefined],
    ["number", "0x10", undefined],
    ["number", "1e999", undefined],
    ["number", "Infinity", undefined],
    ["number", "NaN", undefined],
    ["integer", "80", 80],
    ["integer", "80.5", undefined],
    ["boolean", "true", true],
    ["boolean", "false", false],
    ["boolean", "True", undefined],
    ["boolean", "1", undefined],
    ["string", "1", "1"],
    ["null", "null", undefined],
  ];
  for (const [type, text, value] of table) {
    const outcome = compileDataSchema({ type, "sluice:coerce": true })(text);
    if (value === undefined) t.equal(outcome.ok, false, `${type} ${text}`);
    else t.same(outcome, { ok: true, value }, `${type} ${text}`);
  }
  t.equal(compileDataSchema({ type: "number", "sluice:coerce": false })("80").ok, false);
  t.same(compileDataSchema({ "sluice:coerce": true })("80"), { ok: true, value: "80" });
  const inside = { type: "array", "sluice:coerce": true, items: { type: "number" } };
  t.equal(compileDataSchema(inside)(["1"]).ok, false);
  t.equal(compileDataSchema({ type: "number", "sluice:coerce": true, maximum: 5 })("6").ok, false);
  t.end();
});

await test("a DataSchema that breaks a rule is refused at the place", (t) => {
  const table: readonly (readonly [schema: unknown, ...pointers: string[]])[] = [
    [null, "/p"],
    [[], "/p"],
    ["number", "/p"],
    [{ type: "float" }, "/p/type"],
    [{ type: ["string", "null"] }, "/p/type"],
    [{ type: null }, "/p/type"],
    [{ enum: [] }, "/p/enum"],
    [{ enum: "a" }, "/p/enum"],
    [{ oneOf: [] }, "/p/oneOf"],
    [{ oneOf: {} }, "/p/oneOf"],
    [{ oneOf: [{ type: "x" }, 1] }, "/p/oneOf/0/type", "/p/oneOf/1"],
    [{ minimum: "1", maximum: null }, "/p/minimum", "/p/maximum"],
    [{ exclusiveMinimum: true }, "/p/exclusiveMinimum"],
    [{ multipleOf: 0 }, "/p/multipleOf"],
    [{ minLength: -1, maxLength: 1.5 }, "/p/minLength", "/p/maxLength"],
    [{ minItems: "1" }, "/p/minItems"],
    [{ pattern: 1 }, "/p/pattern"],
    [{ pattern: "(" }, "/p/pattern"],
    [{ pattern: "(?=a)" }, "/p/pattern"],
    [{ pattern: "a".repeat(FIXED_LIMITS.schemaPatternLengthMax + 1) }, "/p/pattern"],
    [{ items: true }, "/p/items"],
    [{ items: null }, "/p/items"],
    [{ items: [{ type: 1 }] }, "/p/items/0/type"],
    [{ properties: [] }, "/p/properties"],
    [{ properties: { "a/b": 1 } }, "/p/properties/a~1b"],
    [parsed('{"properties":{"__proto__":{"type":1}}}'), "/p/properties/__proto__/type"],
    [{ required: "a" }, "/p/required"],
    [{ required: [1] }, "/p/required"],
    [{ additionalProperties: 1 }, "/p/additionalProperties"],
    [{ additionalProperties: { type: 1 } }, "/p/additionalProperties/type"],
    [{ readOnly: "true" }, "/p/readOnly"],
    [{ readOnly: true, writeOnly: true }, "/p"],
    [{ title: 1, unit: 1, titles: { en: 1 } }, "/p/title", "/p/unit", "/p/titles"],
    [{ "@type": [1] }, "/p/@type"],
    [{ "sluice:coerce": "yes" }, "/p/sluice:coerce"],
    [{ $ref: "#/a" }, "/p/$ref"],
    [{ properties: { a: { $ref: "http://example.org/" } } }, "/p/properties/a/$ref"],
  ];
  for (const [schema, ...pointers] of table) {
    t.same(
      checkDataSchema(schema, "/p").map(({ pointer }) => pointer),
      pointers,
      JSON.stringify(schema),
    );
  }
  t.end();
});

await test("a DataSchema that is too deep or too large is refused", (t) => {
  const deep = (levels: number): JsonObject => (levels === 1 ? {} : { items: deep(levels - 1) });
  const wide = (count: number): JsonObject => ({
    oneOf: Array.from({ length: count }, () => ({})),
  });
  t.same(schemaFaults(deep(FIXED_LIMITS.jsonDepthMax)), []);
  t.match(schemaFaults(deep(FIXED_LIMITS.jsonDepthMax + 1)), [/nest at most 32/]);
  t.same(schemaFaults(wide(FIXED_LIMITS.schemaNodesMax - 1)), []);
  t.match(schemaFaults(wide(FIXED_LIMITS.schemaNodesMax * 2)), [/at most 500/]);
  t.end();
});

await test("any schema without faults compiles, and checking any JSON never throws", (t) => {
  const words = "type const enum oneOf allOf items properties required pattern format minimum $ref";
  const term = fc.constantFrom(...words.split(" "), "a", "__proto__", "constructor");
  const { json } = fc.letrec<{ json: unknown }>((tie) => ({
    json: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom<unknown>("string", "number", "object", "array", "^a", "date", 0, -1, 1.5),
      fc.constantFrom<unknown>(true, null, "", "valueOf"),
      fc.array(tie("json"), { maxLength: 3 }),
      fc.array(fc.tuple(term, tie("json")), { maxLength: 4 }).map(Object.fromEntries),
    ),
  }));
  fc.assert(
    fc.property(json, fc.array(json, { maxLength: 4 }), (schema, values) => {
      if (checkDataSchema(schema, "").length > 0) return;
      const check = compileDataSchema(schema as JsonObject);
      for (const value of values) check(value);
    }),
    { numRuns: 2_000 },
  );
  t.end();
});

await test("parseJson takes one JSON text in UTF-8 and says what is wrong with others", (t) => {
  const bytes = (...codes: number[]): Uint8Array => Uint8Array.from(codes);
  const good: readonly (readonly [text: string | Uint8Array, value: Json])[] = [
    ['{"a":1,"a":2}', { a: 2 }],
    [Buffer.from(' {"temp": 21.5} '), { temp: 21.5 }],
    [Buffer.from('"é🌡"'), "é🌡"],
    ['"\\ud83c\\udf21"', "🌡".slice(0, 2)],
    ["-0.5e-3", -0.0005],
    [nested(FIXED_LIMITS.jsonDepthMax), JSON.parse(nested(FIXED_LIMITS.jsonDepthMax)) as Json],
  ];
  for (const [text, value] of good) t.same(parseJson(text), { ok: true, value }, String(text));
  const bad: readonly (readonly [text: string | Uint8Array, code: string])[] = [
    ["", "not-json"],
    [bytes(), "not-json"],
    [" ", "not-json"],
    ["{", "not-json"],
    ["{'a':1}", "not-json"],
    ['{"a":1}{"b":2}', "not-json"],
    ["NaN", "not-json"],
    ["01", "not-json"],
    ['"\u0000"', "not-json"],
    ["\ufeff1", "not-json"],
    [bytes(0xef, 0xbb, 0xbf, 0x31), "not-json"],
    [bytes(0x22, 0xff, 0x22), "not-json"],
    [bytes(0x22, 0xc0, 0x80, 0x22), "not-json"],
    [bytes(0x22, 0xed, 0xa0, 0x80, 0x22), "not-json"],
    [bytes(0x22, 0xc3), "not-json"],
    [nested(FIXED_LIMITS.jsonDepthMax + 1), "malformed"],
    [nested(100_000), "malformed"],
    ['{"a":'.repeat(50_000) + "1" + "}".repeat(50_000), "malformed"],
    ['"\\ud800"', "malformed"],
    ['{"\\udc00":1}', "malformed"],
    ['["\ud800"]', "malformed"],
    ["1e999", "malformed"],
    ["[-1e999]", "malformed"],
  ];
  for (const [text, code] of bad) {
    t.match(parseJson(text), { ok: false, code }, JSON.stringify(text).slice(0, 40));
  }
  t.end();
});

await test("parseJson makes __proto__ an own member and leaves prototypes alone", (t) => {
  const value = parsed('{"__proto__":{"polluted":true},"constructor":{"prototype":{"x":1}}}');
  t.same(Object.keys(value as object), ["__proto__", "constructor"]);
  t.equal(Object.getPrototypeOf(value), Object.prototype);
  t.equal((value as { polluted?: unknown }).polluted, undefined);
  t.equal(parseJson(`{"__proto__":${nested(40)}}`).ok, false, "the depth in it counts");
  t.end();
});

await test("parseJson gives what JSON.stringify wrote, as text and as bytes", (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
      const text = JSON.stringify(value);
      const again = [parseJson(text), parseJson(new TextEncoder().encode(text))];
      return again.every((outcome) => outcome.ok && JSON.stringify(outcome.value) === text);
    }),
    { numRuns: 500 },
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 12 }), (bytes) => {
      parseJson(bytes);
    }),
    { numRuns: 2_000 },
  );
  t.end();
});
