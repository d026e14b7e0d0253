import type { RecordedChange } from "../../../src/store/changes.ts";
import { checkLosses, sequenceOf, type Drop } from "./check-losses.ts";
import type { Write } from "./devices.ts";
import type { Command, Received } from "./upstream.ts";

export type Rule =
  /** An acknowledged write is in the log. */
  | "acknowledged"
  /** Every change of the log is upstream, under a number of its own, and says the same. */
  | "complete"
  /** Nothing is upstream that is not in the log. */
  | "invented"
  /** Numbers count up without a hole; one number is one id and says one thing. */
  | "numbers"
  /** Of each Thing, what came first came in the order of the log. */
  | "order"
  /** A gap record is of the time that is missing, and the loss ledger counts what gaps name. */
  | "gaps"
  /** A command is applied once, and its end is told. */
  | "once"
  /** No device is told of a request whose time is over. */
  | "late";

export type Fault = { readonly rule: Rule; readonly detail: string };

export type Evidence = {
  /** Of the log, behind the moment the uplink was made, by sequence. */
  readonly changes: readonly RecordedChange[];
  /** `Thing.id` by `Thing.number`. */
  readonly things: ReadonlyMap<number, string>;
  readonly writes: readonly Write[];
  readonly received: readonly Received[];
  readonly commands: readonly Command[];
  readonly told: ReadonlyMap<number, readonly number[]>;
  /** The loss ledger; absent: nothing may be lost. */
  readonly drops?: readonly Drop[] | undefined;
  /** What is new goes beside the backlog: each of the two has its order. */
  readonly isLiveFirst?: boolean;
};

/** What is wrong when everything has had its time to arrive. */
export function checkAll(evidence: Evidence): readonly Fault[] {
  return [
    ...checkWrites(evidence),
    ...checkUp(evidence),
    ...checkOrder(evidence),
    ...checkCommands(evidence),
    ...checkTimes(evidence),
  ];
}

function checkUp(evidence: Evidence): readonly Fault[] {
  const { changes, things, received, drops } = evidence;
  if (evidence.isLiveFirst === true) return [...checkNumbers(received), ...checkEach(evidence)];
  if (drops === undefined) return [...checkNumbers(received), ...checkComplete(evidence)];
  const says = (change: RecordedChange): string => {
    return `${things.get(change.thing)} ${sayingOf(change)}`;
  };
  const said = ({ topic, payload }: Received): string => saidBy(topic, payload);
  return checkLosses({ changes, received, drops, says, said });
}

function checkWrites({ changes, things, writes }: Evidence): Fault[] {
  const there = new Set(changes.map((change) => `${things.get(change.thing)} ${markOf(change)}`));
  return writes
    .filter(({ isAcknowledged }) => isAcknowledged)
    .filter(({ kind, thing, value }) => !there.has(`${thing} ${kind} ${value}`))
    .map(({ kind, thing, value }) => {
      return { rule: "acknowledged", detail: `${kind} ${value} of ${thing} is not in the log` };
    });
}

function markOf(change: RecordedChange): string {
  switch (change.class) {
    case "property":
      return `property ${JSON.stringify(change.values["level"])}`;
    case "event":
      return `event ${JSON.stringify(change.data)}`;
    case "data":
      return `data ${JSON.stringify(change.content["value"])}`;
    case "action":
    case "thing":
      return change.class;
  }
}

/** Presence and gaps have no number. */
function numbered(received: readonly Received[]): readonly Received[] {
  return received.filter(({ seq }) => seq > 0);
}

function checkNumbers(received: readonly Received[]): Fault[] {
  const faults: Fault[] = [];
  const first = new Map<string, Received>();
  const idOf = new Map<number, string>();
  for (const message of numbered(received)) {
    const { id, seq, topic, payload } = message;
    const before = first.get(id);
    if (before === undefined) first.set(id, message);
    else if (before.topic !== topic || before.payload !== payload || before.seq !== seq) {
      faults.push({ rule: "numbers", detail: `${id} says this and that` });
    }
    const base = id.slice(0, 26);
    if ((idOf.get(seq) ?? base) !== base) {
      faults.push({ rule: "numbers", detail: `${seq} has two ids` });
    }
    idOf.set(seq, base);
  }
  const most = Math.max(0, ...idOf.keys());
  for (let seq = 1; seq <= most; seq += 1) {
    if (!idOf.has(seq)) faults.push({ rule: "numbers", detail: `${seq} did not come` });
  }
  if (new Set(idOf.values()).size < idOf.size) {
    faults.push({ rule: "numbers", detail: "one id has two numbers" });
  }
  for (const { topic, payload } of received) {
    if (topic.endsWith("/gaps")) faults.push({ rule: "complete", detail: `a gap: ${payload}` });
  }
  return faults;
}

function checkOrder({ received, isLiveFirst }: Evidence): Fault[] {
  const faults: Fault[] = [];
  const seen = new Set<string>();
  const newest = new Map<string, number>();
  for (const { id, seq, topic, isBacklog } of numbered(received)) {
    if (seen.has(id) || topic.endsWith("/gaps")) continue;
    seen.add(id);
    const isBeside = isLiveFirst === true && isBacklog;
    const stream = `${thingOf(topic)}${isBeside ? ", backlog" : ""}`;
    const before = newest.get(stream) ?? 0;
    const place = isLiveFirst === true ? sequenceOf(id) : seq;
    if (place < before) {
      faults.push({ rule: "order", detail: `${stream}: ${place} came behind ${before}` });
    }
    newest.set(stream, Math.max(before, place));
  }
  return faults;
}

function thingOf(topic: string): string {
  const levels = topic.split("/");
  return (levels[0] === "status" ? levels[3] : levels[2]) ?? "";
}

/** The log and what came, both in their order, have to be the same, one for one. */
function checkComplete({ changes, things, received }: Evidence): Fault[] {
  const bySeq = new Map<number, string>();
  for (const { seq, topic, payload } of numbered(received)) {
    const isDescription = /^status\/[^/]+\/things\/[^/]+$/.test(topic);
    if (!isDescription && !bySeq.has(seq)) bySeq.set(seq, saidBy(topic, payload));
  }
  const came = [...bySeq].sort(([a], [b]) => a - b).map(([, said]) => said);
  const owed = changes.filter((change) => change.class !== "thing");
  for (const [index, change] of owed.entries()) {
    const wanted = `${things.get(change.thing)} ${sayingOf(change)}`;
    const said = came[index];
    if (said === wanted) continue;
    const rule = said !== undefined && came.length > owed.length ? "invented" : "complete";
    const detail = `change ${change.sequence} is ${wanted}; came ${said ?? "nothing"}`;
    return [{ rule, detail }];
  }
  if (came.length === owed.length) return [];
  return [{ rule: "invented", detail: `nothing in the log says ${came[owed.length]}` }];
}

/** The same by ids, where numbers are given in another order than that of the log. */
function checkEach({ changes, things, received }: Evidence): Fault[] {
  const came = new Map<number, string>();
  for (const { id, topic, payload } of numbered(received)) {
    const isDescription = /^status\/[^/]+\/things\/[^/]+$/.test(topic);
    if (!isDescription) came.set(sequenceOf(id), saidBy(topic, payload));
  }
  const faults: Fault[] = [];
  for (const change of changes) {
    if (change.class === "thing") continue;
    const wanted = `${things.get(change.thing)} ${sayingOf(change)}`;
    const said = came.get(change.sequence);
    came.delete(change.sequence);
    if (said === wanted) continue;
    const detail = `change ${change.sequence} is ${wanted}; came ${said ?? "nothing"}`;
    faults.push({ rule: said === undefined ? "complete" : "invented", detail });
  }
  for (const said of came.values()) {
    faults.push({ rule: "invented", detail: `nothing in the log says ${said}` });
  }
  return faults;
}

function sayingOf(change: RecordedChange): string {
  switch (change.class) {
    case "property":
      return `property ${JSON.stringify(change.values)}`;
    case "event":
      return `event ${JSON.stringify(change.data)}`;
    case "data":
      return `data ${JSON.stringify(change.content)}`;
    case "action":
      return `action ${change.status} ${JSON.stringify(change.input)}`;
    case "thing":
      return "thing";
  }
}

function saidBy(topic: string, payload: string): string {
  const thing = thingOf(topic);
  const content = JSON.parse(payload) as Record<string, Record<string, unknown>>;
  const [, , , , kind] = topic.split("/");
  if (kind === undefined) return `${thing} data ${payload}`;
  const [inner = {}] = Object.values(content);
  if (kind === "properties") return `${thing} property ${payload}`;
  if (kind === "events") return `${thing} event ${JSON.stringify(inner["data"])}`;
  return `${thing} action ${String(inner["status"])} ${JSON.stringify(inner["input"])}`;
}

function checkCommands({ changes, commands, told }: Evidence): Fault[] {
  const applied = new Map<string, RecordedChange[]>();
  const last = new Map<number, string>();
  const add = (key: string, change: RecordedChange): void => {
    applied.set(key, [...(applied.get(key) ?? []), change]);
  };
  for (const change of changes) {
    if (change.class === "property" && change.values["setpoint"] !== undefined) {
      add(`value ${JSON.stringify(change.values["setpoint"])}`, change);
    }
    if (change.class !== "action") continue;
    last.set(change.request, change.status);
    if (change.request === change.sequence) add(`request ${JSON.stringify(change.input)}`, change);
  }
  return commands.flatMap((command): Fault[] => {
    const { kind, k, expiryS } = command;
    const times = applied.get(`${kind} ${k}`) ?? [];
    const detail = `${kind} ${k}`;
    if (times.length > 1) return [{ rule: "once", detail: `${detail} was applied twice` }];
    const [change] = times;
    if (change === undefined) {
      // Its broker may have forgotten it in time, and need not say so.
      if (expiryS !== undefined) return [];
      return [{ rule: "once", detail: `${detail} was not applied` }];
    }
    if (change.class !== "action") return [];
    const status = last.get(change.request);
    const isTold = told.has(k);
    if (status === "completed" && isTold) return [];
    if (status === "expired" && command.timeoutS !== undefined) return [];
    // What is left of a message at its broker bounds the life of the request.
    if (status === "expired" && expiryS !== undefined) return [];
    return [{ rule: "once", detail: `${detail} ended as ${status}${isTold ? ", done" : ""}` }];
  });
}

/** A line that stalls holds a command back and is not away: so long it may look new. */
const STALLED_MS_MAX = 1_500;

function checkTimes({ commands, told }: Evidence): Fault[] {
  return commands.flatMap(({ k, kind, timeoutS, sentMs }): Fault[] => {
    if (kind !== "request" || timeoutS === undefined) return [];
    const latest = Math.max(0, ...(told.get(k) ?? []));
    const lateMs = latest - (sentMs + timeoutS * 1_000);
    if (lateMs <= STALLED_MS_MAX) return [];
    return [{ rule: "late", detail: `request ${k} came ${Math.round(lateMs)} ms too late` }];
  });
}
