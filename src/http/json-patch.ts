import jsonPatch from "fast-json-patch";
import { z } from "zod";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Json } from "../thing/json.ts";
import { parseBody } from "./body.ts";

const json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined, "is missing");
/** RFC 6901 §3; the two names that fast-json-patch must not see are no places in a description. */
const pointer = z
  .string()
  .regex(/^(\/([^~/]|~[01])*)*$/, "must be a JSON pointer")
  .refine((text) => !text.split("/").includes("__proto__"), "must not name __proto__")
  .refine((text) => !text.includes("/constructor/prototype"), "must not name a prototype");

/** RFC 6902 §4: members that an operation does not know are ignored. */
const operations = z
  .array(
    z.discriminatedUnion("op", [
      z.object({ op: z.literal("add"), path: pointer, value: json }),
      z.object({ op: z.literal("remove"), path: pointer }),
      z.object({ op: z.literal("replace"), path: pointer, value: json }),
      z.object({ op: z.literal("move"), from: pointer, path: pointer }),
      z.object({ op: z.literal("copy"), from: pointer, path: pointer }),
      z.object({ op: z.literal("test"), path: pointer, value: json }),
    ]),
  )
  .max(FIXED_LIMITS.patchOperationsMax);

/**
 * `document` changed by a JSON Patch, all operations or none; `document` itself stays as it is.
 * @throws GatewayError `malformed` for what is no JSON Patch, `conflict` if a `test` fails or a path
 * leads nowhere, `too-large`; `errors` points at the operation.
 */
export function applyJsonPatch(document: Json, patch: Json): unknown {
  let changed: unknown = structuredClone(document);
  for (const [index, operation] of parseBody(operations, patch).entries()) {
    try {
      const mutates = true;
      const bansPrototypes = true;
      changed = jsonPatch.applyOperation(
        changed,
        structuredClone(operation),
        true,
        mutates,
        bansPrototypes,
        index,
      ).newDocument;
    } catch (cause) {
      throw doesNotApply(index, operation, cause);
    }
    if (operation.op === "copy") requireBounded(changed, index);
  }
  return changed;
}

/** The library's message holds the whole document: only the name of its error is looked at. */
function doesNotApply(
  index: number,
  { op, path }: { readonly op: string; readonly path: string },
  cause: unknown,
): GatewayError {
  const isTest = cause instanceof Error && cause.name === "TEST_OPERATION_FAILED";
  const detail = isTest
    ? `the value at ${JSON.stringify(path)} is another one`
    : `cannot ${op} at ${JSON.stringify(path)}: the path leads nowhere`;
  return new GatewayError("conflict", `operation ${index}: ${detail}`, {
    faults: [{ pointer: `/${index}`, detail }],
  });
}

function requireBounded(document: unknown, index: number): void {
  if (JSON.stringify(document).length <= FIXED_LIMITS.patchedLengthMax) return;
  throw new GatewayError("too-large", `operation ${index} makes the document too large`, {
    faults: [{ pointer: `/${index}`, detail: "makes the document too large" }],
  });
}
