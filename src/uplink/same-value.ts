import { hash } from "node:crypto";
import { FIXED_LIMITS } from "../limits.ts";
import { isJsonArray, isJsonObject, type Json } from "../thing/json.ts";

/** A short text that is the same for equal JSON values, in whatever order their members stand. */
export function sameValue(value: Json): string {
  const text = ordered(value);
  // A longer text is told by its digest.
  if (text.length <= FIXED_LIMITS.comparedLengthMax) return text;
  return digestOf(text);
}

/** Tells contents apart; says nothing of them. */
export function digestOf(content: string | Buffer): string {
  return hash("sha256", content, "base64url");
}

function ordered(value: Json): string {
  if (isJsonArray(value)) return `[${value.map(ordered).join(",")}]`;
  // As JSON has it: -0 is 0.
  if (!isJsonObject(value)) return JSON.stringify(value);
  const members = Object.keys(value)
    .sort()
    .map((name) => `${JSON.stringify(name)}:${ordered(value[name] ?? null)}`);
  return `{${members.join(",")}}`;
}
