import type { Flow } from "./flow.ts";
import type { Histogram } from "./histogram.ts";

/** When messages are sent. */
export type Pace = {
  readonly start: () => void;
  readonly stop: () => void;
  /** Something of this flow has been answered. */
  readonly refill: (flow: Flow) => void;
};

/** As many as the window allows, at once: shows what a broker can do, its latency is queueing. */
export function closedWindow(flows: readonly Flow[]): Pace {
  let isRunning = false;
  const refill = (flow: Flow): void => {
    const count = flow.free;
    if (!isRunning || count <= 0) return;
    const nowMs = performance.now();
    flow.send(count, () => nowMs);
  };
  return {
    start: () => {
      isRunning = true;
      for (const flow of flows) refill(flow);
    },
    stop: () => (isRunning = false),
    refill,
  };
}

/**
 * At fixed times, whatever the answers (an open loop), the flows in turn. Spins instead of sleeping:
 * a timer of Node's is a millisecond late. A message that finds no room keeps the time it was due.
 */
export function fixedRate(flows: readonly Flow[], perSecond: number, late: Histogram): Pace {
  const intervalMs = 1_000 / perSecond;
  let isRunning = false;
  let dueMs = 0;
  let next = 0;
  const turn = (): void => {
    if (!isRunning) return;
    const nowMs = performance.now();
    while (dueMs <= nowMs) {
      const flow = flows[next % flows.length];
      if (flow === undefined || flow.free === 0) break;
      const sinceMs = dueMs;
      flow.send(1, () => sinceMs);
      late.add(nowMs - sinceMs);
      next += 1;
      dueMs += intervalMs;
    }
    setImmediate(turn);
  };
  return {
    start: () => {
      isRunning = true;
      dueMs = performance.now();
      turn();
    },
    stop: () => (isRunning = false),
    refill: () => undefined,
  };
}

export async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}
