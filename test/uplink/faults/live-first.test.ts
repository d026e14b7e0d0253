import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { test } from "tap";
import { runRounds } from "./run.ts";

// npm run test:uplink -- --rounds 200 --seed 4711
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    seed: { type: "string" },
    life: { type: "string", default: "600" },
    fault: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed ?? randomInt(2 ** 32));
const lifeMsMax = Number(values.life);

const isNeeded =
  process.env["CI"] !== undefined || spawnSync("mosquitto", ["-h"]).error === undefined;
const skip = values.fault !== undefined || (isNeeded ? false : "not installed: mosquitto");

await test(
  `over ${rounds} bad lines and kills live-first has everything, each of the two in order (seed ${seed})`,
  { timeout: 100_000 + rounds * (10_000 + 2 * lifeMsMax), skip },
  async (t) => {
    t.comment(`again: npm run test:uplink -- --rounds ${rounds} --seed ${seed}`);
    const { faults, ...counts } = await runRounds(t, {
      rounds,
      seed,
      lifeMsMax,
      isLiveFirst: true,
    });
    t.comment(JSON.stringify(counts));
    t.same(faults.slice(0, 20), []);
  },
);
