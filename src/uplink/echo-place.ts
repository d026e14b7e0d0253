import { openChange, type RecordedChange } from "../store/changes.ts";
import type { Database } from "../store/database.ts";
import { changesOfClass, sequenceOfChangeKey, type ChangeClass } from "../store/keys.ts";
import type { Outbox } from "../store/outbox.ts";
import type { Store } from "../store/store.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { SentValue } from "./conflicts.ts";
import { valuesOfChange } from "./owed-values.ts";

const NOTE = "echoed";

/** The echoes of all changes up to this one have come, or will not come any more. */
export function noteEchoed(memory: UplinkMemory, sequence: number): void {
  if (memory.note(NOTE) !== sequence) memory.setNote(NOTE, sequence);
}

/**
 * Tells of values that upstream has acknowledged and may not have sent back: those of the log behind
 * the noted place, up to the first that is still owed. Of very many the newest.
 * @returns the newest change that was acknowledged, as far as it is known.
 */
export async function readUnechoed(
  store: Pick<Store, "database" | "changes">,
  outbox: Pick<Outbox, "uplink" | "memory" | "owes">,
  tell: (value: SentValue) => void,
): Promise<number> {
  const noted = outbox.memory.note(NOTE);
  if (typeof noted !== "number") {
    // A new uplink: nothing has gone up.
    noteEchoed(outbox.memory, store.changes.sequence);
    return store.changes.sequence;
  }
  const newest = store.changes.sequence;
  const from = Math.max(noted + 1, newest - FIXED_LIMITS.uplinkEchoesMax);
  let through = noted;
  const take = (change: RecordedChange): boolean => {
    if (change.via === outbox.uplink.number) return true;
    if (outbox.owes(change.class, change.sequence)) return false;
    for (const value of valuesOfChange(change)) tell(value);
    through = Math.max(through, change.sequence);
    return true;
  };
  for (const of of ["thing", "property"] as const) {
    await readChanges(store.database, of, { from, to: newest }, take);
  }
  return through;
}

/** Until `take` returns false. */
async function readChanges(
  database: Database,
  of: ChangeClass,
  { from, to }: { readonly from: number; readonly to: number },
  take: (change: RecordedChange) => boolean,
): Promise<void> {
  const rows = database.iterator(changesOfClass(of, from, to));
  try {
    for (let some = await rows.some(); some.length > 0; some = await rows.some()) {
      for (const [key, row] of some) {
        if (!take(openChange(of, sequenceOfChangeKey(key), row))) return;
      }
    }
  } finally {
    await rows.close();
  }
}
