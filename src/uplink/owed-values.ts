import type { RecordedChange } from "../store/changes.ts";
import type { Owed } from "../store/outbox-items.ts";
import type { JsonObject } from "../thing/json.ts";
import type { SentValue } from "./conflicts.ts";
import { sameValue } from "./same-value.ts";

/** Names a property of a Thing; without a name its description. */
export function slotOf(thing: number, name?: string): string {
  return name === undefined ? String(thing) : `${thing} ${name}`;
}

export function readSlot(slot: string): { readonly thing: number; readonly name?: string } {
  const space = slot.indexOf(" ");
  if (space < 0) return { thing: Number(slot) };
  return { thing: Number(slot.slice(0, space)), name: slot.slice(space + 1) };
}

/** The values of an item, as they can be compared with those that come. */
export function valuesOf({ item }: Owed): readonly SentValue[] {
  switch (item.kind) {
    case "state": {
      const { thing, name, state } = item;
      const { value, sequence } = state;
      return [{ slot: slotOf(thing.number, name), value: sameValue(value), sequence }];
    }
    case "description": {
      const { number, description, revision: sequence } = item.thing;
      return [{ slot: slotOf(number), value: sameDescription(description), sequence }];
    }
    case "change":
      return valuesOfChange(item.change);
    case "gap":
      return [];
  }
}

/** As `valuesOf`: of events and the like there are none. */
export function valuesOfChange(change: RecordedChange): readonly SentValue[] {
  const { thing, sequence } = change;
  if (change.class === "property") {
    return Object.entries(change.values).map(([name, value]) => {
      return { slot: slotOf(thing, name), value: sameValue(value), sequence };
    });
  }
  if (change.class !== "thing" || change.description === undefined) return [];
  return [{ slot: slotOf(thing), value: sameDescription(change.description), sequence }];
}

const ADDED = new Set(["id", "uid", "created", "modified"]);

/** As `sameValue`, of a Thing Description without what a gateway adds to it. */
export function sameDescription(description: JsonObject): string {
  return sameValue(
    Object.fromEntries(Object.entries(description).filter(([name]) => !ADDED.has(name))),
  );
}
