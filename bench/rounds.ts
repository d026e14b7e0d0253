import { spreadOf, type Spread } from "./statistics.ts";
import type { Observed } from "./watch.ts";

/** How long and how often. */
export type Bench = {
  readonly rounds: number;
  readonly warmupMs: number;
  readonly measureMs: number;
  /** Tells the one who waits what is going on. */
  readonly say: (text: string) => void;
};

/** Somebody who is measured round by round. */
export type Run<Value> = {
  readonly name: string;
  /** Why it cannot be; `undefined`: it can. */
  readonly missing?: () => string | undefined;
  readonly measure: () => Promise<Observed<Value>>;
  /** One line for the one who waits. */
  readonly describe: (value: Value) => string;
};

/** What a run did, in the rounds it went through. */
export type Outcome<Value> = {
  readonly name: string;
  readonly rounds: readonly Observed<Value>[];
  /** Why it was not measured, or not in every round. */
  readonly because: string | undefined;
};

/**
 * A B C A B C …: what disturbs the machine for a while disturbs all alike. A run that fails takes no
 * further part; the others go on.
 */
export async function interleave<Value>(
  bench: Bench,
  runs: readonly Run<Value>[],
): Promise<readonly Outcome<Value>[]> {
  const found = runs.map((run) => ({
    name: run.name,
    rounds: [] as Observed<Value>[],
    because: run.missing?.(),
  }));
  for (let round = 1; round <= bench.rounds; round += 1) {
    for (const [nth, run] of runs.entries()) {
      const outcome = found[nth];
      if (outcome === undefined || outcome.because !== undefined) continue;
      const title = `${run.name}, round ${round}`;
      try {
        const observed = await run.measure();
        outcome.rounds.push(observed);
        bench.say(`${title}: ${run.describe(observed.value)}, ${machineOf(observed)}`);
      } catch (error) {
        outcome.because = error instanceof Error ? error.message : String(error);
        bench.say(`${title}: failed: ${outcome.because}`);
      }
    }
  }
  return found;
}

/** What a row of the table says. */
export type Finding =
  | {
      readonly spread: Spread;
      readonly rounds: number;
      /** Rounds in which something else used the machine. */
      readonly disturbed: number;
    }
  | { readonly because: string };

/** A value of each round of one run. */
export function valueOf<Value>(
  outcome: Outcome<Value> | undefined,
  value: (observed: Observed<Value>) => number,
): Finding {
  return combine([outcome], (observed) => observed.map(value)[0] ?? NaN);
}

/** One run's value over another's, round by round. */
export function ratioOf<Value>(
  ours: Outcome<Value> | undefined,
  theirs: Outcome<Value> | undefined,
  value: (observed: Observed<Value>) => number,
): Finding {
  return combine([ours, theirs], (observed) => {
    const [one = NaN, other = NaN] = observed.map(value);
    return one / other;
  });
}

/** Rounds that all of them went through. */
function combine<Value>(
  outcomes: readonly (Outcome<Value> | undefined)[],
  value: (observed: readonly Observed<Value>[]) => number,
): Finding {
  const values: number[] = [];
  let disturbed = 0;
  const rounds = Math.min(...outcomes.map((outcome) => outcome?.rounds.length ?? 0));
  for (let round = 0; round < rounds; round += 1) {
    const observed = outcomes.map((outcome) => outcome?.rounds[round]);
    const there = observed.filter((each) => each !== undefined);
    if (there.length < outcomes.length) continue;
    values.push(value(there));
    if (there.some(({ seen }) => seen.isDisturbed)) disturbed += 1;
  }
  if (values.length > 0) return { spread: spreadOf(values), rounds: values.length, disturbed };
  const because = outcomes.find((outcome) => outcome?.because !== undefined)?.because;
  return { because: because ?? "no round was measured" };
}

function machineOf({ seen }: Observed<unknown>): string {
  const percent = (part: number): string => `${Math.round(part * 100)} %`;
  const mark = seen.isDisturbed ? " DISTURBED" : "";
  return `broker ${percent(seen.brokerCpu)}, others ${percent(seen.foreignCpu)}${mark}`;
}
