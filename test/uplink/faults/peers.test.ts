import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { test } from "tap";
import { runPeers } from "./peer-run.ts";

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

await test(
  `over ${rounds} bad lines and kills a gateway and the one above it come to agree (seed ${seed})`,
  { timeout: 200_000 + rounds * (10_000 + 2 * lifeMsMax), skip: values.fault !== undefined },
  async (t) => {
    t.comment(`again: npm run test:uplink -- --rounds ${rounds} --seed ${seed}`);
    const { faults, ...counts } = await runPeers(t, { rounds, seed, lifeMsMax });
    t.comment(JSON.stringify(counts));
    t.same(faults.slice(0, 20), []);
    t.ok(counts.kills > 0, "gateways were killed");
    t.ok(counts.written > rounds * 5, "devices and people had something to say");
  },
);
