import { z } from "zod";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { deletedRowsKey, everyRow, HISTORY_CLASSES, type HistorySource } from "./keys.ts";

/** What a deletion left of a Thing or of one affordance, until it is swept. */
export type DeletedRows = {
  readonly thing: number;
  /** Absent: the whole Thing. */
  readonly source?: HistorySource;
  /** The last sequence that goes; what came later is of a new affordance with the old name. */
  readonly through: number;
};

const rowSchema = z.object({
  thing: z.number(),
  source: z
    .object({ thing: z.number(), of: z.enum(HISTORY_CLASSES), name: z.string() })
    .exactOptional(),
  through: z.number(),
});

/**
 * What was deleted and is still on disk. Deleting a history takes time; that it is deleted is known
 * at once, so that an affordance made anew under an old name has no past.
 */
export class Deletions {
  readonly #commit: Commit;
  readonly #pending = new Map<string, DeletedRows>();
  readonly #throughOf = new Map<string, number>();

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const deleted = await readRows(database, everyRow.deletedRows, (key, row) => {
      return { key, deleted: rowSchema.parse(JSON.parse(row)) };
    });
    for (const each of deleted) this.#remember(each.key, each.deleted);
  }

  add(deleted: DeletedRows): void {
    const key = deletedRowsKey(deleted.thing, deleted.through, deleted.source);
    this.#commit.put(key, JSON.stringify(deleted));
    this.#remember(key, deleted);
  }

  /** What there is to sweep now. */
  pending(): readonly DeletedRows[] {
    return [...this.#pending.values()];
  }

  /** All rows of it are gone, or will be when what was put so far is on disk. */
  finish(deleted: DeletedRows): void {
    const key = deletedRowsKey(deleted.thing, deleted.through, deleted.source);
    this.#commit.delete(key);
    this.#pending.delete(key);
    if (deleted.source === undefined) return;
    const named = nameOf(deleted.source);
    if (this.#throughOf.get(named) === deleted.through) this.#throughOf.delete(named);
  }

  /** Sequences up to this one are deleted of an affordance; 0: none are. */
  throughOf(source: HistorySource): number {
    return this.#throughOf.get(nameOf(source)) ?? 0;
  }

  #remember(key: string, deleted: DeletedRows): void {
    this.#pending.set(key, deleted);
    if (deleted.source === undefined) return;
    const named = nameOf(deleted.source);
    const through = Math.max(this.#throughOf.get(named) ?? 0, deleted.through);
    this.#throughOf.set(named, through);
  }
}

function nameOf({ thing, of, name }: HistorySource): string {
  return `${thing} ${of} ${name}`;
}
