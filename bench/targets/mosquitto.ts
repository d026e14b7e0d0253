import { chmodSync, writeFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { findProgram, freePort, Program, versionOf } from "../processes.ts";
import { INFLIGHT, startBroker, temporaryFolder, type Target } from "./target.ts";

/** Debian's mosquitto with persistence, saved every second; what it acknowledges is not on disk. */
export const mosquitto: Target = {
  name: "mosquitto",
  missing: () =>
    findProgram("mosquitto") === undefined ? "mosquitto is not installed" : undefined,
  version: () => versionOf(findProgram("mosquitto") ?? "", ["-h"], /mosquitto version (\S+)/),
  start: async () => {
    const folder = temporaryFolder("mosquitto");
    const port = await freePort();
    const file = join(folder.path, "mosquitto.conf");
    writeFileSync(file, configuration(folder.path, port));
    // Started by root it would become another user, who must be able to read and write here.
    chmodSync(folder.path, 0o777);
    const program = new Program("broker", [findProgram("mosquitto") ?? "mosquitto", "-c", file]);
    return startBroker(folder, program, port);
  },
};

function configuration(folder: string, port: number): string {
  return [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
    `user ${userInfo().username}`,
    "persistence true",
    `persistence_location ${folder}/`,
    "autosave_interval 1",
    `max_inflight_messages ${INFLIGHT}`,
    // No bound: 2.0.11 counts some messages for ever and drops at any other after a while.
    "max_queued_messages 0",
    "log_type error",
    "",
  ].join("\n");
}
