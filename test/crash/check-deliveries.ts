import { thingIds } from "./check-writes.ts";
import type { Fault } from "./fault.ts";
import { show, type Ledger } from "./ledger.ts";
import type { Remains } from "./remains.ts";
import type { Delivery, Subscriber } from "./subscriber.ts";
import { ACCOUNT } from "./wire.ts";

type Owed = Pick<Subscriber, "clientId" | "deliveries">;

/**
 * What a persistent session got of Things' status and is still owed, held against the log: per topic
 * each connection got an unbroken run of it, which begins no later than behind what the ones before
 * got; so does the session's queue, and it ends where the log ends.
 */
export function checkStatus(remains: Remains, subscriber: Owed): readonly Fault[] {
  const told = statusOf(remains);
  const runs = byTopic([...subscriber.deliveries, ...queueOf(remains, subscriber)]);
  const there = new Set([...remains.things.values()].map(({ id }) => id));
  const topics = new Set([...told.keys(), ...runs.keys()]);
  return [...topics].flatMap((topic) => {
    if (!there.has(thingOf(topic))) return []; // The log of a deleted Thing is swept.
    const why = whyNotAll(told.get(topic) ?? [], runs.get(topic) ?? []);
    return why === undefined ? [] : [{ rule: "delivered", detail: `${topic}: ${why}` } as const];
  });
}

/** As the last connection: what the session would get next. */
function queueOf({ mqtt }: Remains, { clientId }: Owed): readonly Delivery[] {
  const session = mqtt.sessions.find(({ row }) => row.clientId === clientId);
  return mqtt.queued
    .filter((queued) => queued.session === session?.number)
    .map(({ row: { message } }) => {
      const { topic, payload } = message;
      return { topic, payload: payload.toString(), connection: Infinity };
    });
}

function byTopic(deliveries: readonly Delivery[]): ReadonlyMap<string, readonly Delivery[]> {
  const topics = new Map<string, Delivery[]>();
  for (const delivery of deliveries) {
    const ofTopic = topics.get(delivery.topic);
    if (ofTopic === undefined) topics.set(delivery.topic, [delivery]);
    else ofTopic.push(delivery);
  }
  return topics;
}

/** The values told on each topic, in the order of the log. */
function statusOf({ changes }: Remains): ReadonlyMap<string, readonly unknown[]> {
  const ids = thingIds(changes);
  const topics = new Map<string, unknown[]>();
  const add = (topic: string, value: unknown): void => {
    const values = topics.get(topic);
    if (values === undefined) topics.set(topic, [value]);
    else values.push(value);
  };
  for (const change of changes) {
    const id = ids.get(change.thing) ?? "?";
    const status = `status/${ACCOUNT}/things/${id}`;
    if (change.class === "event") add(`${status}/events/${change.name}`, change.data);
    if (change.class === "data") add(`${ACCOUNT}/data/${id}`, change.content["value"]);
    if (change.class !== "property") continue;
    for (const [name, value] of Object.entries(change.values)) {
      add(`${status}/properties/${name}`, value);
    }
  }
  return topics;
}

function thingOf(topic: string): string {
  const levels = topic.split("/");
  return (levels[0] === "status" ? levels[3] : levels[2]) ?? "?";
}

function valueOf({ topic, payload }: Delivery): unknown {
  const [member] = Object.values(JSON.parse(payload) as Record<string, unknown>);
  return topic.includes("/events/") ? (member as { data: unknown }).data : member;
}

/** A value may stand in the log twice (QoS 1), so a run may begin at either: all are followed. */
function whyNotAll(told: readonly unknown[], got: readonly Delivery[]): string | undefined {
  const places = new Map<unknown, number[]>();
  for (const [place, value] of told.entries()) {
    places.set(value, [...(places.get(value) ?? []), place]);
  }
  let connection = -1;
  let reached = -1;
  let at: readonly number[] = [];
  for (const delivery of got) {
    const value = valueOf(delivery);
    const found = places.get(value) ?? [];
    const isFirst = delivery.connection !== connection;
    const before = at;
    at = found.filter((place) => (isFirst ? place <= reached + 1 : before.includes(place - 1)));
    const last = at.at(-1);
    if (last === undefined) {
      if (found.length === 0) return `${String(value)} came and is not in the log`;
      const where = isFirst ? "first" : `behind ${String(told[before[0] ?? 0])}`;
      return `${String(value)} came ${where} on connection ${delivery.connection}, after ${reached + 1} of ${told.length}`;
    }
    connection = delivery.connection;
    reached = Math.max(reached, last);
  }
  if (reached === told.length - 1) return undefined;
  return `${String(told[reached + 1])} did not come and is not owed`;
}

/**
 * What a persistent session got of free messages: what was published at QoS 2 once, what was
 * published at QoS 1 at least once, per topic in order, and of what was acknowledged all that it is
 * not still owed.
 */
export function checkMessages(
  remains: Remains,
  ledger: Ledger,
  subscriber: Owed,
): readonly Fault[] {
  const got = new Set<number>();
  const last = new Map<string, number>();
  const faults: Fault[] = [];
  const report = (detail: string): void => {
    faults.push({ rule: "delivered", detail });
  };
  const owed = queueOf(remains, subscriber);
  for (const { topic, payload, connection } of [...subscriber.deliveries, ...owed]) {
    const write = ledger.get(Number(payload));
    if (write?.target.kind !== "message" || write.target.topic !== topic) {
      report(`${payload} on ${topic} was never sent`);
      continue;
    }
    const { value } = write;
    if (got.has(value)) {
      // Of one that is still in the queue the client knows the packet id.
      if (write.once && connection !== Infinity) report(`${show(write)} came twice at QoS 2`);
      continue;
    }
    got.add(value);
    const before = last.get(topic) ?? 0;
    if (value < before) report(`${show(write)} came behind ${before} on ${topic}`);
    last.set(topic, value);
  }
  for (const write of ledger.acknowledged()) {
    if (write.target.kind !== "message" || got.has(write.value)) continue;
    report(`${show(write)} did not come and is not owed`);
  }
  return faults;
}
