import type { Ids } from "./ids.ts";
import type { ChangeClass } from "./keys.ts";
import { gapContent } from "./outbox-content.ts";
import { plus, type Loss } from "./outbox-drops.ts";
import type { DropCause, GapRecord } from "./outbox-items.ts";
import type { Numbered } from "./outbox-pages.ts";

type Run = { readonly of: ChangeClass | undefined; readonly cause: DropCause; readonly loss: Loss };

/** Gives the items of a page their numbers. What is lost keeps its numbers, and a gap names them. */
export class Numbers {
  readonly #ids: Ids;
  /** Where gaps belong in the log. */
  readonly #sequence: number;
  readonly #items: (Numbered & { readonly seq: number })[] = [];
  #next: number;
  #run: Run | undefined;

  constructor(ids: Ids, next: number, sequence: number) {
    this.#ids = ids;
    this.#next = next;
    this.#sequence = sequence;
  }

  add({ ref, content }: Numbered): void {
    this.#endRun();
    this.#items.push({ ref, content, seq: this.#next });
    this.#next += 1;
  }

  /** Losses of one kind that follow each other are one gap. */
  lose(of: ChangeClass | undefined, cause: DropCause, loss: Loss): void {
    const run = this.#run;
    if (run?.of === of && run?.cause === cause) {
      this.#run = { of, cause, loss: plus(run.loss, loss) };
      return;
    }
    this.#endRun();
    if (loss.count > 0) this.#run = { of, cause, loss };
  }

  /** All that was added, and the number that comes next. */
  end(): {
    readonly items: readonly (Numbered & { readonly seq: number })[];
    readonly next: number;
  } {
    this.#endRun();
    return { items: this.#items, next: this.#next };
  }

  #endRun(): void {
    const run = this.#run;
    if (run === undefined) return;
    this.#run = undefined;
    const { of, cause, loss } = run;
    const from = this.#next;
    this.#next += loss.count;
    const gap: GapRecord = {
      from,
      to: this.#next - 1,
      ...(of === undefined ? {} : { class: of }),
      cause,
      since: loss.since,
      until: loss.until,
    };
    this.add(gapItem(this.#ids, gap, this.#sequence));
  }
}

export function gapItem(ids: Ids, gap: GapRecord, sequence: number): Numbered {
  const id = ids.next();
  return { ref: { id, gap }, content: gapContent(id, gap, sequence) };
}
