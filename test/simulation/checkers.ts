import { openChange, type RecordedChange } from "../../src/store/changes.ts";
import { unseal } from "../../src/store/seal.ts";
import { isJsonObject, type Json } from "../../src/thing/json.ts";
import type { SimClient } from "./sim-client.ts";
import type { SimResult } from "./world.ts";

/** What is wrong after a run: nothing, or the invariants of ARCHITECTURE.md that did not hold. */
export function violations(result: SimResult): readonly string[] {
  const log = readLog(result.disk.rows);
  return [
    ...sequenceHoles(log),
    ...timesGoneBack(log),
    ...lostOrDoubled(result, log),
    ...outOfOrder(result, log),
    ...wrongState(result, log),
    ...undelivered(result, log),
    ...lateActions(result),
    ...unfinished(result),
  ];
}

const LETTERS = { p: "property", a: "action", e: "event", d: "data", t: "thing" } as const;

function readLog(rows: ReadonlyMap<string, string>): readonly RecordedChange[] {
  const changes = [...rows].flatMap(([key, row]) => {
    const letter = /^c:([paedt])/.exec(key)?.[1];
    if (letter === undefined) return [];
    const content = unseal(key, row);
    if (content === undefined) throw new Error(`${key} does not match its checksum`);
    const sequence = Number.parseInt(key.slice(3), 32);
    return [openChange(LETTERS[letter as keyof typeof LETTERS], sequence, content)];
  });
  return changes.sort((a, b) => a.sequence - b.sequence);
}

function sequenceHoles(log: readonly RecordedChange[]): readonly string[] {
  return log.flatMap(({ sequence }, index) =>
    sequence === index + 1 ? [] : [`sequence ${sequence} stands at place ${index + 1} of the log`],
  );
}

/** Whatever the clock did, times follow the order in which changes came. */
function timesGoneBack(log: readonly RecordedChange[]): readonly string[] {
  return log.flatMap(({ sequence, at }, index) => {
    const before = log[index - 1];
    return before === undefined || before.at <= at
      ? []
      : [`change ${sequence} has a time ${before.at - at} ms before that of the one before it`];
  });
}

/** Values are unique over a run, so that a value is a write. */
function valueOf(change: RecordedChange): number | undefined {
  if (change.class === "property") return asNumber(change.values["v"]);
  return change.class === "event" ? asNumber(change.data) : undefined;
}

function asNumber(value: Json | undefined): number | undefined {
  return typeof value === "number" ? value : undefined;
}

/** The value a client put into a payload, if it was a good one. */
function valueIn(payload: string): number | undefined {
  if (!payload.startsWith("{")) return undefined;
  const parsed = JSON.parse(payload) as { v?: number; e?: { data: number } };
  return parsed.v ?? parsed.e?.data;
}

function countsOf(log: readonly RecordedChange[]): ReadonlyMap<number, number> {
  const counts = new Map<number, number>();
  for (const change of log) {
    const value = valueOf(change);
    if (value !== undefined) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return counts;
}

/** Acknowledged means on disk; QoS 2 means once; and nothing is there that nobody sent. */
function lostOrDoubled(result: SimResult, log: readonly RecordedChange[]): readonly string[] {
  const counts = countsOf(log);
  const found: string[] = [];
  const known = new Set(result.http.sent);
  for (const client of result.clients) {
    for (const { payload, qos, isAcknowledged } of client.sent) {
      const value = valueIn(payload);
      if (value === undefined) continue;
      known.add(value);
      const count = counts.get(value) ?? 0;
      if (isAcknowledged && count === 0) found.push(`${value} was acknowledged and is lost`);
      if (qos === 2 && count > 1) found.push(`${value} of QoS 2 was applied ${count} times`);
    }
  }
  for (const { value } of result.http.acknowledged) {
    if (counts.get(value) !== 1)
      found.push(`${value} got 200 and is there ${counts.get(value)} times`);
  }
  for (const value of counts.keys()) {
    if (!known.has(value)) found.push(`${value} was never sent`);
  }
  return found;
}

/** A client's publishes are applied in the order it first sent them [MQTT-4.6.0-2]. */
function outOfOrder(result: SimResult, log: readonly RecordedChange[]): readonly string[] {
  const firstSequence = new Map<number, number>();
  for (const change of log) {
    const value = valueOf(change);
    if (value !== undefined && !firstSequence.has(value)) firstSequence.set(value, change.sequence);
  }
  return result.clients.flatMap((client) => {
    let last = 0;
    return client.sent.flatMap(({ payload }) => {
      const value = valueIn(payload);
      const sequence = value === undefined ? undefined : firstSequence.get(value);
      if (sequence === undefined) return [];
      const wasBefore = sequence < last;
      last = Math.max(last, sequence);
      return wasBefore ? [`${client.clientId}: ${value} was applied before an earlier one`] : [];
    });
  });
}

/** The state of a property is its newest change, in memory as on disk. */
function wrongState(result: SimResult, log: readonly RecordedChange[]): readonly string[] {
  const { store } = result.gateway;
  const latest = new Map<number, number>();
  for (const change of log) {
    const value = change.class === "property" ? valueOf(change) : undefined;
    if (value !== undefined) latest.set(change.thing, value);
  }
  return [...latest].flatMap(([thing, value]) => {
    const state = store.properties.get(thing, "v")?.value;
    return state === value
      ? []
      : [`the state of Thing ${thing} is ${JSON.stringify(state)}, not ${value}`];
  });
}

/** What a persistent session is owed arrives, in order, and the last value is the state. */
function undelivered(result: SimResult, log: readonly RecordedChange[]): readonly string[] {
  const found: string[] = [];
  for (const client of result.clients) {
    if (client.subscribe === undefined) continue;
    found.push(...wrongOrder(result, client));
    if (client.clean || client.received.length === 0) continue;
    const received = new Set(
      client.received.flatMap(({ payload }) => eventSequence(result, payload)),
    );
    // Its session was there from the first of them on.
    const first = Math.min(...received);
    for (const { class: of, sequence } of log) {
      if (of !== "event" || sequence < first || received.has(sequence)) continue;
      found.push(`${client.clientId} was owed the event of change ${sequence} and did not get it`);
    }
  }
  return found;
}

const EVENT_ID = /"href":"[^"]*\/events\/e\/([0-9A-Z]{26})"/;

/** The sequence of the event a message tells of; none if it tells of something else. */
function eventSequence({ gateway }: SimResult, payload: string): readonly number[] {
  const id = EVENT_ID.exec(payload)?.[1];
  const moment = id === undefined ? undefined : gateway.store.ids.momentOf(id);
  return moment === undefined ? [] : [moment.sequence];
}

/** Of each topic: what comes for the first time comes in the order of its changes. */
function wrongOrder(result: SimResult, client: SimClient): readonly string[] {
  const last = new Map<string, number>();
  const seen = new Set<number>();
  return client.received.flatMap(({ topic, payload }) => {
    const [sequence] = eventSequence(result, payload);
    if (sequence === undefined || seen.has(sequence)) return [];
    seen.add(sequence);
    const isLate = sequence < (last.get(topic) ?? 0);
    last.set(topic, sequence);
    return isLate
      ? [`${client.clientId} got change ${sequence} on ${topic} after a later one`]
      : [];
  });
}

/** An action request reaches nobody once it has expired. */
function lateActions(result: SimResult): readonly string[] {
  return result.clients.flatMap((client) => {
    const expired = new Set<string>();
    return client.received.flatMap(({ payload }) => {
      const parsed = JSON.parse(payload) as Json;
      const request = isJsonObject(parsed) ? parsed["go"] : undefined;
      if (!isJsonObject(request)) return [];
      const href = JSON.stringify(request["href"]);
      if (request["status"] === "expired") expired.add(href);
      const isLate = request["status"] === "pending" && expired.has(href);
      return isLate ? [`${client.clientId} got ${href} after it had expired`] : [];
    });
  });
}

/** Every request that got 201 is there and, hours later, has ended. */
function unfinished(result: SimResult): readonly string[] {
  const { store } = result.gateway;
  return result.http.requested.flatMap((id) => {
    const moment = store.ids.momentOf(id);
    if (moment === undefined) return [`${id} is no id of this store`];
    const there = [1, 2].some((thing) => store.requests.get(thing, "go", moment) !== undefined);
    return there ? [] : [`action request ${id} got 201 and is lost`];
  });
}
