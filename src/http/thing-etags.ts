import type { Precondition } from "../interactions/provisioning.ts";
import type { Thing } from "../thing/thing.ts";
import { requireMatch, type Preconditions } from "./preconditions.ts";

/** Two representations of one revision, and so two tags (RFC 9110 §8.8.3.3). */
export function thingEtag(thing: Pick<Thing, "revision">): string {
  return String(thing.revision);
}

export function wotEtag(thing: Pick<Thing, "revision">): string {
  return `${thing.revision}-td`;
}

/** Either tag of the present revision will do for `If-Match`. */
export function requireThingMatch(preconditions: Preconditions): Precondition {
  return (present) => {
    if (present === undefined) requireMatch(preconditions);
    else requireMatch(preconditions, thingEtag(present), wotEtag(present));
  };
}
