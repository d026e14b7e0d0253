import type { RecordedChange } from "../../src/store/changes.ts";
import type { Fault } from "./fault.ts";
import { show, type Ledger, type Target, type Write } from "./ledger.ts";
import type { Remains } from "./remains.ts";

/** Compares what a gateway left with what was sent to it and what it acknowledged. */
export function checkWrites(remains: Remains, ledger: Ledger): readonly Fault[] {
  const found = findWrites(remains, ledger);
  return [
    ...found.faults,
    ...checkAcknowledged(found.changes, remains, ledger),
    ...checkRepeats(found.changes),
    ...checkOrder(found.changes),
    ...checkLast(remains, ledger),
    ...checkExistence(remains, ledger),
  ];
}

type Found = {
  /** The changes that each write made, in the order of the log. */
  readonly changes: ReadonlyMap<Write, readonly RecordedChange[]>;
  readonly faults: readonly Fault[];
};

/** Every change was made by a write, and says what that write said. */
function findWrites({ changes }: Remains, ledger: Ledger): Found {
  const ids = thingIds(changes);
  const found = new Map<Write, RecordedChange[]>();
  const faults: Fault[] = [];
  for (const change of changes) {
    if (change.class === "thing") continue;
    const value = valueOf(change);
    const write = typeof value === "number" ? ledger.get(value) : undefined;
    if (write === undefined || !isSaidBy(change, ids.get(change.thing), write.target)) {
      const detail = `change ${change.sequence} says what nobody sent: ${JSON.stringify(change)}`;
      faults.push({ rule: "as-sent", detail });
      continue;
    }
    found.set(write, [...(found.get(write) ?? []), change]);
  }
  return { changes: found, faults };
}

/** The id of each Thing there was, by its number. */
export function thingIds(changes: readonly RecordedChange[]): ReadonlyMap<number, string> {
  return new Map(
    changes.flatMap((change) => (change.class === "thing" ? [[change.thing, change.id]] : [])),
  );
}

/** The one value that all parts of a change hold; `undefined`: they differ. */
export function valueOf(change: Exclude<RecordedChange, { class: "thing" }>): unknown {
  switch (change.class) {
    case "property": {
      const [first, ...others] = Object.values(change.values);
      return others.every((other) => other === first) ? first : undefined;
    }
    case "event":
      return change.data;
    case "data":
      return change.content["value"];
    case "action":
      return change.status === "pending" ? change.input : change.output;
  }
}

function isSaidBy(change: RecordedChange, thing: string | undefined, target: Target): boolean {
  if (target.kind === "message" || target.thing !== thing) return false;
  switch (change.class) {
    case "property":
      return (
        target.kind === "properties" &&
        Object.keys(change.values).sort().join() === [...target.names].sort().join()
      );
    case "event":
      return target.kind === "event" && target.name === change.name;
    case "data":
      return target.kind === "data";
    case "action":
      return change.status === "pending"
        ? target.kind === "request" && target.name === change.name
        : target.kind === "report" && target.status === change.status;
    case "thing":
      return false;
  }
}

function checkAcknowledged(
  changes: Found["changes"],
  { things }: Remains,
  ledger: Ledger,
): readonly Fault[] {
  const there = new Set([...things.values()].map(({ id }) => id));
  return ledger
    .acknowledged()
    .filter(({ target }) => target.kind !== "message" && there.has(target.thing))
    .filter((write) => !changes.has(write))
    .map((write) => ({ rule: "acknowledged", detail: `${show(write)} is not in the log` }));
}

/** At QoS 2 and over HTTP once; at QoS 1 as often as it was sent. */
function checkRepeats(changes: Found["changes"]): readonly Fault[] {
  return [...changes].flatMap(([write, made]) => {
    if (made.length <= (write.once ? 1 : write.timesSent)) return [];
    const where = made.map(({ sequence }) => sequence).join(", ");
    return [{ rule: "once", detail: `${show(write)} was applied more than once: ${where}` }];
  });
}

/** What one client sent is applied in the order in which it was sent [MQTT-4.6.0-2]. */
function checkOrder(changes: Found["changes"]): readonly Fault[] {
  const last = new Map<string, Write>();
  const faults: Fault[] = [];
  // By the first change of each: what is sent again after a crash comes again.
  for (const write of changes.keys()) {
    const before = last.get(write.writer);
    if (before !== undefined && before.value > write.value) {
      faults.push({ rule: "order", detail: `${show(write)} came behind ${before.value}` });
    }
    last.set(write.writer, write);
  }
  return faults;
}

/** A property's state, a free topic's retained message: the last acknowledged, or a later one. */
function checkLast({ states, things, mqtt }: Remains, ledger: Ledger): readonly Fault[] {
  const values = new Map<string, unknown>();
  for (const { thing, name, value } of states) {
    values.set(`${things.get(thing)?.id ?? "?"}/${name}`, value);
  }
  for (const { topic, payload } of mqtt.retained) values.set(topic, Number(payload.toString()));
  const there = new Set([...things.values()].map(({ id }) => id));
  const faults: Fault[] = [];
  for (const cell of ledger.cells) {
    if (cell.thing !== undefined && !there.has(cell.thing)) continue;
    const why = ledger.whyNotLast(cell.name, values.get(cell.name));
    values.delete(cell.name);
    if (why !== undefined) faults.push({ rule: "last", detail: `${cell.name} ${why}` });
  }
  for (const name of values.keys()) {
    faults.push({ rule: "last", detail: `${name} holds a value and was never written` });
  }
  return faults;
}

function checkExistence({ things, credentials }: Remains, ledger: Ledger): readonly Fault[] {
  const ids = new Set([...things.values()].map(({ id }) => id));
  const faults: Fault[] = [];
  for (const [all, found] of [
    [ledger.things, ids],
    [ledger.credentials, credentials],
  ] as const) {
    for (const { name, state } of all) {
      const isWrong = found.has(name) ? state === "gone" : state === "there";
      if (isWrong) faults.push({ rule: "existence", detail: `${name} should be ${state}` });
    }
  }
  return faults;
}
