import { parseArgs } from "node:util";
import { fuzzHttp } from "./http-fuzz.ts";
import { fuzzMqtt } from "./mqtt-fuzz.ts";
import type { FuzzRun } from "./rounds.ts";

// npm run fuzz -- --seconds 60 --seed 7 [--only mqtt|http] [--round 123]
// Without a seed one is drawn. Each run prints it: the same seed draws the same rounds.

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string" },
    only: { type: "string" },
    round: { type: "string" },
  },
});

const FUZZERS = { mqtt: fuzzMqtt, http: fuzzHttp } as const;
const SEED_BOUND = 2 ** 31;

const seed = Number(values.seed ?? Math.floor(Math.random() * SEED_BOUND));
const names = (["mqtt", "http"] as const).filter(
  (name) => values.only === undefined || values.only === name,
);
const run: FuzzRun = {
  seed,
  seconds: Number(values.seconds) / names.length,
  ...(values.round === undefined ? {} : { firstRound: Number(values.round), rounds: 1 }),
  onProgress: (line) => console.log(line),
};

console.log(`seed ${seed}`);
try {
  for (const name of names) {
    const { rounds, grownBytes, answers } = await FUZZERS[name](run);
    console.log(`${name}: ${rounds} rounds, memory grew by ${Math.round(grownBytes / 1024)} KiB`);
    console.log(`${name}: answers ${JSON.stringify(answers)}`);
  }
} catch (error) {
  console.error(error);
  process.exitCode = 1;
}
