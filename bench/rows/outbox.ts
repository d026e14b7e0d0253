import { cpSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cpuSecondsOf } from "../machine.ts";
import { Program } from "../processes.ts";
import { interleave, ratioOf, valueOf, type Bench, type Outcome, type Run } from "../rounds.ts";
import { mosquitto } from "../targets/mosquitto.ts";
import { ACCOUNT, call, startDaemon, type Access, type Daemon } from "../targets/sluice.ts";
import { INFLIGHT, temporaryFolder } from "../targets/target.ts";
import { Watch } from "../watch.ts";
import type { Detail, Group } from "./group.ts";
import { loadRun, medianOf, percentOf } from "./loads.ts";

const FILLER = fileURLToPath(new URL("../peers/fill-store.js", import.meta.url));
const HEAD = fileURLToPath(new URL("../peers/outbox-head.js", import.meta.url));
const UPLINK = "bench";
const THINGS = 100;
const ROWS = 1_000_000;
const TAKES = 20_000;

/** A backlog of a million values: its head, and how fast it drains into a mosquitto beside it. */
export const outbox: Group = {
  name: "outbox",
  measure: async (bench, wanted) => {
    const folder = temporaryFolder("backlog");
    try {
      const store = join(folder.path, "filled");
      await fill(bench, store);
      const copy = join(folder.path, "copy");
      const [head] = wanted.has("head") ? await interleave(bench, [headRun(store, copy)]) : [];
      const outcomes = wanted.has("drain")
        ? await interleave(bench, [drainRun(bench, store, copy, 5), publisher(bench)])
        : [];
      const [plain] = wanted.has("drain")
        ? await interleave(bench, [drainRun(bench, store, copy, 4)])
        : [];
      return {
        findings: {
          head: valueOf(head, ({ value }) => value),
          drain: ratioOf(outcomes[0], outcomes[1], ({ value }) => value.perSecond),
        },
        details: [...outcomes, plain].flatMap((outcome) => detailOf(outcome)),
      };
    } finally {
      folder.remove();
    }
  },
};

async function fill(bench: Bench, store: string): Promise<void> {
  await (await startDaemon({ store })).stop();
  bench.say(`filling an outbox with ${ROWS} rows`);
  const args = [store, ACCOUNT, String(THINGS), String(ROWS), UPLINK];
  const filler = new Program("generator", [process.execPath, FILLER, ...args]);
  await filler.ended;
  if (!filler.said.includes("filled")) throw new Error(`the store was not filled: ${filler.said}`);
}

function headRun(store: string, copy: string): Run<number> {
  return {
    name: "head",
    describe: (p99Ms) => `p99 ${p99Ms.toFixed(3)} ms`,
    measure: async () => {
      const late: { program?: Program } = {};
      const watch = new Watch({ broker: () => late.program });
      fresh(store, copy);
      watch.begin();
      late.program = new Program("broker", [process.execPath, HEAD, copy, UPLINK, String(TAKES)]);
      try {
        const p99Ms = await late.program.line((line) => {
          const said = /^depth (\d+) p99 (\S+)$/.exec(line);
          return Number(said?.[1] ?? "0") < ROWS ? undefined : Number(said?.[2]);
        });
        watch.end();
        return { value: p99Ms, seen: watch.seen };
      } finally {
        watch.end();
        await late.program.stop();
      }
    },
  };
}

type Drained = { readonly perSecond: number; readonly cpu: number };

/** The gateway is the one that sends, so that it has the generator's core. */
function drainRun(bench: Bench, store: string, copy: string, protocol: 4 | 5): Run<Drained> {
  return {
    name: protocol === 5 ? "drain" : "drain, MQTT 3.1.1",
    missing: mosquitto.missing,
    describe: describeRate,
    measure: async () => {
      fresh(store, copy);
      const upstream = await mosquitto.start();
      const daemon = await startDaemon({ store: copy, core: "generator" });
      const watched = { broker: () => upstream.program, generator: daemon.program };
      const watch = new Watch(watched);
      try {
        const url = `mqtt://127.0.0.1:${upstream.endpoint.port}`;
        const settings = { url, protocol, window: INFLIGHT };
        await call(daemon, "PUT", `/gateway/uplinks/${UPLINK}`, settings);
        await call(daemon, "POST", `/gateway/uplinks/${UPLINK}/resume`, undefined);
        await after(bench.warmupMs);
        watch.begin();
        const value = await rateOf(daemon, bench.measureMs);
        watch.end();
        return { value, seen: watch.seen };
      } finally {
        watch.end();
        await daemon.stop();
        await upstream.stop();
      }
    },
  };
}

async function rateOf(daemon: Daemon, measureMs: number): Promise<Drained> {
  const cpu = (): number => cpuSecondsOf(daemon.program.pids);
  const [before, begunMs, cpuBefore] = [await acked(daemon), performance.now(), cpu()];
  await after(measureMs);
  const [count, seconds] = [await acked(daemon), (performance.now() - begunMs) / 1_000];
  if (count >= ROWS) throw new Error("all of it was sent before the end");
  return { perSecond: (count - before) / seconds, cpu: (cpu() - cpuBefore) / seconds };
}

async function acked(access: Access): Promise<number> {
  const uplink = await call(access, "GET", `/gateway/uplinks/${UPLINK}`, undefined);
  return (uplink as { readonly acked_seq: number }).acked_seq;
}

/** One client, as many under way, as large, on one topic: what a broker takes from a pipeline. */
function publisher(bench: Bench): Run<Drained> {
  const load = { publishers: 1, topic: "bench/{i}", subscribers: [], window: INFLIGHT };
  const { measure } = loadRun(bench, mosquitto, load);
  return {
    name: "pipelined publisher",
    missing: mosquitto.missing,
    describe: describeRate,
    measure: async () => {
      const { value, seen } = await measure();
      return { value: { perSecond: value.perSecond, cpu: value.cpu }, seen };
    },
  };
}

function describeRate({ perSecond, cpu }: Drained): string {
  return `${Math.round(perSecond)}/s, sender ${Math.round(cpu * 100)} %`;
}

function detailOf(outcome: Outcome<Drained> | undefined): readonly Detail[] {
  if (outcome === undefined) return [];
  const { name, rounds, because } = outcome;
  if (rounds.length === 0) return [{ who: name, "messages/s": because ?? "not measured" }];
  return [
    {
      who: name,
      "messages/s": Math.round(medianOf(rounds, ({ value }) => value.perSecond)),
      "mosquitto CPU": percentOf(rounds, ({ seen }) => seen.brokerCpu),
      "sender's CPU": percentOf(rounds, ({ value }) => value.cpu),
      "others' CPU": percentOf(rounds, ({ seen }) => seen.foreignCpu),
    },
  ];
}

function fresh(store: string, copy: string): void {
  rmSync(copy, { recursive: true, force: true });
  cpSync(store, copy, { recursive: true });
}

async function after(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
