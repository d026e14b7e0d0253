import { isTopicFilter, topicLevels } from "../thing/topics.ts";
import { qosOf, takeByte, takeField, takeUint16, readText } from "./frame-fields.ts";
import type { Cursor } from "./frame-fields.ts";
import { fault, type FaultFrame, type RequestedSubscription } from "./frame-kinds.ts";
import type { SubscribeFrame, UnsubscribeFrame } from "./frame-kinds.ts";

/** Reads a whole SUBSCRIBE packet whose body begins at `bodyAt`. */
export function decodeSubscribe(bytes: Buffer, bodyAt: number): SubscribeFrame | FaultFrame {
  const cursor: Cursor = { bytes, at: bodyAt };
  const packetId = takePacketId(cursor);
  if (typeof packetId !== "number") return packetId;
  const filters: RequestedSubscription[] = [];
  while (cursor.at < bytes.length) {
    const filter = takeFilter(cursor);
    if (typeof filter !== "string") return filter;
    const options = takeByte(cursor);
    if (options === undefined) return fault("length", "MQTT-4.8.0-1");
    // The upper six bits are reserved: anything above 2 is wrong in one way or the other.
    const qos = qosOf(options);
    if (qos === undefined) return fault("qos", "MQTT-3-8.3-4");
    filters.push({ filter, levels: topicLevels(filter), qos });
  }
  if (filters.length === 0) return fault("filter-missing", "MQTT-3.8.3-3");
  return { kind: "subscribe", bytes, packetId, filters };
}

/** Reads a whole UNSUBSCRIBE packet whose body begins at `bodyAt`. */
export function decodeUnsubscribe(bytes: Buffer, bodyAt: number): UnsubscribeFrame | FaultFrame {
  const cursor: Cursor = { bytes, at: bodyAt };
  const packetId = takePacketId(cursor);
  if (typeof packetId !== "number") return packetId;
  const filters: string[] = [];
  while (cursor.at < bytes.length) {
    const filter = takeFilter(cursor);
    if (typeof filter !== "string") return filter;
    filters.push(filter);
  }
  if (filters.length === 0) return fault("filter-missing", "MQTT-3.10.3-2");
  return { kind: "unsubscribe", bytes, packetId, filters };
}

function takePacketId(cursor: Cursor): number | FaultFrame {
  const packetId = takeUint16(cursor);
  if (packetId === undefined) return fault("length", "MQTT-4.8.0-1");
  return packetId === 0 ? fault("packet-id", "MQTT-2.3.1-1") : packetId;
}

function takeFilter(cursor: Cursor): string | FaultFrame {
  const field = takeField(cursor);
  if (field === undefined) return fault("length", "MQTT-4.8.0-1");
  if (field.length === 0) return fault("topic-filter", "MQTT-4.7.3-1");
  const filter = readText(field);
  if (typeof filter !== "string" || isTopicFilter(filter)) return filter;
  // What is left to be wrong is a wildcard: `#` not last or not alone, or `+` not alone.
  return fault("topic-filter", /[^/]#|#./.test(filter) ? "MQTT-4.7.1-2" : "MQTT-4.7.1-3");
}
