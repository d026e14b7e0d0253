import type { JsonObject } from "./json.ts";
import type { PropertyAffordance, Thing } from "./thing.ts";
import {
  actionSetTopic,
  eventStatusTopic,
  propertySetTopic,
  propertyStatusTopic,
} from "./topics.ts";

/** Where the gateway is reached: `http://host:8080` and `mqtt://host:1883`, without a path. */
export type Bases = { readonly http: string; readonly mqtt?: string };

/** The Thing's own path, contract with clients: `/{account}/things/{id}`. */
export function thingHref(thing: Thing, bases: Bases): string {
  return `${bases.http}/${thing.account}/things/${encodeURIComponent(thing.id)}`;
}

/** For the Thing as a whole: values by name, which is just what WoT means here. */
export function thingForms(thing: Thing, bases: Bases): readonly JsonObject[] {
  if (thing.properties.size === 0) return [];
  const all = [...thing.properties.values()];
  const op = [
    ...(all.some((property) => !property.writeOnly) ? ["readallproperties"] : []),
    ...(all.some((property) => !property.readOnly) ? ["writemultipleproperties"] : []),
  ];
  return [{ href: `${thingHref(thing, bases)}/properties`, op, ...HTTP }];
}

export function propertyForms(
  thing: Thing,
  property: PropertyAffordance,
  bases: Bases,
): readonly JsonObject[] {
  const { name, readOnly, writeOnly } = property;
  const op = [...(writeOnly ? [] : ["readproperty"]), ...(readOnly ? [] : ["writeproperty"])];
  const forms: JsonObject[] = [
    { href: affordanceHref(thing, bases, "properties", name), op, ...HTTP, ...KEYED },
  ];
  if (bases.mqtt === undefined) return forms;
  if (!writeOnly) {
    // A read is a subscription that begins with the retained value, hence both in one form.
    const op = ["readproperty", "observeproperty"];
    forms.push(subscribeForm(bases.mqtt, op, propertyStatusTopic(thing, name), true));
  }
  if (!readOnly) {
    forms.push(publishForm(bases.mqtt, "writeproperty", propertySetTopic(thing, name)));
  }
  return forms;
}

export function actionForms(thing: Thing, name: string, bases: Bases): readonly JsonObject[] {
  const href = affordanceHref(thing, bases, "actions", name);
  const forms: JsonObject[] = [{ href, op: "invokeaction", ...HTTP, ...KEYED }];
  if (bases.mqtt !== undefined) {
    forms.push(publishForm(bases.mqtt, "invokeaction", actionSetTopic(thing, name)));
  }
  return forms;
}

/** Over HTTP events can only be asked for, newest first; TD 1.1 wants a form, so it says so. */
export function eventForms(thing: Thing, name: string, bases: Bases): readonly JsonObject[] {
  if (bases.mqtt !== undefined) {
    return [subscribeForm(bases.mqtt, "subscribeevent", eventStatusTopic(thing, name), false)];
  }
  const href = affordanceHref(thing, bases, "events", name);
  return [{ href, op: "subscribeevent", ...HTTP, ...KEYED, "sluice:poll": true }];
}

/** Names of the security definitions that the forms refer to. */
export const HTTP_SECURITY = "sluice_http";
export const MQTT_SECURITY = "sluice_basic";

/** TD 1.1 §5.3.3: `combo` with `oneOf` is either; a list in `security` would mean both. */
export const SECURITY_DEFINITIONS: JsonObject = {
  sluice_bearer: { scheme: "bearer", in: "header", name: "Authorization", format: "opaque" },
  [MQTT_SECURITY]: { scheme: "basic", in: "header", name: "Authorization" },
  [HTTP_SECURITY]: { scheme: "combo", oneOf: ["sluice_bearer", MQTT_SECURITY] },
};

const HTTP = { contentType: "application/json", security: HTTP_SECURITY } as const;

/** The payload is not the bare value of the DataSchema but `{"<name>": …}`, in both directions. */
const KEYED = { "sluice:keyed": true } as const;

const MQTT = {
  contentType: "application/json",
  security: MQTT_SECURITY,
  "mqv:qos": "1",
  ...KEYED,
} as const;

function affordanceHref(thing: Thing, bases: Bases, kind: string, name: string): string {
  return `${thingHref(thing, bases)}/${kind}/${encodeURIComponent(name)}`;
}

function subscribeForm(
  href: string,
  op: string | readonly string[],
  filter: string,
  isRetained: boolean,
): JsonObject {
  const packet = { "mqv:controlPacket": "subscribe", "mqv:filter": filter };
  return { href, op, ...MQTT, ...packet, "mqv:retain": isRetained };
}

function publishForm(href: string, op: string, topic: string): JsonObject {
  return { href, op, ...MQTT, "mqv:controlPacket": "publish", "mqv:topic": topic };
}
