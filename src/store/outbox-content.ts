import type { Thing } from "../thing/thing.ts";
import type { RecordedChange } from "./changes.ts";
import type { Deletions } from "./deletions.ts";
import type { Ids } from "./ids.ts";
import type { ChangeClass } from "./keys.ts";
import type { GapRecord, OwedItem } from "./outbox-items.ts";
import type { PropertyState, PropertyStates } from "./properties.ts";
import type { Things } from "./things.ts";

/** What one number of an uplink stands for. */
export type Content = {
  readonly id: string;
  readonly at: number;
  readonly item: OwedItem;
  readonly bytes: number;
  /** Where it belongs in the log. */
  readonly sequence: number;
};

/** About what a gap record takes. */
const GAP_BYTES = 100;

export function changeContent(
  ids: Ids,
  change: RecordedChange,
  thing: Thing | undefined,
  bytes: number,
): Content {
  const { at, sequence } = change;
  const item = { kind: "change", change, thing } as const;
  return { id: ids.ofMoment({ at, sequence }), at, item, bytes, sequence };
}

export function stateContent(ids: Ids, thing: Thing, name: string, state: PropertyState): Content {
  const { at, sequence } = state;
  const item = { kind: "state", thing, name, state } as const;
  const bytes = JSON.stringify(state.value).length + name.length;
  return { id: ids.ofMoment({ at, sequence }), at, item, bytes, sequence };
}

export function descriptionContent(ids: Ids, thing: Thing): Content {
  const moment = { at: thing.modified, sequence: thing.revision };
  const item = { kind: "description", thing } as const;
  const bytes = JSON.stringify(thing.description).length;
  return { id: ids.ofMoment(moment), ...moment, item, bytes };
}

export function gapContent(id: string, gap: GapRecord, sequence: number): Content {
  return { id, at: gap.until, item: { kind: "gap", gap }, bytes: GAP_BYTES, sequence };
}

/**
 * What can still be told of a change: no values of properties that are gone or must not be read any
 * more. `undefined`: a user deleted all of it.
 */
export function presentPart(
  change: RecordedChange,
  thing: Thing | undefined,
  deletions: Deletions,
): RecordedChange | undefined {
  if (change.class === "thing") return change;
  if (thing === undefined) return undefined;
  const isThere = (of: "property" | "action" | "event", name: string): boolean =>
    change.sequence > deletions.throughOf({ thing: thing.number, of, name });
  switch (change.class) {
    case "property": {
      const values = Object.entries(change.values);
      const present = values.filter(([name]) => {
        return thing.properties.get(name)?.writeOnly === false && isThere("property", name);
      });
      if (present.length === 0) return undefined;
      const isWhole = present.length === values.length;
      return isWhole ? change : { ...change, values: Object.fromEntries(present) };
    }
    case "action":
      return thing.actions.has(change.name) && isThere("action", change.name) ? change : undefined;
    case "event":
      return thing.events.has(change.name) && isThere("event", change.name) ? change : undefined;
    case "data":
      return change;
  }
}

/** Not of a gap: that says itself what it is of. */
export function classOf(item: Exclude<OwedItem, { kind: "gap" }>): ChangeClass {
  switch (item.kind) {
    case "change":
      return item.change.class;
    case "state":
      return "property";
    case "description":
      return "thing";
  }
}

/** Whether it tells what still is so. */
export function isPresent(
  { things, properties }: { readonly things: Things; readonly properties: PropertyStates },
  item: OwedItem,
): boolean {
  switch (item.kind) {
    case "change":
      return isPresentChange(things, properties, item.change);
    case "state": {
      const { thing, name, state } = item;
      return properties.get(thing.number, name)?.sequence === state.sequence;
    }
    case "description":
      return things.byNumber(item.thing.number)?.revision === item.thing.revision;
    case "gap":
      return false;
  }
}

function isPresentChange(
  things: Things,
  properties: PropertyStates,
  change: RecordedChange,
): boolean {
  switch (change.class) {
    case "property":
      return Object.keys(change.values).every((name) => {
        return properties.get(change.thing, name)?.sequence === change.sequence;
      });
    case "thing": {
      const { account, id, description, sequence } = change;
      const thing = things.find(account, id);
      return description === undefined ? thing === undefined : thing?.revision === sequence;
    }
    case "action":
    case "event":
    case "data":
      return false;
  }
}
