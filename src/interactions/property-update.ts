import { GatewayError } from "../errors.ts";
import type { PropertyState } from "../store/properties.ts";
import { mayOnThing, originOf, type Principal } from "../thing/access.ts";
import { pointerTo, type Json, type JsonObject } from "../thing/json.ts";
import type { PropertyAffordance, Thing } from "../thing/thing.ts";
import { propertyStatusTopic } from "../thing/topics.ts";
import { authoriseOnThing, forbidden, type ThingRequest } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import {
  checkMembers,
  checkText,
  ownMember,
  type CheckedValue,
  refuseOthers,
  requireObject,
} from "./payload.ts";

export type PropertyUpdateOutcome = {
  readonly thing: Thing;
  /** As accepted: after conversion. `writeOnly` properties are null. Made when it is asked for. */
  readonly values: () => JsonObject;
  readonly sequence: number;
  /** Members of the payload that were left aside. */
  readonly ignored: readonly string[];
};

/**
 * Sets one property from `{"name": value}`. Synchronous: the order of calls is the order of the log.
 * The rows are in the open batch when it returns; acknowledge when that is on disk. `precondition`
 * gets the Thing once the caller is authorised, and may throw.
 * @throws GatewayError `forbidden`, `unknown-thing`, `unknown-affordance`, `read-only`, `malformed`,
 * `unknown-member`, `schema-violation`, `too-large`; then nothing was changed.
 */
export function updateProperty(
  deps: InteractionDeps,
  request: ThingRequest & {
    readonly name: string;
    readonly body: Json;
    /** What to do with further keys: HTTP refuses them, MQTT takes the named one. */
    readonly others: "refuse" | "ignore";
    readonly precondition?: (thing: Thing) => void;
  },
): PropertyUpdateOutcome {
  const thing = authoriseWrite(deps, request);
  request.precondition?.(thing);
  const { name } = request;
  const affordance = settableProperty(thing, request.principal, name);
  const body = requireObject(request.body, `an object {${JSON.stringify(name)}: value}`);
  const value = ownMember(body, name);
  if (value === undefined) {
    throw new GatewayError("malformed", `expected an object with the member ${name}`);
  }
  if (request.others === "refuse") refuseOthers(body, [name], "");
  const ignored = othersThan(name, body);
  return commitValues(
    deps,
    request,
    thing,
    [checkProperty(deps, thing, affordance, value)],
    ignored,
  );
}

/**
 * Sets several properties from `{"name": value, …}`, all or nothing; else like `updateProperty`.
 * @throws GatewayError with the code of the first member that is refused and the faults of all.
 */
export function updateProperties(
  deps: InteractionDeps,
  request: ThingRequest & {
    readonly body: Json;
    readonly precondition?: (thing: Thing) => void;
  },
): PropertyUpdateOutcome {
  const thing = authoriseWrite(deps, request);
  request.precondition?.(thing);
  const body = requireObject(request.body, "an object of property values");
  const checked = checkMembers(body, "", (name, value) => {
    return checkProperty(deps, thing, settableProperty(thing, request.principal, name), value);
  });
  if (checked.length === 0) throw new GatewayError("malformed", "expected at least one property");
  return commitValues(deps, request, thing, checked, NONE);
}

const NONE: readonly string[] = [];

function othersThan(name: string, body: JsonObject): readonly string[] {
  const members = Object.keys(body);
  return members.length === 1 ? NONE : members.filter((member) => member !== name);
}

function authoriseWrite(deps: InteractionDeps, request: ThingRequest): Thing {
  const { principal, account } = request;
  const found = deps.store.things.find(account, request.thing);
  const ability = mayOnThing(principal, account, found, "thing.report")
    ? "thing.report"
    : "thing.write";
  return authoriseOnThing(deps, request, ability);
}

/** The affordance, if the principal may set it: a read-only one takes the right to report. */
function settableProperty(thing: Thing, principal: Principal, name: string): PropertyAffordance {
  const affordance = thing.properties.get(name);
  if (affordance === undefined) {
    throw new GatewayError("unknown-affordance", `${thing.id} has no property ${name}`);
  }
  const { readOnly } = affordance;
  if (mayOnThing(principal, thing.account, thing, readOnly ? "thing.report" : "thing.write")) {
    return affordance;
  }
  if (readOnly) throw new GatewayError("read-only", `${thing.id}/${name} is read-only`);
  throw forbidden(principal, `thing.write on ${thing.account}/${thing.id}`);
}

function checkProperty(
  deps: InteractionDeps,
  thing: Thing,
  affordance: PropertyAffordance,
  given: Json,
): AcceptedValue {
  const constants = constantsOf(thing, affordance);
  const { pointer, what } = constants;
  const { value, text } = checkText(affordance.schema, given, {
    pointer,
    what,
    bytesMax: deps.limits.value_bytes,
  });
  return { affordance, constants, value, text: constants.member + text };
}

/** `text` is that of the member of an object: `"name":value`. */
type AcceptedValue = CheckedValue & {
  readonly affordance: PropertyAffordance;
  readonly constants: Constants;
};

/** The change, the state, its history and what sessions are owed of it: one batch. */
function commitValues(
  deps: InteractionDeps,
  { principal }: ThingRequest,
  thing: Thing,
  accepted: readonly AcceptedValue[],
  ignored: readonly string[],
): PropertyUpdateOutcome {
  const { store } = deps;
  const at = deps.clock.wallMs();
  const readable = accepted.filter(({ affordance }) => !affordance.writeOnly);
  const hidden = accepted.filter(({ affordance }) => affordance.writeOnly);
  const sequence = store.changes.appendValues({
    thing: thing.number,
    at,
    values: objectText(readable),
    writeOnly: hidden.length === 0 ? undefined : hidden.map(({ affordance }) => affordance.name),
    via: originOf(principal).via,
  });
  for (const { affordance, value } of readable) {
    const { name } = affordance;
    const state: PropertyState = { value, at, sequence };
    store.properties.set(thing.number, name, state);
    store.historyIndex.addValue(thing.number, name, state);
  }
  for (const { affordance, constants, text } of accepted) {
    deps.publish({
      topic: constants.topic,
      payload: `{${text}}`,
      thing,
      about: "property",
      isWriteOnly: affordance.writeOnly,
    });
  }
  return { thing, values: () => valuesShown(accepted), sequence, ignored };
}

function valuesShown(accepted: readonly AcceptedValue[]): JsonObject {
  return Object.fromEntries(
    accepted.map(({ affordance: { name, writeOnly }, value }): readonly [string, Json] => [
      name,
      writeOnly ? null : value,
    ]),
  );
}

/** The JSON text `{"name": value, …}`. */
function objectText(values: readonly AcceptedValue[]): string {
  let members = "";
  for (const { text } of values) members += members === "" ? text : `,${text}`;
  return `{${members}}`;
}

/** What every write of a property needs, and its affordance decides alone. */
type Constants = {
  readonly topic: string;
  /** Its name as that of a member in JSON text, with the colon. */
  readonly member: string;
  readonly pointer: string;
  readonly what: string;
};

// A revision of a Thing has affordances of its own, and its id never changes.
const knownConstants = new WeakMap<PropertyAffordance, Constants>();

function constantsOf(thing: Thing, affordance: PropertyAffordance): Constants {
  let constants = knownConstants.get(affordance);
  if (constants === undefined) {
    const { name } = affordance;
    constants = {
      topic: propertyStatusTopic(thing, name),
      member: `${JSON.stringify(name)}:`,
      pointer: pointerTo("", name),
      what: `the value of ${name}`,
    };
    knownConstants.set(affordance, constants);
  }
  return constants;
}
