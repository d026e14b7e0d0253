import { interleave, valueOf } from "../rounds.ts";
import { mosquitto } from "../targets/mosquitto.ts";
import { sluice } from "../targets/sluice.ts";
import type { Group } from "./group.ts";
import { detailsOf, DURABLE, FORWARDED, loadRun, THINGS } from "./loads.ts";

const CALM_PER_S = 1_000;

/** What a message costs the flash; and what it waits when there is no queue. */
export const disk: Group = {
  name: "disk",
  measure: async (bench) => {
    const target = sluice({ things: THINGS });
    const calm = { rate: CALM_PER_S };
    const outcomes = await interleave(bench, [
      loadRun(bench, target, DURABLE, { name: "sluice, saturated" }),
      loadRun(bench, target, { ...DURABLE, ...calm }, { name: "sluice, 1,000/s" }),
      loadRun(
        bench,
        mosquitto,
        { ...FORWARDED, ...calm },
        {
          name: "mosquitto, 1,000/s",
        },
      ),
    ]);
    const [saturated, atRate] = outcomes;
    const findings = {
      saturated: valueOf(saturated, ({ value, seen }) => seen.bytesWritten / value.messages),
      [CALM_PER_S]: valueOf(atRate, ({ value, seen }) => seen.bytesWritten / value.messages),
    };
    return { findings, details: detailsOf(outcomes) };
  },
};
