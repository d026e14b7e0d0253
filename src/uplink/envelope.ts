import type { Owed } from "../store/outbox-items.ts";
import type { Json } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import type { Draft, ShapeDeps } from "./draft.ts";
import type { UpMessage } from "./message.ts";

const EMPTY = Buffer.alloc(0);

/**
 * Puts on a message what tells it from its repetitions and says of when it is. `index`: its place
 * among the messages of one number, each of which has an id of its own.
 */
export function sealMessage(
  { settings, store }: Pick<ShapeDeps, "settings" | "store">,
  owed: Owed,
  { topic, about, content, retain }: Draft,
  index: number,
): UpMessage {
  const id = index === 0 ? owed.id : `${owed.id}-${index + 1}`;
  const time = formatTime(owed.at);
  const userProperties = {
    id,
    seq: String(owed.seq),
    time,
    backlog: String(owed.isBacklog),
  };
  if (content === undefined)
    return { topic, payload: EMPTY, retain, properties: { userProperties } };
  if (settings.envelope === "none") {
    const properties = { userProperties, contentType: "application/json", isText: true };
    return { topic, payload: Buffer.from(JSON.stringify(content)), retain, properties };
  }
  const event = cloudEvent(content, {
    id,
    source: `urn:sluice:${store.gatewayId}`,
    type: `sluice.${about}`,
    subject: topic,
    time,
    sequence: String(owed.seq).padStart(SEQUENCE_DIGITS, "0"),
    backlog: owed.isBacklog,
  });
  const properties = { userProperties, contentType: CLOUD_EVENT, isText: true };
  return { topic, payload: Buffer.from(event), retain, properties };
}

/** CloudEvents, JSON format §3: structured mode. */
const CLOUD_EVENT = "application/cloudevents+json; charset=utf-8";

/** The extension `sequence` is a text that sorts as the numbers do. */
const SEQUENCE_DIGITS = 16;

type Attributes = {
  readonly id: string;
  readonly source: string;
  readonly type: string;
  readonly subject: string;
  readonly time: string;
  readonly sequence: string;
  readonly backlog: boolean;
};

function cloudEvent(data: Json, attributes: Attributes): string {
  return JSON.stringify({
    specversion: "1.0",
    ...attributes,
    datacontenttype: "application/json",
    data,
  });
}
