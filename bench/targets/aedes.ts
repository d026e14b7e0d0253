import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Program } from "../processes.ts";
import { portOfLine, startBroker, temporaryFolder, type Target } from "./target.ts";

const SCRIPT = fileURLToPath(new URL("../peers/bare-aedes.js", import.meta.url));

/** aedes as its package comes, in memory: what the engine under this gateway can do at best. */
export const aedes: Target = {
  name: "aedes",
  missing: () => undefined,
  version: () => {
    const manifest = readFileSync(new URL("./package.json", import.meta.resolve("aedes")), "utf8");
    return (JSON.parse(manifest) as { readonly version: string }).version;
  },
  start: async () => {
    const folder = temporaryFolder("aedes");
    const program = new Program("broker", [process.execPath, SCRIPT]);
    return startBroker(folder, program, await program.line(portOfLine));
  },
};
