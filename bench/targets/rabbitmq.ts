import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { findProgram, freePort, Program, versionOf } from "../processes.ts";
import { INFLIGHT, startBroker, temporaryFolder, type Target } from "./target.ts";

/** Debian's wrapper would become another user; the script behind it does not. */
const SCRIPT = "/usr/lib/rabbitmq/bin/rabbitmq-server";

/** RabbitMQ with its MQTT plugin: acknowledges a message once it is on disk. */
export const rabbitmq: Target = {
  name: "rabbitmq",
  missing: () =>
    findProgram("rabbitmq-server") === undefined ? "rabbitmq-server is not installed" : undefined,
  version: () => versionOf("dpkg-query", ["-W", "rabbitmq-server"], /\s(\S+)/),
  start: async () => {
    const folder = temporaryFolder("rabbitmq");
    const [port, distribution, epmdPort] = [await freePort(), await freePort(), await freePort()];
    writeFileSync(join(folder.path, "rabbitmq.conf"), configuration(port));
    writeFileSync(join(folder.path, "enabled_plugins"), "[rabbitmq_mqtt].\n");
    const env = {
      HOME: folder.path,
      ERL_EPMD_PORT: String(epmdPort),
      RABBITMQ_NODENAME: "bench@localhost",
      RABBITMQ_DIST_PORT: String(distribution),
      RABBITMQ_CONFIG_FILE: join(folder.path, "rabbitmq.conf"),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(folder.path, "enabled_plugins"),
      RABBITMQ_MNESIA_BASE: join(folder.path, "mnesia"),
      RABBITMQ_LOG_BASE: join(folder.path, "log"),
    };
    // Erlang would leave a daemon behind for its names: this one is ours to end.
    const names = new Program("generator", ["epmd"], { env });
    const program = new Program("broker", [SCRIPT], { env, cwd: folder.path });
    const remove = (): void => {
      names.kill();
      folder.remove();
    };
    const login = { username: "guest", password: "guest" };
    return startBroker({ remove }, program, port, login);
  },
};

function configuration(port: number): string {
  return [
    "listeners.tcp = none",
    `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
    `mqtt.prefetch = ${INFLIGHT}`,
    "log.console.level = error",
    "",
  ].join("\n");
}
