import { actionRequestObject } from "../interactions/action-request-object.ts";
import { eventObject } from "../interactions/event-emission.ts";
import type { RecordedChange } from "../store/changes.ts";
import type { GapRecord, Owed } from "../store/outbox-items.ts";
import type { JsonObject } from "../thing/json.ts";
import { renderThingDescription } from "../thing/thing-description.ts";
import type { Thing } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";
import {
  actionStatusTopic,
  dataTopic,
  descriptionStatusTopic,
  eventStatusTopic,
  propertyStatusTopic,
  type NamedThing,
} from "../thing/topics.ts";
import {
  drafts,
  readableValues,
  requestOf,
  SILENT,
  UNDELIVERABLE,
  upstreamName,
  type Draft,
  type Drafted,
  type ShapeDeps,
} from "./draft.ts";

/**
 * Our `status/…` as the LAN sees it: docs/mqtt-api.md. Values and descriptions are retained, for
 * upstream's broker knows no Thing; a deletion takes back what was.
 */
export function mirrorDrafts(deps: ShapeDeps, owed: Owed): Drafted {
  const { item } = owed;
  if (item.kind === "gap") return gapDrafts(deps, item.gap);
  const named = upstreamName(deps, owed);
  if (named === undefined) return UNDELIVERABLE;
  const to: Target = { deps, named, retain: isRetained(deps, owed) };
  switch (item.kind) {
    case "state":
      return drafts(...valueDrafts(to, item.thing, { [item.name]: item.state.value }));
    case "description":
      return drafts(descriptionDraft(to, renderThingDescription(item.thing)));
    case "change":
      return changeDrafts(to, item.change, item.thing);
  }
}

type Target = { readonly deps: ShapeDeps; readonly named: NamedThing; readonly retain: boolean };

/**
 * In order the last one retained is the present one. Beside a live stream the backlog comes late: of
 * it only what still is so is retained, else a value of long ago would stand for today's.
 */
function isRetained({ settings }: ShapeDeps, { isNew, isPresent }: Owed): boolean {
  return settings.order === "strict" || isNew || isPresent;
}

function changeDrafts(to: Target, change: RecordedChange, thing: Thing | undefined): Drafted {
  const { deps, named } = to;
  const { up } = deps.mapping;
  switch (change.class) {
    case "property": {
      if (change.backfilled !== true) return drafts(...valueDrafts(to, thing, change.values));
      // Without its time it would pass for the present value.
      if (!isMarked(deps)) return UNDELIVERABLE;
      return drafts(...valueDrafts({ ...to, retain: false }, thing, change.values));
    }
    case "action": {
      const request = requestOf(change);
      if (request === undefined) return UNDELIVERABLE;
      const content = actionRequestObject(deps.store, named, request);
      const topic = up(actionStatusTopic(named, change.name));
      return drafts({ topic, about: "action", content, retain: false });
    }
    case "event": {
      const { name, at, sequence, data } = change;
      const moment = { at, sequence };
      const event = { name, moment, ...(data === undefined ? {} : { data }) };
      const topic = up(eventStatusTopic(named, name));
      return drafts({
        topic,
        about: "event",
        content: eventObject(deps.store, named, event),
        retain: false,
      });
    }
    case "data":
      return drafts({
        topic: up(dataTopic(named)),
        about: "data",
        content: change.content,
        retain: false,
      });
    case "thing":
      return drafts(...definitionDrafts(to, change, thing), ...removalDrafts(to, change));
  }
}

function valueDrafts(
  { deps, named, retain }: Target,
  thing: Thing | undefined,
  values: JsonObject,
): readonly Draft[] {
  return readableValues(thing, values).map(([name, value]) => ({
    topic: deps.mapping.up(propertyStatusTopic(named, name)),
    about: "property",
    content: { [name]: value },
    retain,
  }));
}

function descriptionDraft({ deps, named, retain }: Target, content: JsonObject): Draft {
  const topic = deps.mapping.up(descriptionStatusTopic(named));
  return { topic, about: "thing", content, retain };
}

type ThingChange = Extract<RecordedChange, { class: "thing" }>;

function definitionDrafts(
  to: Target,
  { id, uid, description, at }: ThingChange,
  thing: Thing | undefined,
): readonly Draft[] {
  if (description !== undefined) {
    const created = thing === undefined ? {} : { created: formatTime(thing.created) };
    const content = { id, uid, ...description, ...created, modified: formatTime(at) };
    return [descriptionDraft(to, content)];
  }
  const { deps, named, retain } = to;
  const topic = deps.mapping.up(descriptionStatusTopic(named));
  const emptied: Draft = { topic, about: "deletion", content: undefined, retain };
  if (deps.settings.envelope === "none") return [emptied];
  // An empty payload has no room for an envelope: what says when and what number comes before it.
  return [{ topic, about: "deletion", content: null, retain: false }, emptied];
}

/** Takes back the values of properties that are no more [MQTT-3.3.1-10]. */
function removalDrafts({ deps, named, retain }: Target, change: ThingChange): readonly Draft[] {
  if (!retain) return [];
  return (change.removed ?? []).map((name) => ({
    topic: deps.mapping.up(propertyStatusTopic(named, name)),
    about: "deletion",
    content: undefined,
    retain,
  }));
}

function gapDrafts({ gapsTopic }: ShapeDeps, gap: GapRecord): Drafted {
  if (gapsTopic === undefined) return SILENT;
  const content = { ...gap, since: formatTime(gap.since), until: formatTime(gap.until) };
  return drafts({ topic: gapsTopic, about: "gap", content, retain: false });
}

/** Does a message say of when it is? */
function isMarked({ settings }: ShapeDeps): boolean {
  return settings.protocol === 5 || settings.envelope !== "none";
}
