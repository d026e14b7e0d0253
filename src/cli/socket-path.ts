import { existsSync } from "node:fs";
import { adminSocketOf } from "../config-admin.ts";
import { loadConfig, processEnvironment } from "../config.ts";
import { CLI_EXIT, CliError } from "./exit.ts";

/** The unit's RuntimeDirectory: there as long as the service is; not everybody may look into it. */
const SERVICE_FOLDER = "/run/sluice";

/**
 * The daemon's socket: the one given, that of the configuration, or that of the service where the
 * configuration leads to none.
 * @throws CliError `usage` if the configuration is wrong.
 */
export function socketPath(given: {
  readonly socket?: string | undefined;
  readonly config?: string | undefined;
}): string {
  if (given.socket !== undefined) return given.socket;
  const env = processEnvironment();
  const { config: file } = given;
  const loaded = loadConfig({ ...(file === undefined ? {} : { file }), env });
  if (!loaded.ok) throw new CliError(CLI_EXIT.usage, loaded.faults.join("\n"));
  const { path } = adminSocketOf(loaded.config, env);
  return !existsSync(path) && existsSync(SERVICE_FOLDER) ? `${SERVICE_FOLDER}/admin.sock` : path;
}
