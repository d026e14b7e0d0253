import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program } from "../processes.ts";
import { interleave, valueOf, type Bench, type Run } from "../rounds.ts";
import { ACCOUNT, startDaemon, type Daemon } from "../targets/sluice.ts";
import { temporaryFolder } from "../targets/target.ts";
import { Watch } from "../watch.ts";
import type { Group } from "./group.ts";

const FILLER = fileURLToPath(new URL("../peers/fill-store.js", import.meta.url));
const THINGS = 10_000;
const ROWS = 1_000_000;

/** From the start of the process to its ready record, on a store that has been lived in. */
export const start: Group = {
  name: "start",
  measure: async (bench) => {
    const folder = temporaryFolder("filled");
    try {
      const store = join(folder.path, "store");
      await fill(bench, store);
      const [outcome] = await interleave(bench, [startRun(store)]);
      return {
        findings: { ready: valueOf(outcome, ({ value }) => value.readyMs / 1_000) },
        details: [],
      };
    } finally {
      folder.remove();
    }
  },
};

/** The first start makes the store; a script of its own fills it through the store's own tables. */
async function fill(bench: Bench, store: string): Promise<void> {
  await (await startDaemon({ store })).stop();
  bench.say(`filling a store with ${THINGS} Things and ${ROWS} rows of history`);
  const args = [store, ACCOUNT, String(THINGS), String(ROWS)];
  const filler = new Program("generator", [process.execPath, FILLER, ...args]);
  await filler.ended;
  if (!filler.said.includes("filled")) throw new Error(`the store was not filled: ${filler.said}`);
}

function startRun(store: string): Run<{ readonly readyMs: number }> {
  return {
    name: "start",
    describe: ({ readyMs }) => `${Math.round(readyMs)} ms`,
    measure: async () => {
      const late: { daemon?: Daemon } = {};
      const watch = new Watch({ broker: () => late.daemon?.program });
      watch.begin();
      try {
        late.daemon = await startDaemon({ store });
        watch.end();
        return { value: { readyMs: late.daemon.readyMs }, seen: watch.seen };
      } finally {
        watch.end();
        await late.daemon?.stop();
      }
    },
  };
}
