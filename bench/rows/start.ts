import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Program } from "../processes.ts";
import { interleave, valueOf, type Bench, type Run } from "../rounds.ts";
import { mosquitto } from "../targets/mosquitto.ts";
import { ACCOUNT, call, startDaemon, type Daemon } from "../targets/sluice.ts";
import { temporaryFolder } from "../targets/target.ts";
import { Watch } from "../watch.ts";
import type { Group } from "./group.ts";

const FILLER = fileURLToPath(new URL("../peers/fill-store.js", import.meta.url));
const THINGS = 10_000;
const ROWS = 1_000_000;

const UPLINK = "bench";
/** For as long a client writes, one value after the other, while the backlog drains. */
const WRITTEN_MS = 3_000;

/**
 * A store that has been lived in, whose uplink owes all of it to a mosquitto that is there again: from
 * the start of the process to its ready record, what a client then waits for, and the stop. The gateway has the generator's core.
 */
export const start: Group = {
  name: "start",
  measure: async (bench) => {
    const folder = temporaryFolder("filled");
    const upstream = mosquitto.missing() === undefined ? await mosquitto.start() : undefined;
    try {
      const store = join(folder.path, "store");
      const port = upstream?.endpoint.port ?? 1;
      await fill(bench, store, `mqtt://127.0.0.1:${port}`);
      const [outcome] = await interleave(bench, [startRun(store, join(folder.path, "copy"))]);
      return {
        findings: {
          ready: valueOf(outcome, ({ value }) => value.readyMs / 1_000),
          local: valueOf(outcome, ({ value }) => value.localMs),
          stop: valueOf(outcome, ({ value }) => value.stopMs / 1_000),
        },
        details: [],
      };
    } finally {
      await upstream?.stop();
      folder.remove();
    }
  },
};

/** The first start makes the store; a script of its own fills it through the store's own tables. */
async function fill(bench: Bench, store: string, upstream: string): Promise<void> {
  await (await startDaemon({ store })).stop();
  bench.say(`filling a store with ${THINGS} Things and ${ROWS} rows, all owed to an uplink`);
  const args = [store, ACCOUNT, String(THINGS), String(ROWS), UPLINK, upstream];
  const filler = new Program("generator", [process.execPath, FILLER, ...args]);
  await filler.ended;
  if (!filler.said.includes("filled")) throw new Error(`the store was not filled: ${filler.said}`);
}

type Started = { readonly readyMs: number; readonly localMs: number; readonly stopMs: number };

function startRun(store: string, copy: string): Run<Started> {
  return {
    name: "start",
    describe: ({ readyMs, localMs, stopMs }) => {
      const [ready, stop] = [Math.round(readyMs), Math.round(stopMs)];
      return `ready ${ready} ms, a PUT p90 ${localMs.toFixed(1)} ms, stopped ${stop} ms`;
    },
    measure: async () => {
      rmSync(copy, { recursive: true, force: true });
      cpSync(store, copy, { recursive: true });
      const late: { daemon?: Daemon } = {};
      const watch = new Watch({ broker: () => late.daemon?.program });
      watch.begin();
      try {
        const daemon = await startDaemon({ store: copy, core: "generator" });
        late.daemon = daemon;
        watch.end();
        const { readyMs } = daemon;
        const depth = await depthOf(daemon);
        if (depth < ROWS / 2) throw new Error(`the uplink owes ${depth} only`);
        const localMs = await writeValues(daemon);
        const begunMs = performance.now();
        await daemon.stop();
        return {
          value: { readyMs, localMs, stopMs: performance.now() - begunMs },
          seen: watch.seen,
        };
      } finally {
        watch.end();
        await late.daemon?.stop();
      }
    },
  };
}

async function depthOf(daemon: Daemon): Promise<number> {
  const uplink = await call(daemon, "GET", `/gateway/uplinks/${UPLINK}`, undefined);
  return (uplink as { readonly depth: { readonly rows: number } }).depth.rows;
}

/** ms that one value took, p90. */
async function writeValues(daemon: Daemon): Promise<number> {
  const tookMs: number[] = [];
  const path = `/${ACCOUNT}/things/device-0/properties/temperature`;
  const endMs = performance.now() + WRITTEN_MS;
  while (performance.now() < endMs) {
    const begunMs = performance.now();
    await call(daemon, "PUT", path, { temperature: tookMs.length % 100 });
    tookMs.push(performance.now() - begunMs);
  }
  tookMs.sort((one, other) => one - other);
  return tookMs[Math.floor(tookMs.length * 0.9)] ?? NaN;
}
