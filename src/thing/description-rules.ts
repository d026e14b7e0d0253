import type { Fault } from "../errors.ts";
import { checkDataSchema } from "./data-schema.ts";
import { isJsonArray, isJsonObject, pointerTo, type JsonObject } from "./json.ts";
import { aBoolean, aString, rule, strings, translations, type TermRule } from "./term-rules.ts";
import { isAffordanceName } from "./thing.ts";

/**
 * The rules of WoT TD 1.1 §5.3 that the given members break, all of them. Nothing is mandatory but
 * what a member cannot do without (a link its `href`, a security scheme its `scheme`); a term that
 * TD 1.1 does not know is an extension and may be anything.
 */
export function checkDescription(description: JsonObject): readonly Fault[] {
  return [
    ...checkTerms(description, "", THING_TERMS),
    ...checkSecurity(description),
    ...checkMap(description, "", "properties", checkProperty),
    ...checkMap(description, "", "actions", checkAction),
    ...checkMap(description, "", "events", checkEvent),
  ];
}

/** The faults of a value at a pointer; none if the value is right. */
type Check = (value: unknown, pointer: string) => readonly Fault[];

function checkProperty(affordance: JsonObject, pointer: string): readonly Fault[] {
  return [
    ...checkDataSchema(affordance, pointer),
    ...checkTerms(affordance, pointer, PROPERTY_TERMS),
  ];
}

function checkAction(affordance: JsonObject, pointer: string): readonly Fault[] {
  return checkTerms(affordance, pointer, ACTION_TERMS);
}

function checkEvent(affordance: JsonObject, pointer: string): readonly Fault[] {
  return checkTerms(affordance, pointer, EVENT_TERMS);
}

function checkTerms(
  object: JsonObject,
  pointer: string,
  terms: Readonly<Record<string, Check>>,
): readonly Fault[] {
  return Object.entries(terms).flatMap(([term, check]) => {
    return Object.hasOwn(object, term) ? check(object[term], pointerTo(pointer, term)) : [];
  });
}

/** Members of `object[term]` by their names, which are names of affordances. */
function checkMap(
  object: JsonObject,
  pointer: string,
  term: "properties" | "actions" | "events",
  check: (affordance: JsonObject, pointer: string) => readonly Fault[],
): readonly Fault[] {
  if (!Object.hasOwn(object, term)) return [];
  const at = pointerTo(pointer, term);
  const map = object[term];
  if (!isJsonObject(map)) return [{ pointer: at, detail: "must be an object" }];
  return Object.entries(map).flatMap(([name, affordance]) => {
    const here = pointerTo(at, name);
    const faults = isAffordanceName(name) ? [] : [{ pointer: here, detail: AFFORDANCE_NAME }];
    if (!isJsonObject(affordance))
      return [...faults, { pointer: here, detail: "must be an object" }];
    return [...faults, ...check(affordance, here)];
  });
}

const AFFORDANCE_NAME =
  "must have a name of 1 to 128 characters without / + # and control characters";

/** Every name in `security` is defined, if anything is (§5.3.1.1). */
function checkSecurity(description: JsonObject): readonly Fault[] {
  const { security, securityDefinitions } = description;
  if (security === undefined || !isJsonObject(securityDefinitions)) return [];
  const names = isJsonArray(security) ? security : [security];
  const isDefined = names.every(
    (name) => typeof name !== "string" || Object.hasOwn(securityDefinitions, name),
  );
  return isDefined
    ? []
    : [{ pointer: "/security", detail: "must name members of securityDefinitions" }];
}

function by(term: TermRule): Check {
  return (value, pointer) => {
    const detail = term(value);
    return detail === undefined ? [] : [{ pointer, detail }];
  };
}

function objectOf(terms: Readonly<Record<string, Check>>, ...mandatory: readonly string[]): Check {
  return (value, pointer) => {
    if (!isJsonObject(value)) return [{ pointer, detail: "must be an object" }];
    const missing = mandatory.filter((term) => !Object.hasOwn(value, term));
    return [
      ...missing.map((term) => ({ pointer, detail: `must have a member ${term}` })),
      ...checkTerms(value, pointer, terms),
    ];
  };
}

function arrayOf(check: Check): Check {
  return (value, pointer) => {
    if (!isJsonArray(value)) return [{ pointer, detail: "must be an array" }];
    return value.flatMap((item, index) => check(item, pointerTo(pointer, index)));
  };
}

function mapOf(check: Check): Check {
  return (value, pointer) => {
    if (!isJsonObject(value)) return [{ pointer, detail: "must be an object" }];
    return Object.entries(value).flatMap(([name, item]) => check(item, pointerTo(pointer, name)));
  };
}

const string = by(aString);
const boolean = by(aBoolean);
const stringOrStrings = by(strings);

const context = by(
  rule("must be a string, or an array of strings and objects", (value) => {
    if (!isJsonArray(value)) return typeof value === "string";
    return value.every((item) => typeof item === "string" || isJsonObject(item));
  }),
);

/** Terms of the Thing and of every affordance. */
const COMMON_TERMS = {
  "@type": stringOrStrings,
  title: string,
  titles: by(translations),
  description: string,
  descriptions: by(translations),
} as const;

const links = arrayOf(
  objectOf(
    {
      href: string,
      type: string,
      rel: string,
      anchor: string,
      sizes: string,
      hreflang: stringOrStrings,
    },
    "href",
  ),
);

const FORM_TERMS = {
  href: string,
  contentType: string,
  contentCoding: string,
  subprotocol: string,
  security: stringOrStrings,
  scopes: stringOrStrings,
  response: objectOf({ contentType: string }, "contentType"),
  additionalResponses: arrayOf(objectOf({ success: boolean, contentType: string, schema: string })),
} as const;

/** `operations`: what `op` may say in this place, §5.3.4.2. */
function forms(operations: string, ...mandatory: readonly string[]): Check {
  const names = operations.split(" ");
  const isOperation = (value: unknown): boolean =>
    typeof value === "string" && names.includes(value);
  const op = rule(`must be one or an array of ${names.join(", ")}`, (value) => {
    return isJsonArray(value) ? value.every(isOperation) : isOperation(value);
  });
  return arrayOf(objectOf({ ...FORM_TERMS, op: by(op) }, "href", ...mandatory));
}

const INTERACTION_TERMS = { links, uriVariables: mapOf(checkDataSchema) } as const;

/** What a property has besides the terms of a DataSchema. */
const PROPERTY_TERMS = {
  ...INTERACTION_TERMS,
  observable: boolean,
  forms: forms("readproperty writeproperty observeproperty unobserveproperty"),
} as const;

const ACTION_TERMS = {
  ...COMMON_TERMS,
  ...INTERACTION_TERMS,
  input: checkDataSchema,
  output: checkDataSchema,
  safe: boolean,
  idempotent: boolean,
  synchronous: boolean,
  forms: forms("invokeaction queryaction cancelaction"),
} as const;

const EVENT_TERMS = {
  ...COMMON_TERMS,
  ...INTERACTION_TERMS,
  subscription: checkDataSchema,
  data: checkDataSchema,
  dataResponse: checkDataSchema,
  cancellation: checkDataSchema,
  forms: forms("subscribeevent unsubscribeevent"),
} as const;

const THING_TERMS = {
  ...COMMON_TERMS,
  "@context": context,
  version: objectOf({ instance: string, model: string }, "instance"),
  support: string,
  base: string,
  links,
  forms: forms(
    "readallproperties writeallproperties readmultipleproperties writemultipleproperties " +
      "observeallproperties unobserveallproperties queryallactions subscribeallevents " +
      "unsubscribeallevents",
    "op",
  ),
  security: stringOrStrings,
  securityDefinitions: mapOf(objectOf({ scheme: string }, "scheme")),
  schemaDefinitions: mapOf(checkDataSchema),
  uriVariables: mapOf(checkDataSchema),
  profile: stringOrStrings,
} as const;
