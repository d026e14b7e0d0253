import { interleave, ratioOf, valueOf } from "../rounds.ts";
import { mosquitto } from "../targets/mosquitto.ts";
import { sluice } from "../targets/sluice.ts";
import type { Group } from "./group.ts";
import { detailsOf, freePairs, loadRun } from "./loads.ts";

/** QoS 1 to subscribers with persistent sessions: each message is owed on disk before its PUBACK. */
export const persistent: Group = {
  name: "persistent",
  measure: async (bench) => {
    const load = freePairs({ clean: false });
    const outcomes = await interleave(bench, [
      loadRun(bench, sluice(), load),
      loadRun(bench, mosquitto, load),
    ]);
    const [ours, theirs] = outcomes;
    const findings = {
      mosquitto: ratioOf(ours, theirs, ({ value }) => value.perSecond),
      lost: valueOf(ours, ({ value }) => value.lost),
      reordered: valueOf(ours, ({ value }) => value.reordered),
    };
    return { findings, details: detailsOf(outcomes) };
  },
};
