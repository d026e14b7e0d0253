/** What the historian heard of one message. */
export type Heard = {
  readonly topic: string;
  readonly payload: string;
  readonly marks: Readonly<Record<string, string>>;
};

/** What one gateway accepted, in order per Thing, and where upstream has it. */
export type Accepted = {
  /** The account's topics upstream: `status/plant-7`, or `plants/7/status/site`. */
  readonly root: string;
  readonly things: ReadonlyMap<string, readonly string[]>;
};

export type Verdict = {
  readonly faults: readonly string[];
  /** Messages that came again, under the id they had. */
  readonly repeated: number;
  /** Numbers that gap records name. */
  readonly gaps: number;
};

/**
 * What a historian that dedupes by `id` makes of one gateway: every accepted value once, in order per
 * Thing, none invented, and no hole in `seq` without a gap record that names it.
 */
export function judge({ root, things }: Accepted, heard: readonly Heard[]): Verdict {
  const faults: string[] = [];
  const own = heard.filter(({ topic }) => topic.startsWith(`${root}/`));
  const byId = new Map<string, Heard>();
  let repeated = 0;
  for (const message of own) {
    const { id } = message.marks;
    if (id === undefined) continue;
    const before = byId.get(id);
    if (before === undefined) byId.set(id, message);
    else repeated += 1;
    if (before !== undefined && textOf(before) !== textOf(message)) {
      faults.push(`${root}: ${id} was ${textOf(before)} and is ${textOf(message)}`);
    }
  }
  for (const [thing, expected] of things) {
    const start = `${root}/things/${thing}/properties/`;
    const shown = [...byId.values()].filter(({ topic }) => topic.startsWith(start));
    const values = shown.map(({ payload }) => payload);
    const wrong = [...values, "nothing"].findIndex((value, at) => value !== expected[at]);
    if (values.length === expected.length && wrong === values.length) continue;
    const [is, wanted] = [values[wrong] ?? "nothing", expected[wrong] ?? "nothing"];
    const count = `${values.length} of ${expected.length} values`;
    faults.push(`${root}: ${thing}: ${count}; number ${wrong + 1} is ${is}, not ${wanted}`);
  }
  const named = gapsOf(root, own);
  faults.push(...holesOf(root, [...byId.values()], named));
  return { faults, repeated, gaps: named.size };
}

function textOf({ topic, payload, marks }: Heard): string {
  return `${marks["seq"] ?? "-"} ${topic} ${payload}`;
}

function gapsOf(root: string, own: readonly Heard[]): ReadonlySet<number> {
  const named = new Set<number>();
  for (const { topic, payload } of own) {
    if (!topic.startsWith(`${root}/gateways/`) || !topic.endsWith("/gaps")) continue;
    const { from, to } = JSON.parse(payload) as { readonly from: number; readonly to: number };
    for (let seq = from; seq <= to; seq += 1) named.add(seq);
  }
  return named;
}

function holesOf(
  root: string,
  once: readonly Heard[],
  named: ReadonlySet<number>,
): readonly string[] {
  const known = new Set(named);
  for (const { marks } of once) if (marks["seq"] !== undefined) known.add(Number(marks["seq"]));
  const last = Math.max(0, ...known);
  const holes = Array.from({ length: last }, (_, at) => at + 1).filter((seq) => !known.has(seq));
  return holes.map((seq) => `${root}: nobody says what became of ${seq}`);
}
