import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { writeDurably } from "./durable-file.ts";
import type { Log } from "./log.ts";

/**
 * Hands the first admin token to whoever installs the box, once: a line on standard output, or, as
 * a service, a file only its user and root can read, so that the journal never holds it. Durable
 * when it returns; throws if it cannot be written.
 */
export function announceAdminToken(options: {
  readonly token: string;
  readonly storePath: string;
  readonly asFile: boolean;
  readonly log: Log;
  readonly print: (line: string) => void;
}): void {
  if (!options.asFile) {
    options.print(`admin token: ${options.token}\n`);
    return;
  }
  mkdirSync(options.storePath, { recursive: true, mode: 0o700 });
  const path = join(options.storePath, "admin-token");
  writeDurably(path, `${options.token}\n`);
  options.log.info("admin_token.written", { path });
}
