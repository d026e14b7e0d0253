import { interleave, ratioOf } from "../rounds.ts";
import { sluice } from "../targets/sluice.ts";
import type { Group } from "./group.ts";
import { detailsOf, DURABLE, loadRun, THINGS, type Load } from "./loads.ts";

const FREEZES = { presence: "frozen" } as const;

/** One at QoS 0, whose socket fills, and one at QoS 1, whose window and queue do. */
const FROZEN: Load = {
  ...DURABLE,
  subscribers: [
    ...DURABLE.subscribers,
    ...DURABLE.subscribers.map((plan) => ({ ...plan, qos: 0 as const, ...FREEZES })),
    ...DURABLE.subscribers.map((plan) => ({ ...plan, ...FREEZES })),
  ],
};

/** A healthy subscriber beside two of the same topics that read nothing. */
export const frozen: Group = {
  name: "frozen",
  measure: async (bench) => {
    const target = sluice({ things: THINGS });
    const outcomes = await interleave(bench, [
      loadRun(bench, target, FROZEN, { name: "beside frozen ones" }),
      loadRun(bench, target, DURABLE, { name: "without" }),
    ]);
    const [beside, without] = outcomes;
    const findings = { healthy: ratioOf(beside, without, ({ value }) => value.perSecond) };
    return { findings, details: detailsOf(outcomes) };
  },
};
