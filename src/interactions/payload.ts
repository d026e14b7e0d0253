import { GatewayError, type Fault } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { compileDataSchema, type CompiledSchema } from "../thing/data-schema.ts";
import { isJsonObject, pointerTo, type Json, type JsonObject } from "../thing/json.ts";

/**
 * The value under the one key a payload should have.
 * @throws GatewayError `malformed` if the key is missing, `unknown-member` if there are others.
 */
export function keyedValue(body: Json, name: string): Json {
  const object = requireObject(body, `an object {${JSON.stringify(name)}: …}`);
  const value = ownMember(object, name);
  if (value === undefined) {
    throw new GatewayError("malformed", `expected an object with the member ${name}`);
  }
  refuseOthers(object, [name], "");
  return value;
}

/** @throws GatewayError `malformed`. */
export function requireObject(body: Json, expected: string): JsonObject {
  if (isJsonObject(body)) return body;
  throw new GatewayError("malformed", `expected ${expected}`);
}

/** A member of the object itself, never of its prototype. */
export function ownMember(object: JsonObject, name: string): Json | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** @throws GatewayError `unknown-member`, naming each. */
export function refuseOthers(object: JsonObject, known: readonly string[], pointer: string): void {
  const others = Object.keys(object).filter((member) => !known.includes(member));
  if (others.length === 0) return;
  const faults = others.slice(0, FIXED_LIMITS.faultsMax).map((member) => ({
    pointer: pointerTo(pointer, member),
    detail: `not a known member here; known: ${known.join(", ")}`,
  }));
  const detail = `${others.length} unknown ${others.length === 1 ? "member" : "members"}`;
  throw new GatewayError("unknown-member", `${detail}: only ${known.join(", ")} may be given`, {
    faults,
  });
}

/**
 * What `check` makes of each member of an object, in its order.
 * @throws GatewayError if one is refused: with the code of the first, and the faults of all.
 */
export function checkMembers<Checked>(
  object: JsonObject,
  pointer: string,
  check: (name: string, value: Json, pointer: string) => Checked,
): readonly Checked[] {
  const checked: Checked[] = [];
  const faults: Fault[] = [];
  let first: GatewayError | undefined;
  for (const [name, value] of Object.entries(object)) {
    const at = pointerTo(pointer, name);
    try {
      checked.push(check(name, value, at));
    } catch (error) {
      if (!(error instanceof GatewayError)) throw error;
      first ??= error;
      const { message: detail } = error;
      faults.push(...(error.faults.length > 0 ? error.faults : [{ pointer: at, detail }]));
      if (faults.length >= FIXED_LIMITS.faultsMax) break;
    }
  }
  if (first === undefined) return checked;
  throw new GatewayError(first.code, first.message, {
    faults: faults.slice(0, FIXED_LIMITS.faultsMax),
  });
}

// Compiled once per revision: a new revision of a Thing has new schema objects.
const compiledSchemas = new WeakMap<JsonObject, CompiledSchema>();

function compiled(schema: JsonObject): CompiledSchema {
  let check = compiledSchemas.get(schema);
  if (check === undefined) {
    check = compileDataSchema(schema);
    compiledSchemas.set(schema, check);
  }
  return check;
}

/**
 * Checks a value against a DataSchema and a size, and returns it (converted, if the schema says
 * `sluice:coerce`).
 * @throws GatewayError `schema-violation` with pointers below `pointer`, `too-large`.
 */
export function checkValue(
  schema: JsonObject | undefined,
  value: Json,
  at: { readonly pointer: string; readonly what: string; readonly bytesMax: number },
): Json {
  return checkText(schema, value, at).value;
}

/** A value that was checked, and the JSON text of it. */
export type CheckedValue = { readonly value: Json; readonly text: string };

/** As `checkValue`, for who needs the text, too. */
export function checkText(
  schema: JsonObject | undefined,
  value: Json,
  at: { readonly pointer: string; readonly what: string; readonly bytesMax: number },
): CheckedValue {
  const text = JSON.stringify(value);
  requireTextSize(text, at);
  if (schema === undefined) return { value, text };
  const outcome = compiled(schema)(value);
  if (!outcome.ok) throw violation(at.what, at.pointer, outcome.faults);
  if (outcome.value === value) return { value, text };
  return { value: outcome.value, text: JSON.stringify(outcome.value) };
}

/**
 * As `checkValue`, of a part that may be left out where no DataSchema asks for it.
 * @throws GatewayError `schema-violation`, `too-large`.
 */
export function checkPart(
  schema: JsonObject | undefined,
  value: Json | undefined,
  at: { readonly pointer: string; readonly what: string; readonly bytesMax: number },
): Json | undefined {
  if (value !== undefined) return checkValue(schema, value, at);
  if (schema === undefined) return undefined;
  throw new GatewayError("schema-violation", `${at.what} is missing`, {
    faults: [{ pointer: at.pointer, detail: "is required by its DataSchema" }],
  });
}

/** @throws GatewayError `too-large`. */
export function requireSize(
  value: Json,
  at: { readonly what: string; readonly bytesMax: number },
): void {
  requireTextSize(JSON.stringify(value), at);
}

function requireTextSize(
  text: string,
  at: { readonly what: string; readonly bytesMax: number },
): void {
  // No character takes more than three bytes: most texts need not be measured.
  if (text.length * 3 <= at.bytesMax) return;
  const bytes = Buffer.byteLength(text);
  if (bytes > at.bytesMax) {
    const detail = `${at.what} has ${bytes} bytes of JSON; limits.value_bytes is ${at.bytesMax}`;
    throw new GatewayError("too-large", detail);
  }
}

export function violation(what: string, pointer: string, faults: readonly Fault[]): GatewayError {
  const below = faults.map((fault) => ({ ...fault, pointer: pointer + fault.pointer }));
  const first = below[0];
  const detail = first === undefined ? "" : `: ${first.pointer} ${first.detail}`;
  return new GatewayError("schema-violation", `${what} does not match its DataSchema${detail}`, {
    faults: below,
  });
}
