import { parseArgs } from "node:util";
import { violations } from "./checkers.ts";
import { World } from "./world.ts";

// npm run simulate -- [--seed N] [--rounds N] [--steps N]: one round a seed, from N on. Ends with 1
// and the seed at the first round that breaks an invariant.

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: String(process.pid * 1000) },
    rounds: { type: "string", default: "100" },
    steps: { type: "string", default: "1500" },
  },
});

const first = Number(values.seed);
const rounds = Number(values.rounds);
let changes = 0;
let crashes = 0;
for (let round = 0; round < rounds; round += 1) {
  const seed = first + round;
  const result = await new World(seed).run(Number(values.steps));
  const found = violations(result);
  changes += result.gateway.store.changes.sequence;
  crashes += result.crashes;
  await result.gateway.abandon();
  if (found.length > 0) {
    console.log(`seed ${seed} breaks:\n${found.slice(0, 20).join("\n")}`);
    process.exit(1);
  }
  process.stdout.write(`\r${round + 1}/${rounds} seeds, ${changes} changes, ${crashes} crashes`);
}
console.log(`\nno invariant was broken by the seeds ${first} to ${first + rounds - 1}`);
