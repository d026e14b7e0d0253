import type { Moment } from "../store/keys.ts";
import type { Thing } from "../thing/thing.ts";

/** A message to the subscribers of a Thing's status: owed from the moment its batch is closed. */
export type Publication = {
  readonly topic: string;
  /** JSON. */
  readonly payload: string;
  readonly thing: Thing;
  /**
   * `property`: only the latest value of a topic matters to a session that is behind. `action-request`:
   * must not be delivered once the request is no longer pending. `other`: each one counts.
   */
  readonly kind:
    | { readonly is: "property" }
    | { readonly is: "action-request"; readonly name: string; readonly moment: Moment }
    | { readonly is: "other" };
};
