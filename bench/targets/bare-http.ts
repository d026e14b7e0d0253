import { fileURLToPath } from "node:url";
import { Program } from "../processes.ts";
import { portOfLine, startBroker, temporaryFolder, type Target } from "./target.ts";

const SCRIPT = fileURLToPath(new URL("../peers/bare-http.js", import.meta.url));

/** `node:http` and nothing else, with an answer of the same size. */
export const bareHttp: Target = {
  name: "node:http",
  missing: () => undefined,
  version: () => process.version,
  start: async () => {
    const folder = temporaryFolder("http");
    const program = new Program("broker", [process.execPath, SCRIPT]);
    return startBroker(folder, program, await program.line(portOfLine));
  },
};
