import { interleave, ratioOf } from "../rounds.ts";
import { aedes } from "../targets/aedes.ts";
import { sluice } from "../targets/sluice.ts";
import type { Group } from "./group.ts";
import { detailsOf, FREE_FAN_IN, freePairs, loadRun } from "./loads.ts";

/** Free topics through the gateway, beside the engine it is built on. */
export const plain: Group = {
  name: "plain",
  measure: async (bench) => {
    const pairs = freePairs({ clean: true });
    const outcomes = await interleave(bench, [
      loadRun(bench, sluice(), FREE_FAN_IN, { name: "sluice, 50 to 1" }),
      loadRun(bench, aedes, FREE_FAN_IN, { name: "aedes, 50 to 1" }),
      loadRun(bench, sluice(), pairs, { name: "sluice, 50 pairs" }),
      loadRun(bench, aedes, pairs, { name: "aedes, 50 pairs" }),
    ]);
    const [oneOurs, oneTheirs, pairsOurs, pairsTheirs] = outcomes;
    const findings = {
      aedes: ratioOf(oneOurs, oneTheirs, ({ value }) => value.perSecond),
      "aedes-pairs": ratioOf(pairsOurs, pairsTheirs, ({ value }) => value.perSecond),
    };
    return { findings, details: detailsOf(outcomes) };
  },
};
