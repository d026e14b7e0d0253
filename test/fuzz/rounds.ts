import { makeDice, type Dice } from "../crash/dice.ts";
import { heapBytes, startTarget, type Target } from "./target.ts";

/** How long, and where to begin: a round depends on the seed and its number only. */
export type FuzzRun = {
  readonly seed: number;
  readonly seconds: number;
  /** Ends after so many rounds, if the time is not over before. */
  readonly rounds?: number;
  readonly firstRound?: number;
  readonly onProgress?: (line: string) => void;
};

export type FuzzReport = {
  readonly seed: number;
  readonly rounds: number;
  /** How much more memory was in use at the end than after the first rounds. */
  readonly grownBytes: number;
  /** What was answered and how often: a run that only hears refusals reaches nothing. */
  readonly answers: Readonly<Record<string, number>>;
};

/** What a fuzzer does with a gateway of its own. */
export type Attack = {
  readonly round: (dice: Dice, number: number) => Promise<void>;
  /** After each round: everybody else is served as ever. */
  readonly check: () => Promise<void>;
  readonly end: () => Promise<void>;
  readonly answers: Readonly<Record<string, number>>;
};

/** Rounds until caches and tables have the size they keep. */
const WARM_UP_ROUNDS = 40;
const GROWTH_BYTES_MAX = 64 * 1024 * 1024;
const PROGRESS_EVERY_MS = 10_000;

/** @throws what went wrong, with the seed and the round that showed it. */
export async function runRounds(
  name: string,
  run: FuzzRun,
  prepare: (target: Target) => Promise<Attack>,
): Promise<FuzzReport> {
  const { seed, seconds, rounds: roundsMax = Infinity, firstRound = 0 } = run;
  const target = await startTarget();
  let number = firstRound;
  try {
    const attack = await prepare(target);
    const startedMs = performance.now();
    let toldMs = startedMs;
    let warmBytes: number | undefined;
    while (performance.now() - startedMs < seconds * 1_000 && number - firstRound < roundsMax) {
      await attack.round(makeDice(seed).fork(`${name} ${number}`), number);
      await attack.check();
      requireNothingWrong(target);
      number += 1;
      if (number - firstRound === WARM_UP_ROUNDS) warmBytes = heapBytes();
      if (performance.now() - toldMs < PROGRESS_EVERY_MS) continue;
      toldMs = performance.now();
      run.onProgress?.(`${name}: seed ${seed}, round ${number}`);
    }
    await attack.end();
    requireNothingWrong(target);
    const grownBytes = warmBytes === undefined ? 0 : heapBytes() - warmBytes;
    if (grownBytes > GROWTH_BYTES_MAX) throw new Error(`memory grew by ${grownBytes} bytes`);
    const { answers } = attack;
    return { seed, rounds: number - firstRound, grownBytes, answers };
  } catch (cause) {
    const what = cause instanceof Error ? cause.message : String(cause);
    throw new Error(
      `${name}: seed ${seed}, round ${number} (rounds from ${firstRound}): ${what}\n` +
        [...target.wrongs(), "lately:", ...target.lately()].join("\n"),
      { cause },
    );
  } finally {
    await target.stop();
  }
}

function requireNothingWrong(target: Target): void {
  const wrongs = target.wrongs();
  if (wrongs.length > 0) throw new Error("something was thrown or logged as an error");
  const polluted = Object.keys(Object.prototype);
  if (polluted.length > 0 || "polluted" in {}) throw new Error("Object.prototype was changed");
}
