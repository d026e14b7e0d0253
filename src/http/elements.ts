import { deleteElement } from "../interactions/provisioning.ts";
import type { AffordanceKind } from "../thing/thing.ts";
import { onThing, param, type Answer, type AuthorisedCall } from "./call.ts";
import { requireThingMatch } from "./thing-etags.ts";

/** DELETE of a property, an action or an event of the Thing Description: `parameter` names it. */
export function answerDeleteElement(
  kind: AffordanceKind,
  parameter: "property" | "action" | "event",
): (call: AuthorisedCall) => Answer {
  return (call) => {
    deleteElement(call.deps, {
      ...onThing(call),
      kind,
      name: param(call, parameter),
      precondition: requireThingMatch(call.preconditions),
    });
    return { status: 204 };
  };
}
