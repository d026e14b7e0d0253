import { randomInt } from "node:crypto";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { test } from "tap";
import { makeDice } from "../crash/dice.ts";
import { takeCensus } from "./census.ts";
import { BATCH, BLOCK, checkCensus } from "./expectations.ts";
import { makeSample } from "./sample.ts";

// node build/test/damage/flip.test.js --flips 500 --seed 4711
const { values } = parseArgs({
  options: { flips: { type: "string", default: "30" }, seed: { type: "string" } },
});
const flips = Number(values.flips);
const seed = Number(values.seed ?? randomInt(2 ** 32));
const timeout = 60_000 + flips * 2_000;

await test(
  `a flipped bit in any file is survived and told (seed ${seed})`,
  { timeout },
  async (t) => {
    const sample = await makeSample(t, "stopped");
    const files = filesIn(sample.path);
    const dice = makeDice(seed);
    for (let number = 0; number < flips; number += 1) {
      const name = files[number % files.length]!;
      const path = sample.copy();
      const what = flip(join(path, name), dice.below(2 ** 31));
      if (what !== undefined) {
        const census = await takeCensus(path, sample.contents);
        checkCensus(t, census, `${name}, ${what}`, lostMaxIn(name));
      }
      rmSync(path, { recursive: true });
    }
  },
);

await test(
  `after SIGKILL a flipped bit in the log costs one batch (seed ${seed})`,
  { timeout },
  async (t) => {
    const sample = await makeSample(t, "killed");
    const log = filesIn(sample.path).find((name) => name.endsWith(".log"))!;
    const dice = makeDice(seed + 1);
    for (let number = 0; number < flips / 4; number += 1) {
      const path = sample.copy();
      const what = flip(join(path, log), dice.below(2 ** 31)) ?? "";
      const census = await takeCensus(path, sample.contents);
      const { lost, reported, events } = census;
      // Nobody can tell a damaged last batch from one that a power cut has torn.
      const isTorn = events.has("store.log_torn") && reported === 0;
      if (isTorn) t.ok((lost["change"] ?? 0) <= BATCH, `${what}: the last batch at most`);
      else checkCensus(t, census, what, 2 * BATCH);
      rmSync(path, { recursive: true });
    }
  },
);

/** A length that is wrong hides the next batch too; other files hold nothing but themselves. */
function lostMaxIn(name: string): number {
  if (name.endsWith(".log")) return 2 * BATCH;
  return name.endsWith(".ldb") ? BLOCK : 0;
}

function filesIn(path: string): readonly string[] {
  return readdirSync(path, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name !== "LOCK")
    .map((entry) => relative(path, join(entry.parentPath, entry.name)))
    .sort();
}

/** @returns what was done; `undefined` for a file without a byte. */
function flip(file: string, choice: number): string | undefined {
  const bytes = readFileSync(file);
  if (bytes.length === 0) return undefined;
  const at = Math.floor(choice / 8) % bytes.length;
  const bit = choice % 8;
  bytes[at] = (bytes[at] ?? 0) ^ (1 << bit);
  writeFileSync(file, bytes);
  return `bit ${bit} of byte ${at}`;
}
