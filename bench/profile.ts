import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { threadCpuSecondsOf } from "./machine.ts";
import { observe } from "./observe.ts";
import type { Bench } from "./rounds.ts";
import { DURABLE, jobOf, THINGS } from "./rows/loads.ts";
import { sluice } from "./targets/sluice.ts";
import { temporaryFolder } from "./targets/target.ts";

const FUNCTIONS_SHOWN = 30;
const SAMPLE_EVERY_US = 500;

/** The durable path once under V8's profiler: where the main thread's time goes. */
export async function printProfile(bench: Bench): Promise<void> {
  const folder = temporaryFolder("profile");
  try {
    const profiles = join(folder.path, "cpu");
    mkdirSync(profiles);
    const nodeArgs = [
      "--cpu-prof",
      `--cpu-prof-dir=${profiles}`,
      `--cpu-prof-interval=${SAMPLE_EVERY_US}`,
    ];
    const gateway = await sluice({ things: THINGS, nodeArgs }).start();
    try {
      const job = jobOf(bench, gateway.endpoint, DURABLE);
      const { value } = await observe(gateway.program, job);
      const [main = 0, ...others] = threadCpuSecondsOf(gateway.program.pid);
      const other = others.reduce((sum, seconds) => sum + seconds, 0);
      process.stdout.write(
        `${Math.round(value.perSecond)} messages/s under the profiler\n` +
          `CPU of the main thread ${main.toFixed(1)} s, of ${others.length} others (LevelDB's, ` +
          `libuv's, V8's) ${other.toFixed(1)} s\n\n`,
      );
    } finally {
      // The profile is written when the process ends by itself.
      await gateway.stop();
    }
    const [file] = readdirSync(profiles);
    if (file === undefined) throw new Error("the gateway wrote no profile");
    const profile = JSON.parse(readFileSync(join(profiles, file), "utf8")) as CpuProfile;
    process.stdout.write(profileText(profile));
  } finally {
    folder.remove();
  }
}

/** V8's format: one id a sample, and the time since the one before, µs. */
export type CpuProfile = {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
};

/** Self time by function and by where it belongs, idle time left out. */
export function profileText(profile: CpuProfile): string {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const byFunction = new Map<string, number>();
  const byPlace = new Map<string, number>();
  let busyUs = 0;
  for (const [nth, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    const us = profile.timeDeltas[nth] ?? 0;
    if (frame === undefined || frame.functionName === "(idle)") continue;
    busyUs += us;
    const place = placeOf(frame.url);
    const name = `${frame.functionName || "(anonymous)"} · ${placeAndLine(frame)}`;
    byFunction.set(name, (byFunction.get(name) ?? 0) + us);
    const owner = place === "" ? frame.functionName || "(native)" : ownerOf(place);
    byPlace.set(owner, (byPlace.get(owner) ?? 0) + us);
  }
  const lines = (times: ReadonlyMap<string, number>, count: number): readonly string[] =>
    [...times]
      .sort(([, a], [, b]) => b - a)
      .slice(0, count)
      .map(([name, us]) => `${((100 * us) / busyUs).toFixed(1).padStart(5)} %  ${name}`);
  return [
    "self time by place",
    ...lines(byPlace, FUNCTIONS_SHOWN),
    "",
    "self time by function",
    ...lines(byFunction, FUNCTIONS_SHOWN),
    "",
  ].join("\n");
}

function placeAndLine({ url, lineNumber }: CpuProfile["nodes"][number]["callFrame"]): string {
  return url === "" ? "native" : `${placeOf(url)}:${lineNumber + 1}`;
}

/** `src/mqtt/gate.js`, `aedes/lib/client.js`, `node:net`; empty for what V8 does by itself. */
function placeOf(url: string): string {
  return url.replace(/^.*\/node_modules\//, "").replace(/^.*\/build\//, "");
}

/** The package, or the folder of ours. */
function ownerOf(place: string): string {
  if (place.startsWith("node:")) return place.replace(/^(node:[^/]+(\/[^/]+)?).*$/, "$1");
  return place
    .split("/")
    .slice(0, place.startsWith("src/") || place.startsWith("@") ? 2 : 1)
    .join("/");
}
