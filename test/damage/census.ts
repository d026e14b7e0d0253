import type { Store } from "../../src/store/store.ts";
import { contentsOf, type Contents, type Logged } from "./sample.ts";

/** What harm did to a store, and what the store says of it. */
export type Census = {
  /** Rows that are not there any more, by kind. */
  readonly lost: Readonly<Record<string, number>>;
  /** States that are there with an older value, which was true once. */
  readonly older: number;
  /** Rows that nobody ever wrote. */
  readonly wrong: readonly string[];
  /** Changes that are reported as lost, at least. */
  readonly reported: number;
  /** Anything at all was reported. */
  readonly isReported: boolean;
};

const ALARMS = ["store.gap", "store.row_set_aside", "store.salvaged", "store.log_damaged"];

/** Compares a store with what it held. Looks through all of it first. */
export async function takeCensus(
  store: Store,
  expected: Contents,
  logged: readonly Logged[],
): Promise<Census> {
  await store.gaps.checkAll();
  const now = await contentsOf(store);
  const lost: Record<string, number> = {};
  const wrong: string[] = [];
  let older = 0;
  for (const [key, value] of expected) {
    const [kind = ""] = key.split(" ");
    const held = now.get(key);
    if (held === value) continue;
    if (held === undefined) lost[kind] = (lost[kind] ?? 0) + 1;
    else if (kind === "state" && wasTrue(key, held, expected)) older += 1;
    else wrong.push(`${key}: ${held}`);
  }
  for (const key of now.keys()) if (!expected.has(key)) wrong.push(key);
  const reported = store.gaps.list().reduce((sum, { count }) => sum + count, 0);
  return {
    lost,
    older,
    wrong,
    reported,
    isReported: logged.some(([, event]) => ALARMS.includes(event)),
  };
}

/** Is there a change that set this state to this value? */
function wasTrue(key: string, held: string, expected: Contents): boolean {
  const [value, sequence] = JSON.parse(held) as [unknown, number];
  const digits = sequence.toString(32).padStart(11, "0");
  const row = expected.get(`change c:p${digits}`);
  if (row === undefined) return false;
  const change = JSON.parse(row) as { thing: number; values: Record<string, unknown> };
  const [thing, name = ""] = key.slice("state ".length).split("/");
  return change.thing === Number(thing) && change.values[name] === value;
}
