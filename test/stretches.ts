import { createHook } from "node:async_hooks";

/** What Node has been asked to stretch while `during` ran: scrypt leaves no other trace. */
export type Stretches = { readonly count: number; readonly atOnceMax: number };

export async function countStretches(during: () => Promise<unknown>): Promise<Stretches> {
  const running = new Set<number>();
  let count = 0;
  let atOnceMax = 0;
  const hook = createHook({
    init: (id, type) => {
      if (type !== "SCRYPTREQUEST") return;
      count += 1;
      running.add(id);
      atOnceMax = Math.max(atOnceMax, running.size);
    },
    before: (id) => running.delete(id),
  });
  hook.enable();
  try {
    await during();
  } finally {
    hook.disable();
  }
  return { count, atOnceMax };
}
