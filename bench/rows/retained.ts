import { observe } from "../observe.ts";
import { interleave, valueOf } from "../rounds.ts";
import { sluice } from "../targets/sluice.ts";
import type { Group } from "./group.ts";

/** SUBSCRIBE to an exact free topic while 100,000 messages are retained. */
export const retained: Group = {
  name: "retained",
  measure: async (bench) => {
    const [outcome] = await interleave(bench, [
      {
        name: "sluice",
        describe: ({ oneMs, atOnceMs }) =>
          `one ${oneMs.toFixed(2)} ms, 20 at once ${atOnceMs.toFixed(2)} ms`,
        measure: async () => {
          const broker = await sluice().start();
          try {
            return await observe(broker.program, {
              kind: "retained",
              endpoint: broker.endpoint,
              topicPrefix: "bench/retained/",
              retained: 100_000,
              payloadBytes: 100,
              singles: 20,
              atOnce: 20,
            });
          } finally {
            await broker.stop();
          }
        },
      },
    ]);
    const findings = {
      one: valueOf(outcome, ({ value }) => value.oneMs),
      "at-once": valueOf(outcome, ({ value }) => value.atOnceMs),
    };
    return { findings, details: [] };
  },
};
