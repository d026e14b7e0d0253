import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { test, type Test } from "tap";
import { plantingEnvironment } from "./plant-hooks.ts";
import { PLANTED_FAULTS } from "./planted.ts";
import { runRounds } from "./run.ts";

// npm run test:uplink -- --rounds 200 --seed 4711
// npm run test:uplink -- --rounds 20 --fault all
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
const timeout = 100_000 + rounds * (10_000 + 2 * lifeMsMax);

const hasMosquitto = spawnSync("mosquitto", ["-h"]).error === undefined;
const skip = hasMosquitto || process.env["CI"] !== undefined ? false : "not installed: mosquitto";

if (values.fault === undefined) {
  await test(
    `over ${rounds} bad lines and kills upstream gets everything, and is obeyed once (seed ${seed})`,
    { timeout, skip },
    survives,
  );
  await test(
    `what small bounds drop meanwhile is named by gap records in its place (seed ${seed})`,
    { timeout, skip },
    namesLosses,
  );
} else {
  const names = values.fault === "all" ? Object.keys(PLANTED_FAULTS) : [values.fault];
  for (const name of names) {
    await test(`it is noticed that ${name} (seed ${seed})`, { timeout, skip }, async (t) =>
      isNoticed(t, name),
    );
  }
}

async function survives(t: Test): Promise<void> {
  t.comment(`again: npm run test:uplink -- --rounds ${rounds} --seed ${seed}`);
  const { faults, ...counts } = await runRounds(t, { rounds, seed, lifeMsMax });
  t.comment(JSON.stringify(counts));
  t.same(faults.slice(0, 20), []);
  t.ok(counts.kills > 0, "the gateway was killed");
  t.ok(counts.written > rounds * 5, "devices had something to say");
}

async function namesLosses(t: Test): Promise<void> {
  const { faults, ...counts } = await runRounds(t, { rounds, seed, lifeMsMax, isSmall: true });
  t.comment(JSON.stringify(counts));
  t.same(faults.slice(0, 20), []);
  t.ok(counts.dropped > rounds, "bounds were gone over");
}

async function isNoticed(t: Test, name: string): Promise<void> {
  const planted = PLANTED_FAULTS[name];
  if (planted === undefined) throw new Error(`there is no fault ${name}`);
  const env = plantingEnvironment(name);
  const { isSmall = false } = planted;
  const { faults, kills } = await runRounds(t, { rounds, seed, lifeMsMax, env, isSmall });
  const found = new Set(faults.map(({ rule }) => rule));
  t.comment(`after ${kills} kills: ${[...found].join(", ")}; ${faults[0]?.detail ?? ""}`);
  t.ok(planted.noticedBy.some((rule) => found.has(rule)));
}
