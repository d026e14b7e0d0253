import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { test, type Test } from "tap";
import { PLANTED_FAULTS } from "./faults-planted.ts";
import { plantingEnvironment } from "./plant-hooks.ts";
import { runRounds } from "./run.ts";

// npm run test:crash -- --rounds 200 --seed 4711
// npm run test:crash -- --rounds 5 --life 30000
// npm run test:crash -- --fault all
const { values } = parseArgs({
  options: {
    rounds: { type: "string", default: "20" },
    seed: { type: "string" },
    life: { type: "string", default: "500" },
    fault: { type: "string" },
  },
});
const rounds = Number(values.rounds);
const seed = Number(values.seed ?? randomInt(2 ** 32));
const lifeMsMax = Number(values.life);
const timeout = 100_000 + rounds * (10_000 + 2 * lifeMsMax);

if (values.fault === undefined) {
  await test(
    `in ${rounds} kills nothing acknowledged is lost (seed ${seed})`,
    { timeout },
    survives,
  );
} else {
  const names = values.fault === "all" ? Object.keys(PLANTED_FAULTS) : [values.fault];
  for (const name of names) {
    await test(`it is noticed that ${name} (seed ${seed})`, { timeout }, async (t) =>
      isNoticed(t, name),
    );
  }
}

async function survives(t: Test): Promise<void> {
  t.comment(`again: npm run test:crash -- --rounds ${rounds} --seed ${seed}`);
  const { faults, ...counts } = await runRounds(t, { rounds, seed, lifeMsMax });
  t.comment(JSON.stringify(counts));
  t.same(faults.slice(0, 20), []);
  t.ok(counts.kills >= rounds, "every round had its kill");
  t.ok(counts.acknowledged > rounds * 10, "the gateway was killed at work");
}

async function isNoticed(t: Test, name: string): Promise<void> {
  const planted = PLANTED_FAULTS[name];
  if (planted === undefined) throw new Error(`there is no fault ${name}`);
  const env = plantingEnvironment(name);
  const { faults, kills } = await runRounds(t, { rounds, seed, lifeMsMax, env });
  const found = new Set(faults.map(({ rule }) => rule));
  t.comment(`after ${kills} kills: ${[...found].join(", ")}`);
  t.comment(faults[0]?.detail ?? "");
  if (planted.noticedBy.length === 0) t.same(faults, [], "SIGKILL cannot show it");
  else t.ok(planted.noticedBy.some((rule) => found.has(rule)));
}
