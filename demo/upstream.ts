import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo, type Server } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Aedes } from "aedes";
import { z } from "zod";
import { processEnvironment } from "../src/config.ts";

/** The broker above the gateway, on a free port of the loopback. */
export type Upstream = {
  readonly name: string;
  readonly port: number;
  /** 4: MQTT 3.1.1. */
  readonly protocol: 4 | 5;
  readonly stop: () => Promise<void>;
};

/** mosquitto as its own process; where it is not installed, aedes inside of this one. */
export async function startUpstream(): Promise<Upstream> {
  return (await startMosquitto()) ?? startAedes();
}

/** @returns undefined if it is not installed. @throws Error if it ends before it is ready. */
async function startMosquitto(): Promise<Upstream | undefined> {
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), "sluice-demo-upstream-"));
  const file = join(folder, "mosquitto.conf");
  await writeFile(file, mosquittoConfiguration(port));
  const child = spawn("mosquitto", ["-c", file], {
    stdio: ["ignore", "ignore", "pipe"],
    detached: true, // As the gateway: Ctrl-C at the terminal is for the demo.
    // Debian keeps it where users do not look.
    env: { PATH: `${processEnvironment()["PATH"] ?? ""}:/usr/sbin` },
  });
  // A program that is not there has no "exit".
  const wasInstalled = new Promise<boolean>((resolve) => {
    child.once("exit", () => resolve(true));
    child.once("error", () => resolve(false));
  });
  const endNow = (): void => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", endNow);
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await wasInstalled;
    process.off("exit", endNow);
    await rm(folder, { recursive: true });
  };
  const said: string[] = [];
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line);
    if (!/mosquitto version \S+ running/.test(line)) continue;
    child.stderr.resume();
    return { name: "mosquitto", port, protocol: 5, stop };
  }
  await stop();
  if (await wasInstalled) throw new Error(`mosquitto did not start:\n${said.join("\n")}`);
  return undefined;
}

/** Without bounds on what waits for the one who counts: what it misses would pass for a loss. */
function mosquittoConfiguration(port: number): string {
  const lines = [
    `user ${userInfo().username}`,
    "log_dest stderr",
    "max_queued_messages 0",
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
  ];
  return `${lines.join("\n")}\n`;
}

async function startAedes(): Promise<Upstream> {
  const broker = await Aedes.createBroker();
  const server = createServer((socket) => void broker.handle(socket));
  const port = await listen(server);
  const stop = async (): Promise<void> => {
    await new Promise<void>((resolve) => broker.close(resolve));
    server.close();
    await once(server, "close");
  };
  return { name: "aedes", port, protocol: 4, stop };
}

async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  server.close();
  await once(server, "close");
  return port;
}

const listening = z.object({ port: z.number() });

/** On a free port of the loopback. */
export async function listen(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address: AddressInfo | string | null = server.address();
  return listening.parse(address).port;
}
