import type { LoadHook } from "node:module";
import { plantIn } from "../../crash/faults-planted.ts";
import { PLANTED_FAULTS } from "./planted.ts";

/** Where the daemon finds the name of the fault to plant. */
const FAULT_VARIABLE = "PLANTED_UPLINK_FAULT";

/** The environment of a daemon with this fault in it. */
export function plantingEnvironment(name: string): NodeJS.ProcessEnv {
  const loader = new URL("./plant.js", import.meta.url).href;
  return { NODE_OPTIONS: `--import=${loader}`, [FAULT_VARIABLE]: name };
}

/** A hook of Node's module loader: the source of the one file is not what is on disk. */
export const load: LoadHook = async (url, context, next) => {
  const loaded = await next(url, context);
  const fault = PLANTED_FAULTS[process.env[FAULT_VARIABLE] ?? ""];
  if (fault === undefined || loaded.format !== "module") return loaded;
  const source = Buffer.from(loaded.source as Uint8Array).toString();
  return { ...loaded, source: plantIn(url, source, { ...fault, noticedBy: [] }) };
};
