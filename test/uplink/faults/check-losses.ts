import type { RecordedChange } from "../../../src/store/changes.ts";
import type { ChangeClass } from "../../../src/store/keys.ts";
import type { Fault } from "./check.ts";
import type { Received } from "./upstream.ts";

/** An entry of the loss ledger, as the API shows it. */
export type Drop = {
  readonly cause: string;
  readonly class?: string;
  readonly count: number;
  readonly from: string;
  readonly to: string;
};

/** What a gap record says. */
type Gap = {
  readonly from: number;
  readonly to: number;
  readonly class: string;
  readonly cause: string;
  readonly since: string;
  readonly until: string;
};

/** What a number of the uplink turned out to mean. */
type Meaning =
  | { readonly kind: "change"; readonly sequence: number }
  | { readonly kind: "gap"; readonly gap: Gap };

type Losses = {
  readonly changes: readonly RecordedChange[];
  readonly received: readonly Received[];
  readonly drops: readonly Drop[];
  readonly says: (change: RecordedChange) => string;
  readonly said: (message: Received) => string;
};

/**
 * Upstream has all of the log but what gap records name, each in its place: between two changes of a
 * class that came, as many are missing as the gaps between their numbers say, of those times.
 */
export function checkLosses(losses: Losses): readonly Fault[] {
  const { received, drops } = losses;
  const gaps = received.filter(({ topic }) => topic.endsWith("/gaps"));
  const meanings = meaningsOf(received);
  return [
    ...checkNames(received, meanings),
    ...checkPlaces(losses, meanings),
    ...checkSaid(losses),
    ...checkLedger(gaps, drops),
  ];
}

function meaningsOf(received: readonly Received[]): ReadonlyMap<number, Meaning> {
  const meanings = new Map<number, Meaning>();
  for (const { seq, id, topic, payload } of received) {
    if (seq === 0 || meanings.has(seq)) continue;
    const isGap = topic.endsWith("/gaps");
    const gap = isGap ? { kind: "gap" as const, gap: JSON.parse(payload) as Gap } : undefined;
    meanings.set(seq, gap ?? { kind: "change", sequence: sequenceOf(id) });
  }
  return meanings;
}

/** Every number came, or one gap names it; none did both. */
function checkNames(
  received: readonly Received[],
  meanings: ReadonlyMap<number, Meaning>,
): readonly Fault[] {
  const faults: Fault[] = [];
  const named = new Map<number, number>();
  for (const [seq, meaning] of meanings) {
    if (meaning.kind === "change") continue;
    const { from, to } = meaning.gap;
    for (let number = from; number <= to; number += 1) {
      if (named.has(number)) faults.push(numbers(`${number} is named by two gaps`));
      named.set(number, seq);
    }
  }
  const most = Math.max(0, ...meanings.keys());
  for (let seq = 1; seq <= most; seq += 1) {
    const isNamed = named.has(seq) && named.get(seq) !== seq;
    if (meanings.has(seq) && isNamed) faults.push(numbers(`${seq} came, and a gap names it`));
    if (!meanings.has(seq) && !isNamed) {
      faults.push(numbers(`${seq} did not come, and no gap names it`));
    }
  }
  const ids = new Map<number, string>();
  for (const { seq, id } of received) {
    const base = id.slice(0, 26);
    if (seq > 0 && (ids.get(seq) ?? base) !== base) faults.push(numbers(`${seq} has two ids`));
    if (seq > 0) ids.set(seq, base);
  }
  if (new Set(ids.values()).size < ids.size) faults.push(numbers("one id has two numbers"));
  return faults;
}

/** Class by class, along the numbers and along the log. */
function checkPlaces(
  { changes }: Losses,
  meanings: ReadonlyMap<number, Meaning>,
): readonly Fault[] {
  const faults: Fault[] = [];
  const inOrder = [...meanings].sort(([a], [b]) => a - b);
  const classes = new Map(changes.map((change) => [change.sequence, change.class]));
  for (const of of ["property", "action", "event", "data"] as const) {
    const own = changes.filter((change) => change.class === of);
    let next = 0;
    for (const [seq, meaning] of inOrder) {
      if (meaning.kind === "gap") {
        if (meaning.gap.class !== of) continue;
        const { from, to } = meaning.gap;
        const missing = own.slice(next, next + to - from + 1);
        faults.push(...checkTimes(seq, meaning.gap, missing));
        next += to - from + 1;
      } else if (classes.get(meaning.sequence) === of) {
        const wanted = own[next]?.sequence;
        next += 1;
        if (wanted === meaning.sequence) continue;
        faults.push(wrongPlace(of, seq, { wanted, came: meaning.sequence }));
        break;
      }
    }
    if (next !== own.length) {
      const detail = `of ${own.length} changes of ${of} ${next} came or are named by gaps`;
      faults.push({ rule: "complete", detail });
    }
  }
  return faults;
}

function wrongPlace(
  of: ChangeClass,
  seq: number,
  { wanted, came }: { readonly wanted: number | undefined; readonly came: number },
): Fault {
  const detail = `${seq} is ${of} ${came}; next in the log is ${wanted ?? "nothing"}`;
  return { rule: wanted === undefined || came < wanted ? "invented" : "complete", detail };
}

function checkTimes(seq: number, gap: Gap, missing: readonly RecordedChange[]): readonly Fault[] {
  const [since, until] = [Date.parse(gap.since), Date.parse(gap.until)];
  const times = missing.map(({ at }) => at);
  if (since === Math.min(...times) && until === Math.max(...times)) return [];
  return [{ rule: "gaps", detail: `the gap ${seq} is not of the time that is missing` }];
}

/** What came says what the log says, and came at all only if the log says so. */
function checkSaid({ changes, received, says, said }: Losses): readonly Fault[] {
  const bySequence = new Map(changes.map((change) => [change.sequence, change]));
  return received.flatMap((message): readonly Fault[] => {
    if (message.seq === 0 || message.topic.endsWith("/gaps")) return [];
    const change = bySequence.get(sequenceOf(message.id));
    if (change?.class === "thing" || isDescription(message.topic)) return [];
    const came = said(message);
    if (change !== undefined && says(change) === came) return [];
    return [{ rule: "invented", detail: `nothing in the log says ${came} (${message.seq})` }];
  });
}

/** The ledger counts what the gaps name. */
function checkLedger(gaps: readonly Received[], drops: readonly Drop[]): readonly Fault[] {
  const first = new Map(gaps.map(({ seq, payload }) => [seq, JSON.parse(payload) as Gap]));
  const named = new Map<string, number>();
  for (const { cause, class: of, from, to } of first.values()) {
    const kind = `${cause} ${of}`;
    named.set(kind, (named.get(kind) ?? 0) + to - from + 1);
  }
  const counted = new Map<string, number>();
  for (const { cause, class: of = "", count } of drops) {
    const kind = `${cause} ${of}`;
    counted.set(kind, (counted.get(kind) ?? 0) + count);
  }
  const kinds = new Set([...named.keys(), ...counted.keys()]);
  return [...kinds].flatMap((kind): readonly Fault[] => {
    const [a, b] = [named.get(kind) ?? 0, counted.get(kind) ?? 0];
    if (a === b) return [];
    return [{ rule: "gaps", detail: `${kind}: gaps name ${a}, the ledger counts ${b}` }];
  });
}

function numbers(detail: string): Fault {
  return { rule: "numbers", detail };
}

function isDescription(topic: string): boolean {
  return /^status\/[^/]+\/things\/[^/]+$/.test(topic);
}

const CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** The sequence that the id of a change holds. */
export function sequenceOf(id: string): number {
  return Array.from(id.slice(15, 26)).reduce(
    (sum, digit) => sum * 32 + CROCKFORD.indexOf(digit),
    0,
  );
}
