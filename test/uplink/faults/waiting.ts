import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Dice } from "../../crash/dice.ts";

const WAIT_MS_MAX = 60_000;

/** Rejects with what was waited for, and how things stand. */
export async function within(
  promise: Promise<unknown>,
  otherwise: string,
  describe?: () => Promise<string>,
): Promise<void> {
  const stop = new AbortController();
  const late = sleep(WAIT_MS_MAX, undefined, { signal: stop.signal }).then(async () => {
    throw new Error(`${otherwise} within ${WAIT_MS_MAX} ms: ${(await describe?.()) ?? ""}`);
  });
  late.catch(() => undefined);
  try {
    await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}

/** Below the range of outgoing connections, so that it stays free while the gateway is down. */
export async function freePort(dice: Dice): Promise<number> {
  for (;;) {
    const port = 10_000 + dice.below(20_000);
    const server = createServer();
    const isFree = await new Promise<boolean>((resolve) => {
      server.once("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => resolve(true));
    });
    await new Promise((resolve) => server.close(resolve));
    if (isFree) return port;
  }
}
