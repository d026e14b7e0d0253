import type { Store } from "../../src/store/store.ts";
import { contentsOf, openAt, type Contents, type Logged } from "./sample.ts";

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
  readonly events: ReadonlySet<string>;
};

/**
 * Opens a harmed store as often as it takes to find everything, and compares it with what it held:
 * some damage is found only by looking through all of it, and mended at the next start.
 */
export async function takeCensus(path: string, expected: Contents): Promise<Census> {
  const logged: Logged[] = [];
  let store = await openAt(path, logged);
  const atFirst = compare(expected, await contentsOf(store));
  await store.gaps.checkAll();
  if (store.database.damage.wish !== undefined) {
    await store.close();
    store = await openAt(path, logged);
    await store.gaps.checkAll();
  }
  const found = compare(expected, await contentsOf(store));
  const census = {
    ...found,
    wrong: [...atFirst.wrong, ...found.wrong],
    reported: reportedBy(store),
    events: new Set(logged.map(([, event]) => event)),
  };
  await store.close();
  return census;
}

export function reportedBy(store: Store): number {
  return store.gaps.list().reduce((sum, { count }) => sum + count, 0);
}

function compare(expected: Contents, now: Contents): Pick<Census, "lost" | "older" | "wrong"> {
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
  return { lost, older, wrong };
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
