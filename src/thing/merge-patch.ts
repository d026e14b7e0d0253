import { isJsonObject, type Json } from "./json.ts";

/**
 * `target` changed by `patch` as RFC 7396 §2 says: members merge, `null` removes, and what is not an
 * object replaces. Neither is changed. Members keep their places; new ones follow them.
 */
export function mergePatch(target: Json | undefined, patch: Json): Json {
  if (!isJsonObject(patch)) return patch;
  // A Map: `__proto__` is a member as any other.
  const members = new Map(isJsonObject(target) ? Object.entries(target) : []);
  for (const [name, change] of Object.entries(patch)) {
    if (change === null) members.delete(name);
    else members.set(name, mergePatch(members.get(name), change));
  }
  return Object.fromEntries(members);
}
