import { FIXED_LIMITS } from "../limits.ts";
import { isJsonObject } from "./json.ts";
import { compilePattern } from "./pattern.ts";

/** WoT TD 1.1 §5.3.2.1; a list of types, which JSON Schema allows, is not among them. */
const TYPES: readonly unknown[] = [
  "boolean",
  "integer",
  "number",
  "string",
  "object",
  "array",
  "null",
];

/** What a term's value must be; the detail of the fault, or `undefined` if it is. */
export type TermRule = (value: unknown) => string | undefined;

export function rule(detail: string, isRight: (value: unknown) => boolean): TermRule {
  return (value) => (isRight(value) ? undefined : detail);
}

const isString = (value: unknown): boolean => typeof value === "string";
const isBoolean = (value: unknown): boolean => typeof value === "boolean";
const isNumber = (value: unknown): boolean => typeof value === "number";
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && Number(value) >= 0;
const isArrayOfStrings = (value: unknown): boolean => Array.isArray(value) && value.every(isString);

export const aString = rule("must be a string", isString);
export const aBoolean = rule("must be a boolean", isBoolean);
const aNumber = rule("must be a number", isNumber);
const aCount = rule("must be an integer from 0 on", isCount);
export const strings = rule("must be a string or an array of strings", (value) => {
  return isString(value) || isArrayOfStrings(value);
});
export const translations = rule("must be an object of strings", (value) => {
  return isJsonObject(value) && Object.values(value).every(isString);
});
const schemas = rule("must be an array of at least one DataSchema", (value) => {
  return Array.isArray(value) && value.length > 0;
});
const refused = (): string => "must not be used: references are not resolved";

function patternRule(value: unknown): string | undefined {
  if (typeof value !== "string") return "must be a string";
  if (value.length > FIXED_LIMITS.schemaPatternLengthMax) {
    return `must have at most ${FIXED_LIMITS.schemaPatternLengthMax} characters`;
  }
  const outcome = compilePattern(value);
  return outcome.ok ? undefined : outcome.detail;
}

/** The terms of a DataSchema that the gateway knows, WoT TD 1.1 §5.3.2 and §6.3. */
export const DATA_SCHEMA_TERMS: ReadonlyMap<string, TermRule> = new Map<string, TermRule>([
  ["@type", strings],
  ["title", aString],
  ["titles", translations],
  ["description", aString],
  ["descriptions", translations],
  ["unit", aString],
  ["readOnly", aBoolean],
  ["writeOnly", aBoolean],
  ["sluice:coerce", aBoolean],
  ["type", rule(`must be one of ${TYPES.join(", ")}`, (value) => TYPES.includes(value))],
  ["enum", rule("must be an array of at least one value", (v) => Array.isArray(v) && v.length > 0)],
  ["oneOf", schemas],
  ["anyOf", schemas],
  ["allOf", schemas],
  ["format", aString],
  ["minimum", aNumber],
  ["maximum", aNumber],
  ["exclusiveMinimum", aNumber],
  ["exclusiveMaximum", aNumber],
  ["multipleOf", rule("must be a number above 0", (v) => typeof v === "number" && v > 0)],
  ["minLength", aCount],
  ["maxLength", aCount],
  ["pattern", patternRule],
  ["contentEncoding", aString],
  ["contentMediaType", aString],
  ["minItems", aCount],
  ["maxItems", aCount],
  ["properties", rule("must be an object of DataSchemas", isJsonObject)],
  ["required", rule("must be an array of strings", isArrayOfStrings)],
  [
    "items",
    rule("must be a DataSchema or an array of them", (v) => typeof v === "object" && v !== null),
  ],
  [
    "additionalProperties",
    rule("must be a boolean or a DataSchema", (v) => isBoolean(v) || isJsonObject(v)),
  ],
  ["$ref", refused],
  ["$dynamicRef", refused],
  ["$recursiveRef", refused],
]);
