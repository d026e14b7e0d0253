import { join } from "node:path";
import type { Config } from "./config.ts";

/** Bytes of a path that fit into `sockaddr_un` of Linux (unix(7)), with room for the NUL at its end. */
const SOCKET_PATH_BYTES = 107;

/** Where the daemon takes calls of the command line, or why it cannot take any there. */
export type AdminSocket = {
  readonly path: string;
  /** The service's group may use it, too. */
  readonly isForGroup: boolean;
  readonly isTooLong: boolean;
};

/**
 * The Unix socket of the command line: where `admin.socket` says, else in systemd's RUNTIME_DIRECTORY,
 * else in the store.
 */
export function adminSocketOf(
  config: Pick<Config, "admin" | "store">,
  env: NodeJS.ProcessEnv,
): AdminSocket {
  const runtime = runtimeDirectory(env);
  const path = config.admin.socket ?? join(runtime ?? config.store.path, "admin.sock");
  const isTooLong = Buffer.byteLength(path) > SOCKET_PATH_BYTES;
  return { path, isForGroup: runtime !== undefined, isTooLong };
}

/** The folder below /run that systemd made for the service: gone with it. */
export function runtimeDirectory(env: NodeJS.ProcessEnv): string | undefined {
  const directory = env["RUNTIME_DIRECTORY"]?.split(":")[0];
  return directory === undefined || directory === "" ? undefined : directory;
}
