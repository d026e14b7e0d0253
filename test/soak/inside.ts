import { createSocket } from "node:dgram";
import { appendFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

// Runs inside the gateway under soak, before its first module: it says what only the process itself
// knows, and is where a leak is planted. The gateway's own code is as it ships.

/** Where the gateway finds the kind of leak to plant. */
export const LEAK_VARIABLE = "SOAK_LEAK";

export const LEAKS = ["memory", "sockets", "disk"] as const;
export type Leak = (typeof LEAKS)[number];

export const ASK_FOR_MEMORY = "memory";
export type MemoryAnswer = { readonly heapBytes: number; readonly bufferBytes: number };

const LEAK_EVERY_MS = 100;
const kept: string[][] = [];

/** An hour of it: about 150 MiB, 36,000 sockets, 2 GiB. */
const LEAKING: Readonly<Record<Leak, () => void>> = {
  memory: () => kept.push(Array.from({ length: 100 }, (_, index) => `${kept.length} ${index}`)),
  sockets: () => void createSocket("udp4").bind(0, "127.0.0.1"),
  disk: () => {
    const folder = process.env["SLUICE_STORE__PATH"] ?? "";
    if (existsSync(folder)) appendFileSync(join(folder, "leak"), Buffer.alloc(65_536));
  },
};

if (process.send !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  process.on("message", (question) => {
    if (question !== ASK_FOR_MEMORY) return;
    collect();
    const { heapUsed: heapBytes, arrayBuffers: bufferBytes } = process.memoryUsage();
    process.send?.({ heapBytes, bufferBytes } satisfies MemoryAnswer);
  });
  const leak = LEAKS.find((name) => name === process.env[LEAK_VARIABLE]);
  if (leak !== undefined) setInterval(LEAKING[leak], LEAK_EVERY_MS);
}
