import { z } from "zod";
import { FIXED_LIMITS } from "../limits.ts";
import { SCOPES } from "../thing/access.ts";
import { parseTime } from "../thing/time.ts";

/** A time in a body, as ms since the epoch. */
export const timeMember = z.string("must be a time").transform((text, context) => {
  const at = parseTime(text);
  if (at !== undefined) return at;
  context.addIssue("must be a time: 2020-04-02T15:37:46Z");
  return z.NEVER;
});

const { remarkLengthMax } = FIXED_LIMITS;

export const descriptionMember = z
  .string("must be a string")
  .max(remarkLengthMax, `must have at most ${remarkLengthMax} characters`);

export const scopesMember = z
  .array(z.enum(SCOPES, `must be one of ${SCOPES.join(", ")}`), "must be an array of scopes")
  .min(1, "must name at least one scope");
