import type { Owed } from "../store/outbox-items.ts";
import type { JsonObject } from "../thing/json.ts";
import { sameValue } from "./same-value.ts";

/** A value of a property, or a Thing Description, that goes up. */
export type OwedValue = { readonly slot: string; readonly value: string };

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
export function valuesOf({ item }: Owed): readonly OwedValue[] {
  switch (item.kind) {
    case "state":
      return [{ slot: slotOf(item.thing.number, item.name), value: sameValue(item.state.value) }];
    case "description":
      return [{ slot: slotOf(item.thing.number), value: sameDescription(item.thing.description) }];
    case "change": {
      const { change } = item;
      if (change.class === "property") {
        return Object.entries(change.values).map(([name, value]) => {
          return { slot: slotOf(change.thing, name), value: sameValue(value) };
        });
      }
      if (change.class !== "thing" || change.description === undefined) return [];
      return [{ slot: slotOf(change.thing), value: sameDescription(change.description) }];
    }
    case "gap":
      return [];
  }
}

const ADDED = new Set(["id", "uid", "created", "modified"]);

/** As `sameValue`, of a Thing Description without what a gateway adds to it. */
export function sameDescription(description: JsonObject): string {
  return sameValue(
    Object.fromEntries(Object.entries(description).filter(([name]) => !ADDED.has(name))),
  );
}
