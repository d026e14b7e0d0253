import { Ajv, _, str, type ErrorObject, type KeywordDefinition, type ValidateFunction } from "ajv";
import { fullFormats } from "ajv-formats/dist/formats.js";
import type { Fault } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { isJsonArray, isJsonObject, pointerTo, type Json, type JsonObject } from "./json.ts";
import { compilePattern } from "./pattern.ts";
import { DATA_SCHEMA_TERMS } from "./term-rules.ts";

export type SchemaOutcome =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/** Checks a parsed JSON value. Faults are at most 20, and say what was expected, never the value. */
export type CompiledSchema = (value: unknown) => SchemaOutcome;

export type ParsedJson =
  | { readonly ok: true; readonly value: Json }
  | { readonly ok: false; readonly code: "not-json" | "malformed"; readonly detail: string };

/**
 * Compiles a DataSchema in which `checkDataSchema` found no fault; the work is done at the first
 * value. With `"sluice:coerce": true` a string is read as the number or boolean that the schema asks
 * for, if it spells exactly one; what is inside of objects and arrays is never converted.
 */
export function compileDataSchema(schema: JsonObject): CompiledSchema {
  const coerce = schema["sluice:coerce"] === true ? coercionTo(schema["type"]) : undefined;
  let validate: ValidateFunction<Json> | undefined;
  return (given) => {
    validate ??= validatorOf(toJsonSchema(schema));
    const value = coerce !== undefined && typeof given === "string" ? coerce(given) : given;
    if (validate(value)) return { ok: true, value };
    return {
      ok: false,
      faults: (validate.errors ?? []).slice(0, FIXED_LIMITS.valueFaultsMax).map(toFault),
    };
  };
}

/**
 * Reads one JSON text: RFC 8259 in strict UTF-8, without a byte order mark; of members with one name
 * the last wins. What could not be sent on as it came is `malformed`: a lone surrogate, a number
 * beyond the range of a double, nesting deeper than `FIXED_LIMITS.jsonDepthMax`.
 */
export function parseJson(text: string | Uint8Array): ParsedJson {
  let value: unknown;
  try {
    value = JSON.parse(typeof text === "string" ? text : decodeUtf8(text));
  } catch {
    return { ok: false, code: "not-json", detail: "must be one JSON text in UTF-8" };
  }
  if (isKeepable(value, FIXED_LIMITS.jsonDepthMax)) return { ok: true, value };
  const detail =
    `must nest at most ${FIXED_LIMITS.jsonDepthMax} deep, and hold no lone surrogate and no ` +
    "number that is too large for a double";
  return { ok: false, code: "malformed", detail };
}

/** @throws TypeError if it is not UTF-8. */
function decodeUtf8(bytes: Uint8Array): string {
  // Most of what devices send is short and ASCII: read as latin1 in half the time.
  return Buffer.isBuffer(bytes) && isShortAscii(bytes)
    ? bytes.toString("latin1")
    : strictUtf8.decode(bytes);
}

const SHORT_BYTES = 512;

function isShortAscii(bytes: Buffer): boolean {
  if (bytes.length > SHORT_BYTES) return false;
  for (const byte of bytes) if (byte > 0x7f) return false;
  return true;
}

/** `ignoreBOM` leaves the mark in the text, where JSON does not allow it (RFC 8259 §8.1). */
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Is it JSON that keeps its meaning when written and read again, and nests at most `depth` deep?
 * Recursion ends at `depth`. `for in` sees an own `__proto__`, which JSON.parse makes an own member.
 */
export function isKeepable(value: unknown, depth: number): value is Json {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value === "number") return Number.isFinite(value);
  if (typeof value === "boolean" || value === null) return true;
  if (depth === 0) return false;
  if (isJsonArray(value)) return value.every((item) => isKeepable(item, depth - 1));
  if (!isJsonObject(value)) return false;
  for (const name in value) {
    if (!name.isWellFormed() || !isKeepable(value[name], depth - 1)) return false;
  }
  return true;
}

const JSON_NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

function coercionTo(type: Json | undefined): ((text: string) => Json) | undefined {
  if (type === "boolean") {
    return (text) => (text === "true" ? true : text === "false" ? false : text);
  }
  if (type !== "number" && type !== "integer") return undefined;
  return (text) => {
    const number = JSON_NUMBER.test(text) ? Number(text) : Infinity;
    return Number.isFinite(number) ? number : text;
  };
}

/**
 * The rules of WoT TD 1.1 §5.3.2 for a DataSchema, and our bounds, broken in `schema`; all of them,
 * with pointers that begin with `pointer`. Applied are the terms of TD 1.1 and `allOf`, `anyOf` and
 * `additionalProperties`; references are refused, and any other term is an annotation.
 */
export function checkDataSchema(schema: unknown, pointer: string): readonly Fault[] {
  const faults: Fault[] = [];
  checkNode({ faults, nodes: 0 }, schema, pointer, FIXED_LIMITS.jsonDepthMax);
  return faults;
}

type Survey = { readonly faults: Fault[]; nodes: number };

function checkNode(survey: Survey, schema: unknown, pointer: string, depth: number): void {
  const { faults } = survey;
  survey.nodes += 1;
  if (survey.nodes > FIXED_LIMITS.schemaNodesMax) {
    if (survey.nodes > FIXED_LIMITS.schemaNodesMax + 1) return; // Said once.
    const detail = `must have at most ${FIXED_LIMITS.schemaNodesMax} schemas in it`;
    faults.push({ pointer, detail });
    return;
  }
  if (depth === 0) {
    faults.push({ pointer, detail: `must nest at most ${FIXED_LIMITS.jsonDepthMax} deep` });
    return;
  }
  if (!isJsonObject(schema)) {
    faults.push({ pointer, detail: "must be an object (a DataSchema)" });
    return;
  }
  for (const [term, value] of Object.entries(schema)) {
    const at = pointerTo(pointer, term);
    const detail = DATA_SCHEMA_TERMS.get(term)?.(value);
    if (detail !== undefined) faults.push({ pointer: at, detail });
    else checkInside(survey, term, value, at, depth - 1);
  }
  if (schema["readOnly"] === true && schema["writeOnly"] === true) {
    faults.push({ pointer, detail: "must not be readOnly and writeOnly at once" });
  }
}

/** The schemas in a member whose own shape is right. */
function checkInside(
  survey: Survey,
  term: string,
  value: Json,
  pointer: string,
  depth: number,
): void {
  if (term === "properties" && isJsonObject(value)) {
    for (const [name, schema] of Object.entries(value)) {
      checkNode(survey, schema, pointerTo(pointer, name), depth);
    }
  } else if (SUBSCHEMAS.has(term) && typeof value === "object") {
    if (!isJsonArray(value)) checkNode(survey, value, pointer, depth);
    else {
      for (const [index, schema] of value.entries()) {
        checkNode(survey, schema, pointerTo(pointer, index), depth);
      }
    }
  }
}

const SUBSCHEMAS: ReadonlySet<string> = new Set([
  "oneOf",
  "anyOf",
  "allOf",
  "items",
  "additionalProperties",
]);

/** Terms that mean in JSON Schema what they mean in a DataSchema, and hold no schemas. */
const PLAIN_TERMS: ReadonlySet<string> = new Set([
  "type",
  "const",
  "enum",
  "minimum",
  "maximum",
  "exclusiveMinimum",
  "exclusiveMaximum",
  "multipleOf",
  "minLength",
  "maxLength",
  "pattern",
  "minItems",
  "maxItems",
  "required",
]);

/** The formats that are checked: each in time linear in the text. Others are annotations. */
const FORMATS: ReadonlySet<unknown> = new Set([
  "date",
  "time",
  "date-time",
  "duration",
  "email",
  "hostname",
  "ipv4",
  "ipv6",
  "uri",
  "uri-reference",
  "uri-template",
  "uuid",
  "json-pointer",
  "relative-json-pointer",
  "regex",
]);

/** What a DataSchema asks of a value, and nothing else of it, as JSON Schema. */
function toJsonSchema(schema: JsonObject): JsonObject {
  const terms: [string, Json][] = [];
  for (const [term, value] of Object.entries(schema)) {
    if (PLAIN_TERMS.has(term)) terms.push([term, value]);
    else if (term === "format" && FORMATS.has(value)) terms.push([term, value]);
    else if (term === "properties" && isJsonObject(value)) {
      const inside = Object.entries(value).map(([name, schema]) => [name, inner(schema)] as const);
      terms.push([term, Object.fromEntries(inside)]);
      // Ajv skips a property of this name, but not a pattern that only this name matches.
      const proto = inside.find(([name]) => name === "__proto__");
      if (proto !== undefined) terms.push(["patternProperties", { "^__proto__$": proto[1] }]);
    } else if (SUBSCHEMAS.has(term)) {
      terms.push([term, isJsonArray(value) ? value.map(inner) : inner(value)]);
    }
  }
  return Object.fromEntries(terms);
}

function inner(schema: Json): Json {
  return isJsonObject(schema) ? toJsonSchema(schema) : schema;
}

/** The validators made last, by the text of their schema: a site has many devices of one kind. */
const validators = new Map<string, ValidateFunction<Json>>();

function validatorOf(schema: JsonObject): ValidateFunction<Json> {
  const key = JSON.stringify(schema);
  const known = validators.get(key);
  const validate = known ?? compile(schema);
  validators.delete(key);
  validators.set(key, validate);
  for (const [oldest] of validators) {
    if (validators.size <= FIXED_LIMITS.compiledSchemasMax) break;
    validators.delete(oldest);
  }
  return validate;
}

/**
 * One Ajv for each schema: an instance keeps every schema, pattern and format it ever compiled, so
 * that no Thing's would be collected while another's is in use. Making one takes 0.1 ms.
 */
function compile(schema: JsonObject): ValidateFunction<Json> {
  const ajv = new Ajv({
    allErrors: true,
    formats: fullFormats,
    logger: false,
    meta: false,
    // 21.3 is a multiple of 0.1, though its double divided by that of 0.1 is no integer.
    multipleOfPrecision: 9,
    ownProperties: true,
    strict: false,
    validateSchema: false,
  });
  for (const keyword of KEYWORDS) {
    ajv.removeKeyword(keyword.keyword);
    ajv.addKeyword(keyword);
  }
  return ajv.compile<Json>(schema);
}

/** Ours instead of Ajv's: its `pattern` backtracks, and its equality calls a value's `valueOf`. */
const KEYWORDS: readonly (KeywordDefinition & { readonly keyword: string })[] = [
  {
    keyword: "pattern",
    type: "string",
    schemaType: "string",
    compile: (source: string) => {
      const outcome = compilePattern(source);
      return outcome.ok ? outcome.pattern : () => false;
    },
    error: { message: ({ schemaCode }) => str`must match pattern "${schemaCode}"` },
  },
  {
    keyword: "const",
    compile: (expected: Json) => (value: Json) => isEqualJson(expected, value),
    error: {
      message: ({ schemaCode }) => _`"must be " + JSON.stringify(${schemaCode}).slice(0, 200)`,
    },
  },
  {
    keyword: "enum",
    schemaType: "array",
    compile: (options: readonly Json[]) => (value: Json) =>
      options.some((option) => isEqualJson(option, value)),
    error: {
      message: ({ schemaCode }) =>
        _`"must be one of " + JSON.stringify(${schemaCode}).slice(0, 200)`,
    },
  },
];

/** The order of members does not matter. Recursion ends where `a` does. */
function isEqualJson(a: Json, b: Json): boolean {
  if (a === b) return true;
  if (isJsonArray(a)) {
    if (!isJsonArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => isEqualJson(item, b[index] ?? null));
  }
  if (!isJsonObject(a) || !isJsonObject(b)) return false;
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => {
    return Object.hasOwn(b, name) && isEqualJson(a[name] ?? null, b[name] ?? null);
  });
}

function toFault(error: ErrorObject): Fault {
  return { pointer: error.instancePath, detail: error.message ?? "must match its DataSchema" };
}
