import type { Moment } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import type { JsonObject } from "../../src/thing/json.ts";

/** Puts a change of properties as an accepted write would, and says where it is. */
export function recordValues(store: Store, thing: number, at: number, values: JsonObject): Moment {
  const sequence = store.changes.append({ class: "property", thing, at, values });
  for (const name of Object.keys(values)) {
    store.historyIndex.addValue(thing, name, { at, sequence });
  }
  return { at, sequence };
}

export function recordEvent(store: Store, thing: number, at: number, name: string): Moment {
  const sequence = store.changes.append({ class: "event", thing, at, name });
  store.historyIndex.add({ thing, of: "event", name }, { at, sequence });
  return { at, sequence };
}

export function recordDatum(store: Store, thing: number, at: number): Moment {
  const sequence = store.changes.append({ class: "data", thing, at, content: { at } });
  store.historyIndex.add({ thing, of: "data", name: "" }, { at, sequence });
  return { at, sequence };
}
