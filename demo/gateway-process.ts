import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { processEnvironment } from "../src/config.ts";

/** The daemon as its own process, on free ports and a store that goes with it. */
export type GatewayProcess = {
  readonly mqttPort: number;
  readonly httpPort: number;
  /** The first admin token, as it was printed. */
  readonly token: string;
  /** An ordered stop; then the store is deleted. @throws Error if it did not end with 0. */
  readonly stop: () => Promise<void>;
};

const MAIN = fileURLToPath(new URL("../src/main.js", import.meta.url));

const readyRecord = z.object({
  event: z.literal("gateway.ready"),
  mqttPort: z.number(),
  httpPort: z.number(),
});

/** @throws Error if it ends before it is ready. */
export async function startGatewayProcess(): Promise<GatewayProcess> {
  const folder = await mkdtemp(join(tmpdir(), "sluice-demo-"));
  const child = spawn(process.execPath, [MAIN], {
    stdio: ["ignore", "pipe", "inherit"],
    // Ctrl-C at the terminal is for the demo, which then stops its gateway.
    detached: true,
    env: {
      PATH: processEnvironment()["PATH"],
      UV_THREADPOOL_SIZE: "16",
      SLUICE_STORE__PATH: join(folder, "store"),
      SLUICE_MQTT__PORT: "0",
      SLUICE_HTTP__PORT: "0",
    },
  });
  const ended = once(child, "exit");
  // Should the demo end by an error nobody took.
  const endNow = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", endNow);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    const [code] = z.array(z.unknown()).parse(await ended);
    process.off("exit", endNow);
    await rm(folder, { recursive: true });
    if (code !== 0) throw new Error(`the gateway ended with ${String(code)}`);
  };
  const said: string[] = [];
  let token = "";
  for await (const line of createInterface({ input: child.stdout })) {
    said.push(line);
    if (line.startsWith("admin token: ")) token = line.slice("admin token: ".length);
    if (!line.includes('"event":"gateway.ready"')) continue;
    const { mqttPort, httpPort } = readyRecord.parse(JSON.parse(line));
    child.stdout.resume(); // Its later records are not of interest, and must not fill the pipe.
    return { mqttPort, httpPort, token, stop };
  }
  throw new Error(`the gateway did not start:\n${said.join("\n")}`);
}
