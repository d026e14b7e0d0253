import type { Moment } from "../store/keys.ts";
import type { Thing } from "../thing/thing.ts";

/** A message to the subscribers of a Thing's status: owed from the moment its batch is closed. */
export type Publication = {
  readonly topic: string;
  /** JSON. */
  readonly payload: string;
  readonly thing: Thing;
  /** Decides who may receive it, and what may take its place: of a property only the latest counts. */
  readonly about:
    "property" | "action" | "event" | "description" | "data" | "errors" | "connection";
  /** A value that only a device may see. */
  readonly isWriteOnly?: boolean;
  /** A pending action request: it must not be delivered once it is no longer pending. */
  readonly request?: { readonly name: string; readonly moment: Moment };
};
