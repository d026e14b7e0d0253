import type { Test } from "tap";
import type { Census } from "./census.ts";

/** Rows of one batch of the sample, and of the largest block of a table. */
export const BATCH = 20;
export const BLOCK = 120;

const ALARMS = ["store.gap", "store.row_set_aside", "store.salvaged", "store.log_damaged"];

/** What must hold whatever was done to the files. `lostMax`: changes that may be gone. */
export function checkCensus(t: Test, census: Census, what: string, lostMax: number): void {
  const { lost, older, wrong, reported, events } = census;
  const changes = lost["change"] ?? 0;
  const objects = Object.values({ ...lost, change: 0, history: 0 }).reduce((sum, n) => sum + n, 0);
  const summary = `${what}: ${JSON.stringify({ lost, older, reported })}`;
  t.same(wrong, [], `${what}: nothing is there that was never written`);
  t.ok(changes <= lostMax, `${summary}: what is undamaged is there`);
  t.ok(reported >= changes, `${summary}: every lost change is reported`);
  // Of a Thing that is gone with everything that told of it nobody can ask.
  const isShown = (lost["history"] ?? 0) <= changes || (lost["thing"] ?? 0) > 0;
  t.ok(isShown, `${summary}: history shows every change there is`);
  const isToldOf = ALARMS.some((alarm) => events.has(alarm));
  if (changes + objects + older > 0) t.ok(isToldOf, `${summary}: a loss is told`);
}
