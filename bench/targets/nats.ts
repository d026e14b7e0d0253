import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, freePort, Program, versionOf } from "../processes.ts";
import { INFLIGHT, startBroker, temporaryFolder, type Target } from "./target.ts";

/** NATS with JetStream and MQTT: stores what it acknowledges, and does not sync each message. */
export const nats: Target = {
  name: "nats",
  missing: () =>
    findProgram("nats-server") === undefined ? "nats-server is not installed" : undefined,
  version: () => versionOf(findProgram("nats-server") ?? "", ["--version"], /v(\d\S*)/),
  start: async () => {
    const folder = temporaryFolder("nats");
    const [port, ownPort] = [await freePort(), await freePort()];
    const file = join(folder.path, "nats.conf");
    writeFileSync(file, configuration(folder.path, port, ownPort));
    const program = new Program("broker", [
      findProgram("nats-server") ?? "nats-server",
      "-c",
      file,
    ]);
    return startBroker(folder, program, port);
  },
};

function configuration(folder: string, port: number, ownPort: number): string {
  return [
    'server_name: "bench"',
    `listen: "127.0.0.1:${ownPort}"`,
    `jetstream { store_dir: "${folder}" }`,
    `mqtt { listen: "127.0.0.1:${port}", max_ack_pending: ${INFLIGHT} }`,
    "",
  ].join("\n");
}
