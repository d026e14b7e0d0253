import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Endpoint } from "../generator/connection.ts";
import type { Program } from "../processes.ts";

/** A broker that runs, fresh and empty. */
export type Broker = {
  readonly program: Program;
  readonly endpoint: Endpoint;
  /** Ends it and removes what it kept. */
  readonly stop: () => Promise<void>;
};

/** A broker that can be measured. */
export type Target<Started extends Broker = Broker> = {
  readonly name: string;
  /** Why it cannot be measured here; `undefined`: it can. */
  readonly missing: () => string | undefined;
  readonly version: () => string;
  readonly start: () => Promise<Started>;
};

/**
 * Messages a broker may have under way to one subscriber: the same for each that has such a bound,
 * and the default of this gateway's `limits.inflight`.
 */
export const INFLIGHT = 100;

const folders = new Set<string>();

/** A directory of its own on the disk under the system's temporary directory. */
export function temporaryFolder(name: string): {
  readonly path: string;
  readonly remove: () => void;
} {
  const path = mkdtempSync(join(tmpdir(), `sluice-bench-${name}-`));
  folders.add(path);
  return { path, remove: () => removeFolder(path) };
}

/** For a bench that is cut off. */
export function removeTemporaryFolders(): void {
  for (const path of folders) removeFolder(path);
}

/** Starts a broker's program; if it does not come up, nothing is left of it. */
export async function startBroker(
  folder: { readonly remove: () => void },
  program: Program,
  port: number,
  login: Pick<Endpoint, "username" | "password"> = {},
): Promise<Broker> {
  const stop = async (): Promise<void> => {
    await program.stop();
    folder.remove();
  };
  try {
    await program.listening(port);
    return { program, endpoint: { host: "127.0.0.1", port, ...login }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The peers that are scripts of ours say `port N` when they listen. */
export function portOfLine(line: string): number | undefined {
  const port = /^port (\d+)$/.exec(line)?.[1];
  return port === undefined ? undefined : Number(port);
}

function removeFolder(path: string): void {
  rmSync(path, { recursive: true, force: true });
  folders.delete(path);
}
