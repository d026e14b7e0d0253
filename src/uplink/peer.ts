import type { RecordedChange } from "../store/changes.ts";
import type { Owed } from "../store/outbox-items.ts";
import type { Json, JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import {
  actionSetTopic,
  dataTopic,
  descriptionSetTopic,
  eventSetTopic,
  propertiesSetTopic,
  propertySetTopic,
  type NamedThing,
} from "../thing/topics.ts";
import {
  drafts,
  readableValues,
  SILENT,
  UNDELIVERABLE,
  upstreamName,
  type Draft,
  type Drafted,
  type ShapeDeps,
} from "./draft.ts";

/**
 * What a device would publish to the gateway above: `set/…`, never retained. It speaks the contract of
 * this gateway (docs/mqtt-api.md) and holds the Things itself.
 */
export function peerDrafts(deps: ShapeDeps, owed: Owed): Drafted {
  const { item } = owed;
  // Its status is its own to say: there is no place for a gap record.
  if (item.kind === "gap") return SILENT;
  const named = upstreamName(deps, owed);
  if (named === undefined) return UNDELIVERABLE;
  switch (item.kind) {
    case "state":
      return valueDrafts(deps, named, item.thing, { [item.name]: item.state.value });
    case "description":
      return drafts(descriptionDraft(deps, named, item.thing.description));
    case "change":
      return changeDrafts(deps, named, item.change, item.thing);
  }
}

function changeDrafts(
  deps: ShapeDeps,
  named: NamedThing,
  change: RecordedChange,
  thing: Thing | undefined,
): Drafted {
  const { up } = deps.mapping;
  switch (change.class) {
    case "property":
      // It would become the present value there.
      if (change.backfilled === true) return UNDELIVERABLE;
      return valueDrafts(deps, named, thing, change.values);
    case "action":
      return reportDrafts(deps, named, change);
    case "event": {
      const { name, data } = change;
      const content = { [name]: data === undefined ? {} : { data } };
      return drafts(draft(up(eventSetTopic(named, name)), "event", content));
    }
    case "data":
      return drafts(draft(up(dataTopic(named)), "data", change.content));
    case "thing":
      // Nothing that arrives by MQTT can delete.
      if (change.description === undefined) return UNDELIVERABLE;
      return drafts(descriptionDraft(deps, named, change.description));
  }
}

/** All values of one write in one message: there they are all or nothing, too. */
function valueDrafts(
  { mapping }: ShapeDeps,
  named: NamedThing,
  thing: Thing | undefined,
  values: JsonObject,
): Drafted {
  const readable = readableValues(thing, values);
  const [first] = readable;
  if (first === undefined) return UNDELIVERABLE;
  const topic =
    readable.length === 1 ? propertySetTopic(named, first[0]) : propertiesSetTopic(named);
  return drafts(draft(mapping.up(topic), "property", Object.fromEntries(readable)));
}

function descriptionDraft(
  { mapping }: ShapeDeps,
  named: NamedThing,
  description: JsonObject,
): Draft {
  return draft(mapping.up(descriptionSetTopic(named)), "thing", { id: named.id, ...description });
}

/** Upstream's own request is reported on by the `href` it gave; ours are not its business. */
function reportDrafts(
  { mapping, memory }: ShapeDeps,
  named: NamedThing,
  change: Extract<RecordedChange, { class: "action" }>,
): Drafted {
  const { name, request, status, output, error } = change;
  const href = memory.upstreamOf(request);
  if (href === undefined) return UNDELIVERABLE;
  if (status === "pending") return SILENT;
  const content = {
    [name]: {
      href,
      ...(status === "expired" ? EXPIRED : { status }),
      ...(output === undefined ? {} : { output }),
      ...(error === undefined ? {} : { error }),
    },
  };
  return drafts(draft(mapping.up(actionSetTopic(named, name)), "action", content));
}

/** A device cannot report that a request expired: to the one above it failed. */
const EXPIRED = {
  status: "failed",
  error: { code: "expired", detail: "no device took it up in time" },
} as const;

function draft(topic: string, about: Draft["about"], content: Json): Draft {
  return { topic, about, content, retain: false };
}
