import { interleave, ratioOf, valueOf } from "../rounds.ts";
import { sluice } from "../targets/sluice.ts";
import { buildSyncSwitch, syncSwitchMissing } from "../targets/sync-switch.ts";
import { temporaryFolder } from "../targets/target.ts";
import type { Group } from "./group.ts";
import { detailsOf, DURABLE, loadRun, THINGS } from "./loads.ts";

/** The gateway beside itself with its syncs left out: what durability costs. */
export const sync: Group = {
  name: "sync",
  measure: async (bench) => {
    const because = syncSwitchMissing();
    if (because !== undefined) {
      return { findings: { unsynced: { because }, messages: { because } }, details: [] };
    }
    const folder = temporaryFolder("sync");
    try {
      const { env, count } = buildSyncSwitch(folder.path);
      const run = (name: string, skips: boolean) =>
        loadRun(bench, sluice({ things: THINGS, env: env({ skips }) }), DURABLE, {
          name,
          counter: count,
        });
      const outcomes = await interleave(bench, [run("synced", false), run("unsynced", true)]);
      const [synced, unsynced] = outcomes;
      const findings = {
        unsynced: ratioOf(synced, unsynced, ({ value }) => value.perSecond),
        messages: valueOf(synced, ({ value, seen }) => value.messages / Math.max(1, seen.counted)),
      };
      return { findings, details: detailsOf(outcomes) };
    } finally {
      folder.remove();
    }
  },
};
