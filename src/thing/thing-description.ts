import type { Fault } from "../errors.ts";
import { FIXED_LIMITS, type Limits } from "../limits.ts";
import { isKeepable } from "./data-schema.ts";
import { checkDescription } from "./description-rules.ts";
import {
  actionForms,
  eventForms,
  HTTP_SECURITY,
  propertyForms,
  SECURITY_DEFINITIONS,
  thingForms,
  thingHref,
  type Bases,
} from "./forms.ts";
import { isJsonArray, isJsonObject, type Json, type JsonObject } from "./json.ts";
import { isThingId, type AffordanceKind, type Affordances, type Thing } from "./thing.ts";
import { formatTime } from "./time.ts";

export type DescriptionOutcome =
  | {
      readonly ok: true;
      /** `undefined`: none was given. */
      readonly id: string | undefined;
      /** As given, in its order, extensions and all, without what the gateway adds. */
      readonly description: JsonObject;
      readonly affordances: Affordances;
    }
  | { readonly ok: false; readonly faults: readonly Fault[] };

/**
 * Reads a Thing Description: WoT TD 1.1 for what is given, and nothing mandatory. `uid`, `created`
 * and `modified` are ignored, so that what GET gave can be PUT. Faults are all there are, up to 100.
 */
export function readThingDescription(
  input: unknown,
  limits: Pick<Limits, "affordances_per_thing" | "description_bytes">,
): DescriptionOutcome {
  if (!isJsonObject(input)) return refuse({ pointer: "", detail: "must be an object" });
  if (!isKeepable(input, FIXED_LIMITS.jsonDepthMax)) {
    const detail = `must nest at most ${FIXED_LIMITS.jsonDepthMax} deep and be JSON that can be sent`;
    return refuse({ pointer: "", detail });
  }
  const description = Object.fromEntries(
    Object.entries(input).filter(([member]) => !ADDED_MEMBERS.has(member)),
  );
  const tooLarge = checkLimits(description, limits);
  if (tooLarge.length > 0) return refuse(...tooLarge);
  const id = readId(input["id"]);
  const faults = [
    ...(id === INVALID_ID ? [{ pointer: "/id", detail: THING_ID }] : []),
    ...checkDescription(description),
  ];
  if (faults.length > 0 || id === INVALID_ID) return refuse(...faults);
  return { ok: true, id, description, affordances: affordancesOf(description) };
}

/** What the gateway acts on, of a description in which no fault was found. */
export function affordancesOf(description: JsonObject): Affordances {
  return {
    properties: mapMembers(description["properties"], (name, schema) => ({
      name,
      schema,
      readOnly: schema["readOnly"] === true,
      writeOnly: schema["writeOnly"] === true,
    })),
    actions: mapMembers(description["actions"], (name, { input, output }) => ({
      name,
      input: isJsonObject(input) ? input : undefined,
      output: isJsonObject(output) ? output : undefined,
    })),
    events: mapMembers(description["events"], (name, { data }) => ({
      name,
      data: isJsonObject(data) ? data : undefined,
    })),
  };
}

/** What GET answers: the stored description and what the gateway knows of the Thing. */
export function renderThingDescription(thing: Thing): JsonObject {
  return {
    id: thing.id,
    uid: thing.uid,
    ...thing.description,
    created: formatTime(thing.created),
    modified: formatTime(thing.modified),
  };
}

/**
 * A valid Thing Description of WoT TD 1.1, for `Accept: application/td+json`: what GET answers, with
 * what TD 1.1 asks for besides, and forms that lead to the gateway after those that were given.
 * Where a form has `"sluice:keyed": true`, the payload is `{"<name>": …}` around what the affordance
 * describes.
 */
export function renderWotThingDescription(thing: Thing, bases: Bases): JsonObject {
  const { description } = thing;
  const { properties, actions, events, security, securityDefinitions } = description;
  const isSecured = isJsonObject(securityDefinitions) && security !== undefined;
  const ownForms = thingForms(thing, bases);
  return {
    ...renderThingDescription(thing),
    "@context": wotContext(description["@context"]),
    id: thingHref(thing, bases),
    title: description["title"] ?? thing.id,
    security: isSecured ? security : HTTP_SECURITY,
    securityDefinitions: {
      ...(isJsonObject(securityDefinitions) ? securityDefinitions : {}),
      ...SECURITY_DEFINITIONS,
    },
    ...withForms("properties", properties, (name) => {
      const property = thing.properties.get(name);
      return property === undefined ? [] : propertyForms(thing, property, bases);
    }),
    ...withForms("actions", actions, (name) => actionForms(thing, name, bases)),
    ...withForms("events", events, (name) => eventForms(thing, name, bases)),
    ...(ownForms.length === 0 ? {} : { forms: [...formsOf(description), ...ownForms] }),
  };
}

/** The description without one property, action or event; `undefined` if it has none such. */
export function removeAffordance(
  description: JsonObject,
  kind: AffordanceKind,
  name: string,
): JsonObject | undefined {
  const elements = description[kind];
  if (!isJsonObject(elements) || !Object.hasOwn(elements, name)) return undefined;
  const rest = Object.entries(elements).filter(([other]) => other !== name);
  return { ...description, [kind]: Object.fromEntries(rest) };
}

/**
 * What a description that came by MQTT, where nothing can be deleted, makes of the present one: it
 * replaces it, but properties, actions and events that it leaves out stay as they are.
 */
export function mergeElements(existing: JsonObject, incoming: JsonObject): JsonObject {
  const kept = AFFORDANCE_KINDS.flatMap((kind) => {
    const before = existing[kind];
    if (!isJsonObject(before)) return [];
    const now = incoming[kind];
    return [[kind, { ...before, ...(isJsonObject(now) ? now : {}) }] as const];
  });
  return { ...incoming, ...Object.fromEntries(kept) };
}

const AFFORDANCE_KINDS = ["properties", "actions", "events"] as const;

/** TD 1.1 §5.3.1.1: its own URI comes first; the prefixes of our terms come last. */
function wotContext(given: Json | undefined): Json {
  const contexts = given === undefined ? [] : isJsonArray(given) ? given : [given];
  const others = contexts.filter((context) => context !== TD_CONTEXT);
  return [TD_CONTEXT, ...others, { sluice: "urn:sluice:terms#", mqv: MQTT_TERMS }];
}

const TD_CONTEXT = "https://www.w3.org/2022/wot/td/v1.1";
const MQTT_TERMS = "https://www.w3.org/2019/wot/mqtt#";

/** The member `kind` with forms added to each element; no member if there was none. */
function withForms(
  kind: AffordanceKind,
  elements: Json | undefined,
  formsFor: (name: string) => readonly JsonObject[],
): JsonObject {
  if (!isJsonObject(elements)) return {};
  const extended = Object.entries(elements).flatMap(([name, affordance]) => {
    if (!isJsonObject(affordance)) return [];
    return [[name, { ...affordance, forms: [...formsOf(affordance), ...formsFor(name)] }] as const];
  });
  return { [kind]: Object.fromEntries(extended) };
}

function formsOf(owner: JsonObject): readonly Json[] {
  const forms = owner["forms"];
  return isJsonArray(forms) ? forms : [];
}

/** Members that are the gateway's to say. */
const ADDED_MEMBERS: ReadonlySet<string> = new Set(["id", "uid", "created", "modified"]);

function refuse(...faults: readonly Fault[]): DescriptionOutcome {
  return { ok: false, faults: faults.slice(0, FIXED_LIMITS.faultsMax) };
}

const INVALID_ID = Symbol("not a Thing id");
const THING_ID =
  "must end in a Thing id: 1 to 128 of A-Z a-z 0-9 _ . : -, the first a letter or a digit";

/**
 * Of a URI with slashes the id is the last segment (`https://x/things/boiler`, `/things/boiler`);
 * without any it is all of it, for a Thing id may have colons (`urn:dev:ops:32473-boiler`).
 */
function readId(given: unknown): string | undefined | typeof INVALID_ID {
  if (given === undefined) return undefined;
  if (typeof given !== "string") return INVALID_ID;
  const id = given.slice(given.lastIndexOf("/") + 1);
  return isThingId(id) ? id : INVALID_ID;
}

/** Both before anything else is looked at: the other checks cost as much as there is to check. */
function checkLimits(
  description: JsonObject,
  limits: Pick<Limits, "affordances_per_thing" | "description_bytes">,
): readonly Fault[] {
  const faults: Fault[] = [];
  const { affordances_per_thing: affordancesMax, description_bytes: bytesMax } = limits;
  if (Buffer.byteLength(JSON.stringify(description)) > bytesMax) {
    faults.push({ pointer: "", detail: `must have at most ${bytesMax} bytes as JSON` });
  }
  const affordances = AFFORDANCE_KINDS.reduce((sum, kind) => {
    const elements = description[kind];
    return sum + (isJsonObject(elements) ? Object.keys(elements).length : 0);
  }, 0);
  if (affordances > affordancesMax) {
    const detail = `must have at most ${affordancesMax} properties, actions and events in all`;
    faults.push({ pointer: "", detail });
  }
  return faults;
}

/** A Map, so that `__proto__` and `constructor` are names as any other. */
function mapMembers<Affordance>(
  elements: unknown,
  make: (name: string, affordance: JsonObject) => Affordance,
): ReadonlyMap<string, Affordance> {
  const made = new Map<string, Affordance>();
  if (!isJsonObject(elements)) return made;
  for (const [name, affordance] of Object.entries(elements)) {
    if (isJsonObject(affordance)) made.set(name, make(name, affordance));
  }
  return made;
}
