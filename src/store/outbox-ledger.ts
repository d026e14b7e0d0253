import { z } from "zod";
import { FIXED_LIMITS } from "../limits.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import {
  CHANGE_CLASSES,
  ledgerKey,
  ledgerRows,
  numberOfLedgerKey,
  type ChangeClass,
} from "./keys.ts";
import type { Loss } from "./outbox-drops.ts";
import { DROP_CAUSES, type Drop, type DropCause } from "./outbox-items.ts";

/** Losses of one cause and class that are no further apart than this are one entry. */
const APART_MS = 3_600_000;

/** So many losses, for the log. */
type Untold = Pick<Drop, "cause" | "class" | "count">;

const dropSchema = z.object({
  cause: z.enum(DROP_CAUSES),
  class: z.enum(CHANGE_CLASSES).exactOptional(),
  count: z.number(),
  from: z.number(),
  to: z.number(),
});

/** Everything an uplink did not send though it was owed: counted, never forgotten, only summed up. */
export class LossLedger {
  readonly #commit: Commit;
  readonly #uplink: number;
  readonly #drops = new Map<number, Drop>();
  readonly #newest = new Map<string, number>();
  readonly #dirty = new Set<number>();
  #lastNumber = 0;
  /** By kind, what has been added and not told. */
  readonly #untold = new Map<string, Untold>();

  constructor(commit: Commit, uplink: number) {
    this.#commit = commit;
    this.#uplink = uplink;
  }

  async load(database: Database): Promise<void> {
    const rows = await readRows(database, ledgerRows(this.#uplink), (key, row) => {
      return [numberOfLedgerKey(key), dropSchema.parse(JSON.parse(row))] as const;
    });
    for (const [number, drop] of rows) {
      this.#drops.set(number, drop);
      this.#newest.set(kindOf(drop), number);
      this.#lastNumber = number;
    }
  }

  /** Oldest first. */
  list(): readonly Drop[] {
    return [...this.#drops.values()];
  }

  /** It is written with `write`. */
  add(of: ChangeClass | undefined, cause: DropCause, loss: Loss): void {
    const { count, since: from, until: to } = loss;
    const drop = { cause, ...(of === undefined ? {} : { class: of }), count, from, to };
    const untold = this.#untold.get(kindOf(drop))?.count ?? 0;
    this.#untold.set(kindOf(drop), { cause, ...(of && { class: of }), count: untold + count });
    const number = this.#newest.get(kindOf(drop));
    const before = number === undefined ? undefined : this.#drops.get(number);
    if (number !== undefined && before !== undefined && from - before.to <= APART_MS) {
      this.#set(number, joined(before, drop));
      return;
    }
    this.#lastNumber += 1;
    this.#newest.set(kindOf(drop), this.#lastNumber);
    this.#set(this.#lastNumber, drop);
    if (this.#drops.size > FIXED_LIMITS.outboxLedgerMax) this.#sumUp();
  }

  /** What was added since this was asked last. */
  takeUntold(): readonly Untold[] {
    const untold = [...this.#untold.values()];
    this.#untold.clear();
    return untold;
  }

  /** Puts what has changed into the open batch. */
  write(): void {
    for (const number of this.#dirty) {
      const key = ledgerKey(this.#uplink, number);
      const drop = this.#drops.get(number);
      if (drop === undefined) this.#commit.delete(key);
      else this.#commit.put(key, JSON.stringify(drop));
    }
    this.#dirty.clear();
  }

  erase(): void {
    for (const number of this.#drops.keys()) this.#dirty.add(number);
    this.#drops.clear();
    this.#newest.clear();
    this.write();
  }

  #set(number: number, drop: Drop): void {
    this.#drops.set(number, drop);
    this.#dirty.add(number);
  }

  /** The oldest two of one kind become one. There are fewer kinds than entries. */
  #sumUp(): void {
    const seen = new Map<string, number>();
    for (const [number, drop] of this.#drops) {
      const older = seen.get(kindOf(drop));
      const before = older === undefined ? undefined : this.#drops.get(older);
      if (older === undefined || before === undefined) {
        seen.set(kindOf(drop), number);
        continue;
      }
      this.#drops.delete(older);
      this.#dirty.add(older);
      this.#set(number, joined(before, drop));
      return;
    }
  }
}

function kindOf({ cause, class: of }: Drop): string {
  return `${cause} ${of ?? ""}`;
}

function joined(before: Drop, drop: Drop): Drop {
  const [from, to] = [Math.min(before.from, drop.from), Math.max(before.to, drop.to)];
  return { ...drop, count: before.count + drop.count, from, to };
}
