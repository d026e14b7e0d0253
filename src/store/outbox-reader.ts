import { setImmediate as nextTurn } from "node:timers/promises";
import { FIXED_LIMITS } from "../limits.ts";
import { openChange, type RecordedChange } from "./changes.ts";
import type { Database } from "./database.ts";
import type { Deletions } from "./deletions.ts";
import type { Ids } from "./ids.ts";
import type { ChangeClass } from "./keys.ts";
import { changeContent, presentPart, type Content } from "./outbox-content.ts";
import type { DropRanges, Loss } from "./outbox-drops.ts";
import type { DropCause } from "./outbox-items.ts";
import { Steps, type RowStep } from "./outbox-log.ts";
import type { Part } from "./outbox-parts.ts";
import type { Owable, OutboxTerms, Subject } from "./outbox-terms.ts";
import type { PropertyStates } from "./properties.ts";
import type { Things } from "./things.ts";

export type ReaderDeps = {
  readonly database: Database;
  readonly things: Things;
  readonly properties: PropertyStates;
  readonly deletions: Deletions;
  readonly ids: Ids;
};

/** How an uplink looks at a change. */
export type View = {
  readonly isOwed: (change: Owable, subject: Subject | undefined) => boolean;
  readonly bounds: OutboxTerms["bounds"];
};

/** What was found in the log, in its order. */
export type Found =
  | {
      readonly kind: "change";
      readonly of: ChangeClass;
      readonly key: string;
      readonly content: Content;
    }
  | {
      readonly kind: "loss";
      readonly of: ChangeClass;
      readonly cause: DropCause;
      readonly key: string;
      readonly loss: Loss;
    }
  | { readonly kind: "passed"; readonly of: ChangeClass; readonly sequence: number };

export type Reading = {
  readonly found: readonly Found[];
  /** All up to this sequence has been read. */
  readonly through: number;
};

/** About half a millisecond. */
const ROWS_A_TURN = 100;

/** Reads as much of a part of the log as a page holds. */
export async function readPart(
  deps: ReaderDeps,
  view: View,
  part: Part,
  drops: DropRanges,
): Promise<Reading> {
  const { outboxPageItemsMax, outboxPageBytesMax, outboxScannedRowsMax } = FIXED_LIMITS;
  const steps = new Steps(deps.database, part, drops);
  const found: Found[] = [];
  let bytes = 0;
  let scanned = 0;
  for (let step = await steps.next(); step !== undefined; step = await steps.next()) {
    scanned += 1;
    if (step.kind === "passed") {
      found.push({ kind: "passed", of: step.of, sequence: step.sequence });
    } else {
      const judged = judge(deps, view, step);
      if (judged !== undefined) found.push(judged);
      if (judged?.kind === "change") bytes += judged.content.bytes;
    }
    const isFull = found.length >= outboxPageItemsMax || bytes >= outboxPageBytesMax;
    if (isFull || scanned >= outboxScannedRowsMax) return { found, through: step.sequence };
    // Whoever writes here does not wait for a whole page.
    if (scanned % ROWS_A_TURN === 0) await nextTurn();
  }
  return { found, through: part.through };
}

/** What a row is to an uplink; `undefined`: it is not owed. */
export function judge(deps: ReaderDeps, view: View, step: RowStep): Found | undefined {
  const { of, key, row } = step;
  const change = readable(deps.database, step);
  if (change === undefined) return undefined;
  const thing = deps.things.byNumber(change.thing);
  if (!isOwedChange(view, change, thing)) return undefined;
  const lost = (cause: DropCause): Found => {
    const loss = { count: 1, bytes: row.length, since: change.at, until: change.at };
    return { kind: "loss", of, cause, key, loss };
  };
  const part = presentPart(change, thing, deps.deletions);
  if (part === undefined) return lost("deleted");
  if (isSuperseded(deps, view, part)) return lost("superseded");
  return { kind: "change", of, key, content: changeContent(deps.ids, part, thing, row.length) };
}

/** A row that cannot be read is told, and so counted as lost. */
export function readable(
  database: Database,
  { of, sequence, key, row }: RowStep,
): RecordedChange | undefined {
  try {
    return openChange(of, sequence, row);
  } catch {
    database.damage.addRow(key, row);
    return undefined;
  }
}

export function isOwedChange(
  view: Pick<View, "isOwed">,
  change: RecordedChange,
  thing: Subject | undefined,
): boolean {
  // Values of `writeOnly` properties alone: nothing is recorded that could be sent.
  if (change.class === "property" && Object.keys(change.values).length === 0) return false;
  return view.isOwed(change, change.class === "thing" ? change : thing);
}

/** Under `latest-only`: a newer value of each of its properties is owed. */
function isSuperseded({ properties }: ReaderDeps, view: View, change: RecordedChange): boolean {
  if (change.class !== "property" || view.bounds.property.rule !== "latest-only") return false;
  return !Object.keys(change.values).some((name) => {
    return properties.get(change.thing, name)?.sequence === change.sequence;
  });
}
