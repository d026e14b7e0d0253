import { authoriseOnThing } from "../interactions/authorise.ts";
import { updateProperties, updateProperty } from "../interactions/property-update.ts";
import { GatewayError } from "../errors.ts";
import type { Store } from "../store/store.ts";
import type { PropertyAffordance, Thing } from "../thing/thing.ts";
import { jsonBody } from "./body.ts";
import { onThing, param, type Answer, type AuthorisedCall, type Route } from "./call.ts";
import { answerDeleteElement } from "./elements.ts";
import { requireMatch } from "./preconditions.ts";

const ONE = "/:account/things/:thing/properties/:property";
const ALL = "/:account/things/:thing/properties";
const WRITE = ["thing.write", "thing.report"] as const;

export const propertyRoutes: readonly Route[] = [
  { method: "PUT", path: ONE, scopes: WRITE, answer: putProperty },
  { method: "GET", path: ONE, scopes: ["thing.read"], answer: getProperty },
  { method: "POST", path: ONE, scopes: WRITE, answer: putProperty },
  {
    method: "DELETE",
    path: ONE,
    audit: "element.delete",
    scopes: ["thing.manage"],
    answer: answerDeleteElement("properties", "property"),
  },
  { method: "PUT", path: ALL, scopes: WRITE, answer: putProperties },
  { method: "GET", path: ALL, scopes: ["thing.read"], answer: getProperties },
  { method: "POST", path: ALL, scopes: WRITE, answer: putProperties },
];

async function putProperty(call: AuthorisedCall): Promise<Answer> {
  const { deps, preconditions } = call;
  const name = param(call, "property");
  const body = await jsonBody(call);
  const { thing, values } = updateProperty(deps, {
    ...onThing(call),
    name,
    body,
    others: "refuse",
    precondition: (thing) => requireMatch(preconditions, propertyEtag(deps.store, thing, name)),
  });
  return { status: 200, body: values(), etag: propertyEtag(deps.store, thing, name) };
}

function getProperty(call: AuthorisedCall): Answer {
  const { store } = call.deps;
  const thing = authoriseOnThing(call.deps, onThing(call), "thing.read");
  const { name, writeOnly } = findProperty(thing, param(call, "property"));
  const state = writeOnly ? undefined : store.properties.get(thing.number, name);
  const body = { [name]: state?.value ?? null };
  return { status: 200, body, etag: propertyEtag(store, thing, name) };
}

async function putProperties(call: AuthorisedCall): Promise<Answer> {
  const { deps, preconditions } = call;
  const body = await jsonBody(call);
  const { thing, values } = updateProperties(deps, {
    ...onThing(call),
    body,
    precondition: (thing) => requireMatch(preconditions, propertiesEtag(deps.store, thing)),
  });
  return { status: 200, body: values(), etag: propertiesEtag(deps.store, thing) };
}

/** In the order of the Thing Description. */
function getProperties(call: AuthorisedCall): Answer {
  const { store } = call.deps;
  const thing = authoriseOnThing(call.deps, onThing(call), "thing.read");
  const states = store.properties.ofThing(thing.number);
  const values = [...thing.properties.values()].flatMap(({ name, writeOnly }) => {
    const state = writeOnly ? undefined : states.get(name);
    return state === undefined ? [] : [[name, state.value] as const];
  });
  return { status: 200, body: Object.fromEntries(values), etag: propertiesEtag(store, thing) };
}

/** @throws GatewayError `unknown-affordance`. */
export function findProperty(thing: Thing, name: string): PropertyAffordance {
  const affordance = thing.properties.get(name);
  if (affordance !== undefined) return affordance;
  throw new GatewayError("unknown-affordance", `${thing.id} has no property ${name}`);
}

/** The sequence of the change that set it; 0: nobody has, or it cannot be read. */
function propertyEtag(store: Pick<Store, "properties">, thing: Thing, name: string): string {
  return String(store.properties.get(thing.number, name)?.sequence ?? 0);
}

/** The latest change of any value, or of the Thing: a deleted property takes its value along. */
function propertiesEtag(store: Pick<Store, "properties">, thing: Thing): string {
  const states = store.properties.ofThing(thing.number).values();
  const sequences = Array.from(states, ({ sequence }) => sequence);
  return String(Math.max(thing.revision, ...sequences));
}
