import type { Moment } from "../store/keys.ts";
import { originOf } from "../thing/access.ts";
import type { Json } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { dataTopic } from "../thing/topics.ts";
import { authoriseOnThing, type ThingRequest } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import { requireObject, requireSize } from "./payload.ts";

/**
 * Records a raw JSON object of a device and echoes it unchanged: `text` is the payload as it came.
 * Synchronous, as every interaction.
 * @throws GatewayError `forbidden`, `unknown-thing`, `malformed`, `too-large`.
 */
export function recordData(
  deps: InteractionDeps,
  on: ThingRequest & { readonly body: Json; readonly text?: string },
): { readonly thing: Thing; readonly moment: Moment } {
  const thing = authoriseOnThing(deps, on, "data.write");
  const content = requireObject(on.body, "a JSON object");
  requireSize(content, { what: "the object", bytesMax: deps.limits.value_bytes });
  const { store } = deps;
  const at = deps.clock.wallMs();
  const origin = originOf(on.principal);
  const sequence = store.changes.append({
    class: "data",
    thing: thing.number,
    at,
    ...origin,
    content,
  });
  const moment = { at, sequence };
  store.historyIndex.add({ thing: thing.number, of: "data", name: "" }, moment);
  deps.publish({
    topic: dataTopic(thing),
    payload: on.text ?? JSON.stringify(content),
    thing,
    about: "data",
  });
  return { thing, moment };
}
