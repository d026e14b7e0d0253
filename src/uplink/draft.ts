import type { ShownRequest } from "../interactions/action-request-object.ts";
import { isActionStatus, isFinal } from "../store/action-requests.ts";
import type { RecordedChange } from "../store/changes.ts";
import type { ChangeClass } from "../store/keys.ts";
import type { Owed } from "../store/outbox-items.ts";
import type { Store } from "../store/store.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";
import type { Json, JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import type { NamedThing } from "../thing/topics.ts";
import type { UplinkSettings } from "../uplink-settings.ts";
import type { TopicMapping } from "./topic-mapping.ts";

export type ShapeDeps = {
  readonly settings: Pick<UplinkSettings, "shape" | "order" | "envelope" | "protocol">;
  readonly mapping: Pick<TopicMapping, "up" | "upstreamAccount">;
  readonly store: Pick<Store, "ids" | "gatewayId">;
  readonly memory: Pick<UplinkMemory, "upstreamOf">;
  /** Where gap records go; `undefined`: nowhere. */
  readonly gapsTopic: string | undefined;
};

/** A message without what marks it. */
export type Draft = {
  /** As it is upstream. */
  readonly topic: string;
  readonly about: ChangeClass | "deletion" | "gap";
  /** `undefined`: an empty payload. */
  readonly content: Json | undefined;
  readonly retain: boolean;
};

export type Drafted =
  | { readonly kind: "drafts"; readonly drafts: readonly Draft[] }
  | { readonly kind: "undeliverable" }
  | { readonly kind: "silent" };

export const UNDELIVERABLE = { kind: "undeliverable" } as const;
export const SILENT = { kind: "silent" } as const;

/** Nothing to say is nothing that can be said. */
export function drafts(...all: readonly Draft[]): Drafted {
  return all.length === 0 ? UNDELIVERABLE : { kind: "drafts", drafts: all };
}

/** The Thing as upstream names it; `undefined`: it has no name there, or nobody knows it any more. */
export function upstreamName({ mapping }: ShapeDeps, { item }: Owed): NamedThing | undefined {
  if (item.kind === "gap") return undefined;
  const isOfThing = item.kind === "change" && item.change.class === "thing";
  const thing: NamedThing | undefined = isOfThing ? item.change : item.thing;
  const account = thing === undefined ? undefined : mapping.upstreamAccount(thing.account);
  return thing === undefined || account === undefined ? undefined : { account, id: thing.id };
}

/**
 * Values that may be read, as the Thing is now: what has become `writeOnly` meanwhile is not sent, and
 * what a user has removed is not brought back.
 */
export function readableValues(
  thing: Thing | undefined,
  values: JsonObject,
): readonly (readonly [name: string, value: Json])[] {
  return Object.entries(values).filter(([name]) => {
    const property = thing?.properties.get(name);
    return property !== undefined && !property.writeOnly;
  });
}

/** The request as it was after this change. */
export function requestOf(
  change: Extract<RecordedChange, { class: "action" }>,
): ShownRequest | undefined {
  const { name, request, requestedAt, status, at, input, output, error } = change;
  if (!isActionStatus(status)) return undefined;
  return {
    name,
    moment: { at: requestedAt, sequence: request },
    status,
    ...(input === undefined ? {} : { input }),
    ...(output === undefined ? {} : { output }),
    ...(error === undefined ? {} : { error }),
    ...(isFinal(status) ? { completedAt: at } : {}),
  };
}
