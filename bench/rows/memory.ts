import { pause } from "../generator/pace.ts";
import { residentBytesOf } from "../machine.ts";
import { observe } from "../observe.ts";
import { interleave, valueOf, type Run } from "../rounds.ts";
import { sluice } from "../targets/sluice.ts";
import type { Group } from "./group.ts";
import { detailsOf, DURABLE, loadRun, THINGS } from "./loads.ts";

const CONNECTIONS = 1_000;
/** What a start, or a thousand CONNECTs, need for a moment only is given back within this. */
const SETTLE_MS = 2_000;

/** Resident memory of the gateway: alone, with idle connections, and at saturation. */
export const memory: Group = {
  name: "memory",
  measure: async (bench) => {
    const [resting] = await interleave(bench, [restingRun()]);
    const working = await interleave(bench, [
      loadRun(bench, sluice({ things: THINGS }), DURABLE, { name: "saturated" }),
    ]);
    const findings = {
      idle: valueOf(resting, ({ value }) => value.idleBytes / 1e6),
      connections: valueOf(resting, ({ seen }) => seen.residentBytes / 1e6),
      saturated: valueOf(working[0], ({ seen }) => seen.residentBytesMax / 1e6),
    };
    return { findings, details: detailsOf(working) };
  },
};

function restingRun(): Run<{ readonly idleBytes: number }> {
  return {
    name: "at rest",
    describe: ({ idleBytes }) => `idle ${Math.round(idleBytes / 1e6)} MB`,
    measure: async () => {
      const { program, endpoint, stop } = await sluice().start();
      try {
        await pause(SETTLE_MS);
        const idleBytes = residentBytesOf(program.pids);
        const { seen } = await observe(program, {
          kind: "idle",
          endpoint,
          connections: CONNECTIONS,
          holdMs: SETTLE_MS,
        });
        return { value: { idleBytes }, seen };
      } finally {
        await stop();
      }
    },
  };
}
