import { historyKey, type HistoryClass, type Moment } from "../../src/store/keys.ts";
import type { Store } from "../../src/store/store.ts";
import type { JsonObject } from "../../src/thing/json.ts";

/** Puts a change of properties as an accepted write would, and says where it is. */
export function recordValues(store: Store, thing: number, at: number, values: JsonObject): Moment {
  const sequence = store.changes.append({ class: "property", thing, at, values });
  for (const name of Object.keys(values)) index(store, thing, "property", name, { at, sequence });
  return { at, sequence };
}

export function recordEvent(store: Store, thing: number, at: number, name: string): Moment {
  const sequence = store.changes.append({ class: "event", thing, at, name });
  index(store, thing, "event", name, { at, sequence });
  return { at, sequence };
}

export function recordDatum(store: Store, thing: number, at: number): Moment {
  const sequence = store.changes.append({ class: "data", thing, at, content: { at } });
  index(store, thing, "data", "", { at, sequence });
  return { at, sequence };
}

function index(
  store: Store,
  thing: number,
  of: Exclude<HistoryClass, "action">,
  name: string,
  moment: Moment,
): void {
  store.commit.put(historyKey({ thing, of, name }, moment), "");
}
