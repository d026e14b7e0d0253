import { spawnSync } from "node:child_process";
import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { test } from "tap";
import { judge, type Accepted, type Heard } from "./fleet-check.ts";
import { runFleet } from "./fleet.ts";

// npm run fleet -- --gateways 50 --changes 150 --seed 4711
const { values } = parseArgs({
  options: {
    gateways: { type: "string", default: "50" },
    changes: { type: "string", default: "9" },
    seed: { type: "string" },
  },
});
const gateways = Number(values.gateways);
const changes = Number(values.changes);
const seed = Number(values.seed ?? randomInt(2 ** 32));
const timeout = 100_000 + gateways * 20_000;

const hasMosquitto = spawnSync("mosquitto", ["-h"]).error === undefined;
const skip = hasMosquitto || process.env["CI"] !== undefined ? false : "not installed: mosquitto";

await test(
  `a historian has all that ${gateways} gateways accepted, over a restart of their broker (seed ${seed})`,
  { timeout, skip },
  async (t) => {
    const { faults, ...report } = await runFleet(t, { gateways, changes, seed });
    t.comment(JSON.stringify({ gateways, changes, ...report }));
    t.same(faults.slice(0, 20), []);
    t.equal(report.gaps, 0, "nothing was dropped");
  },
);

const ROOT = "status/plant-1";
const TOPIC = `${ROOT}/things/boiler/properties/p`;
const ACCEPTED: Accepted = { root: ROOT, things: new Map([["boiler", ["1", "2", "3"]]]) };
const value = (seq: number, payload = String(seq), id = `id-${seq}`): Heard => ({
  ...{ topic: TOPIC, payload, marks: { id, seq: String(seq) } },
});
const gap = (from: number, to: number): Heard => ({
  ...{ topic: `${ROOT}/gateways/g/gaps`, payload: JSON.stringify({ from, to }), marks: {} },
});

const CASES: readonly [what: string, heard: readonly Heard[], fault: RegExp | undefined][] = [
  ["all, in order", [value(1), value(2), value(3)], undefined],
  ["one twice", [value(1), value(2), value(1), value(3)], undefined],
  [
    "another gateway's",
    [{ ...value(9), topic: `status/plant-10/x` }, value(1), value(2), value(3)],
    undefined,
  ],
  ["a hole that a gap names", [value(1), value(2), gap(3, 4), value(5, "3")], undefined],
  ["a hole", [value(1), value(2), value(4, "3")], /what became of 3/],
  ["the last is missing", [value(1), value(2)], /2 of 3 values; number 3 is nothing, not 3/],
  ["the wrong way round", [value(2), value(1), value(3)], /number 1 is 2, not 1/],
  ["one too many", [value(1), value(2), value(3), value(4)], /4 of 3 values; number 4 is 4/],
  ["an id for two", [value(1), value(2), value(3), value(3, "4")], /id-3 was .* 3 and is .* 4/],
  ["the same under a new id", [value(1), value(2), value(3), value(3, "3", "new")], /4 of 3/],
];

for (const [what, heard, fault] of CASES) {
  await test(`the historian judges ${what}`, (t) => {
    const { faults } = judge(ACCEPTED, heard);
    if (fault === undefined) t.same(faults, []);
    else t.match(faults.join("\n"), fault);
    t.end();
  });
}
