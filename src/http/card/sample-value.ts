import { FIXED_LIMITS } from "../../limits.ts";
import { compileDataSchema } from "../../thing/data-schema.ts";
import { isJsonArray, isJsonObject, type Json, type JsonObject } from "../../thing/json.ts";

/** Some value that the DataSchema takes; `undefined` if none of the likely ones is. */
export function sampleValue(schema: JsonObject): Json | undefined {
  const check = compileDataSchema(schema);
  return candidates(schema).find((value) => check(value).ok);
}

function candidates(schema: JsonObject): readonly Json[] {
  const { const: only, default: usual, enum: some, type } = schema;
  const named = [only, usual, ...(isJsonArray(some) ? some : [])].filter(
    (value) => value !== undefined,
  );
  const types = isJsonArray(type) ? type : type === undefined ? TYPES : [type];
  const names = types.filter((one) => typeof one === "string");
  return [...named, ...names.flatMap((one) => ofType(one, schema))];
}

const TYPES = ["number", "boolean", "string", "object", "array", "null"] as const;

function ofType(type: string, schema: JsonObject): readonly Json[] {
  switch (type) {
    case "number":
    case "integer":
      return numbers(schema);
    case "boolean":
      return [true, false];
    case "string":
      return [
        "on",
        "",
        "x".repeat(Math.min(numberOf(schema["minLength"]) ?? 0, FIXED_LIMITS.sampleTextLengthMax)),
      ];
    case "object":
      return [members(schema)];
    case "array":
      return [[], items(schema)];
    default:
      return [null];
  }
}

function numbers(schema: JsonObject): readonly number[] {
  const least = numberOf(schema["minimum"]);
  const most = numberOf(schema["maximum"]);
  const above = numberOf(schema["exclusiveMinimum"]);
  const below = numberOf(schema["exclusiveMaximum"]);
  const step = numberOf(schema["multipleOf"]);
  const bounds = [
    21,
    0,
    step,
    least,
    most,
    above === undefined ? undefined : above + 1,
    below === undefined ? undefined : below - 1,
    least !== undefined && step !== undefined ? Math.ceil(least / step) * step : undefined,
  ];
  return bounds.filter((bound) => bound !== undefined);
}

/** Those that are required. */
function members(schema: JsonObject): JsonObject {
  const { required, properties } = schema;
  if (!isJsonArray(required) || !isJsonObject(properties)) return {};
  return Object.fromEntries(
    required.flatMap((name) => {
      const of = typeof name === "string" ? properties[name] : undefined;
      const value = isJsonObject(of) ? sampleValue(of) : undefined;
      return typeof name === "string" && value !== undefined ? [[name, value] as const] : [];
    }),
  );
}

function items(schema: JsonObject): readonly Json[] {
  const { items: of } = schema;
  const value = isJsonObject(of) ? sampleValue(of) : null;
  const count = Math.min(numberOf(schema["minItems"]) ?? 0, FIXED_LIMITS.sampleItemsMax);
  return value === undefined ? [] : Array.from({ length: count }, () => value);
}

function numberOf(value: Json | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}
