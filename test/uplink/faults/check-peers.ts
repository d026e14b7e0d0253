import type { RecordedChange } from "../../../src/store/changes.ts";
import type { Write } from "./devices.ts";

export type PeerRule =
  /** Both sides hold the same values. */
  | "converge"
  /** What only one side says does not come back to it from the other. */
  | "echo"
  /** What is accepted below is above, in order per Thing. */
  | "complete"
  | "order"
  /** Nothing is on one side that nobody did. */
  | "invented"
  /** A request made above is made below once, and its end is told above. */
  | "once";

export type PeerFault = { readonly rule: PeerRule; readonly detail: string };

/** What a gateway has on disk. */
export type Side = {
  readonly changes: readonly RecordedChange[];
  /** `Thing.id` by `Thing.number`. */
  readonly things: ReadonlyMap<number, string>;
  /** A client that was not answered says it again: so often at the most, of one property. */
  readonly repeatedMax: number;
};

type PeerEvidence = {
  readonly below: Side;
  readonly above: Side;
  /** What devices reported below. */
  readonly writes: readonly Write[];
  /** All values, when everything had its time. */
  readonly values: readonly [below: string, above: string];
};

export function checkPeers(evidence: PeerEvidence): readonly PeerFault[] {
  const { below, above, values, writes } = evidence;
  const faults: PeerFault[] = [];
  if (values[0] !== values[1]) {
    faults.push({ rule: "converge", detail: `below ${values[0]}, above ${values[1]}` });
  }
  const [mine, theirs] = [saidBy(below), saidBy(above)];
  const there = new Set(mine.values());
  for (const { kind, thing, value, isAcknowledged } of writes) {
    if (isAcknowledged && !there.has(`${thing} ${kind} ${value}`)) {
      faults.push({ rule: "complete", detail: `${thing} ${kind} ${value} is not below` });
    }
  }
  faults.push(...checkUp(mine, theirs), ...checkSetpoint(below, above));
  faults.push(...checkEchoes(below, "level"), ...checkEchoes(above, "setpoint"));
  return [...faults, ...checkRequests(below, above)];
}

/** What devices reported, each once, as it first came. */
function saidBy({ changes, things }: Side): ReadonlySet<string> {
  const said = new Set<string>();
  for (const change of changes) {
    const thing = things.get(change.thing);
    if (change.class === "event") said.add(`${thing} event ${JSON.stringify(change.data)}`);
    if (change.class === "data")
      said.add(`${thing} data ${JSON.stringify(change.content["value"])}`);
    if (change.class === "property" && change.values["level"] !== undefined) {
      said.add(`${thing} property ${JSON.stringify(change.values["level"])}`);
    }
  }
  return said;
}

function checkUp(mine: ReadonlySet<string>, theirs: ReadonlySet<string>): readonly PeerFault[] {
  const faults: PeerFault[] = [];
  for (const said of theirs) {
    if (!mine.has(said)) faults.push({ rule: "invented", detail: `${said} is above only` });
  }
  for (const said of mine) {
    if (!theirs.has(said)) faults.push({ rule: "complete", detail: `${said} is not above` });
  }
  if (faults.length > 0) return faults;
  const byThing = (all: ReadonlySet<string>): readonly string[] =>
    [...all].sort((a, b) => (a.split(" ")[0] ?? "").localeCompare(b.split(" ")[0] ?? ""));
  const theirsByThing = byThing(theirs);
  for (const [index, said] of byThing(mine).entries()) {
    const came = theirsByThing[index];
    if (came !== said) return [{ rule: "order", detail: `${came} is where ${said} belongs` }];
  }
  return [];
}

/** Only those above set it: below has nothing else, and it never goes back for good. */
function checkSetpoint(below: Side, above: Side): readonly PeerFault[] {
  const setIn = ({ changes }: Side): readonly number[] =>
    changes.flatMap((change) => {
      const value = change.class === "property" ? change.values["setpoint"] : undefined;
      return typeof value === "number" ? [value] : [];
    });
  const theirs = new Set(setIn(above));
  const faults: PeerFault[] = [];
  let newest = 0;
  const seen = new Set<number>();
  for (const value of setIn(below)) {
    if (!theirs.has(value)) faults.push({ rule: "invented", detail: `setpoint ${value} is below` });
    if (!seen.has(value) && value < newest) {
      faults.push({ rule: "order", detail: `setpoint ${value} came behind ${newest}` });
    }
    seen.add(value);
    newest = Math.max(newest, value);
  }
  return faults;
}

function checkEchoes({ changes, things, repeatedMax }: Side, name: string): readonly PeerFault[] {
  const times = new Map<string, { count: number; readonly values: Set<unknown> }>();
  for (const change of changes) {
    if (change.class !== "property" || change.values[name] === undefined) continue;
    const thing = things.get(change.thing) ?? "";
    const seen = times.get(thing) ?? { count: 0, values: new Set() };
    seen.count += 1;
    seen.values.add(change.values[name]);
    times.set(thing, seen);
  }
  return [...times].flatMap(([thing, { count, values }]): readonly PeerFault[] => {
    if (count - values.size <= repeatedMax) return [];
    const detail = `${name} of ${thing} was set ${count} times to ${values.size} values`;
    return [{ rule: "echo", detail }];
  });
}

function checkRequests(below: Side, above: Side): readonly PeerFault[] {
  const asked = requestsOf(above);
  const made = requestsOf(below);
  const faults: PeerFault[] = [];
  for (const [input, requests] of asked) {
    const own = made.get(input) ?? [];
    if (requests.length !== 1 || own.length !== 1) {
      const detail = `request ${input}: ${requests.length} above, ${own.length} below`;
      faults.push({ rule: "once", detail });
    }
    for (const [side, all] of [["above", requests] as const, ["below", own] as const]) {
      const open = all.filter((status) => status !== "completed");
      if (open.length > 0) {
        faults.push({ rule: "once", detail: `request ${input} is ${open.join()} ${side}` });
      }
    }
  }
  for (const input of made.keys()) {
    if (!asked.has(input)) faults.push({ rule: "invented", detail: `request ${input} is below` });
  }
  return faults;
}

/** The last status of each request, by what it was asked with. */
function requestsOf({ changes }: Side): ReadonlyMap<string, readonly string[]> {
  const last = new Map<number, { readonly input: string; readonly status: string }>();
  for (const change of changes) {
    if (change.class !== "action") continue;
    last.set(change.request, { input: JSON.stringify(change.input), status: change.status });
  }
  const byInput = new Map<string, readonly string[]>();
  for (const { input, status } of last.values()) {
    byInput.set(input, [...(byInput.get(input) ?? []), status]);
  }
  return byInput;
}
