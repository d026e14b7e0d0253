import type { Test } from "tap";
import type { ChangeClass } from "../../src/store/keys.ts";
import type { Owed } from "../../src/store/outbox-items.ts";
import type { Site } from "./outbox-site.ts";

/** Everything that was handed out, as whoever stands upstream would keep it. */
export class Account {
  /** Of each number all that it was handed out as. */
  readonly #bySeq = new Map<number, Owed[]>();

  note(items: readonly Owed[]): void {
    for (const owed of items) {
      const before = this.#bySeq.get(owed.seq) ?? [];
      this.#bySeq.set(owed.seq, [...before, owed]);
    }
  }

  /** What is wrong; nothing: every change was handed out once, or is named by a gap. */
  faults(appended: ReadonlyMap<number, ChangeClass>, site: Site): readonly string[] {
    const faults: string[] = [];
    const last = [...this.#bySeq.entries()].sort(([a], [b]) => a - b);
    let next = 1;
    const told = new Map<string, number>();
    const sequences: number[] = [];
    for (const [seq, all] of last) {
      faults.push(...idFaults(seq, all));
      const { item, id } = all.at(-1)!;
      if (item.kind === "gap") {
        const { from, to, class: of, cause } = item.gap;
        if (from !== next) faults.push(`gap from ${from}, expected ${next}`);
        const kind = `${cause} ${of ?? ""}`;
        told.set(kind, (told.get(kind) ?? 0) + to - from + 1);
        // In the place of one item it has that one's number, else the one behind those it names.
        if (seq !== to + 1 && !(seq === from && seq === to)) faults.push(`gap ${seq} of ${from}`);
      } else {
        if (seq !== next) faults.push(`number ${seq}, expected ${next}`);
        sequences.push(site.store.ids.momentOf(id)?.sequence ?? 0);
      }
      next = seq + 1;
    }
    faults.push(...countFaults(appended, sequences, told), ...ledgerFaults(told, site));
    return faults;
  }

  /** Sequences in the order of their numbers. */
  sequences(site: Site): readonly number[] {
    const items = [...this.#bySeq.values()].map((all) => all.at(-1)!);
    return items
      .filter(({ item }) => item.kind !== "gap")
      .sort((a, b) => a.seq - b.seq)
      .map(({ id }) => site.store.ids.momentOf(id)?.sequence ?? 0);
  }
}

/** An id changes once at most: when a gap comes in its place. */
function idFaults(seq: number, all: readonly Owed[]): readonly string[] {
  const ids = all.map(({ id, item }) => `${item.kind === "gap" ? "gap" : "item"} ${id}`);
  const changes = ids.filter((id, index) => index > 0 && id !== ids[index - 1]);
  const isSound = changes.length === 0 || (changes.length === 1 && changes[0]!.startsWith("gap"));
  return isSound ? [] : [`number ${seq} had the ids ${ids.join(", ")}`];
}

function countFaults(
  appended: ReadonlyMap<number, ChangeClass>,
  sequences: readonly number[],
  told: ReadonlyMap<string, number>,
): readonly string[] {
  const faults: string[] = [];
  const seen = new Set<number>();
  for (const sequence of sequences) {
    if (seen.has(sequence)) faults.push(`change ${sequence} has two numbers`);
    if (!appended.has(sequence)) faults.push(`change ${sequence} is invented`);
    seen.add(sequence);
  }
  const missing = new Map<ChangeClass, number>();
  for (const [sequence, of] of appended) {
    if (!seen.has(sequence)) missing.set(of, (missing.get(of) ?? 0) + 1);
  }
  for (const of of ["property", "action", "event", "data", "thing"] as const) {
    const named = [...told]
      .filter(([kind]) => kind.endsWith(` ${of}`))
      .reduce((sum, [, count]) => sum + count, 0);
    const lost = missing.get(of) ?? 0;
    if (named !== lost) faults.push(`${lost} of class ${of} are missing, gaps name ${named}`);
  }
  return faults;
}

function ledgerFaults(told: ReadonlyMap<string, number>, site: Site): readonly string[] {
  const noted = new Map<string, number>();
  for (const { cause, class: of, count } of site.outbox.state.drops) {
    const kind = `${cause} ${of ?? ""}`;
    noted.set(kind, (noted.get(kind) ?? 0) + count);
  }
  return [...new Set([...told.keys(), ...noted.keys()])]
    .filter((kind) => told.get(kind) !== noted.get(kind))
    .map((kind) => `${kind}: gaps name ${told.get(kind) ?? 0}, the ledger ${noted.get(kind) ?? 0}`);
}

/** Nothing is left of the outbox on disk but where it stands. */
export async function assertEmpty(t: Test, site: Site): Promise<void> {
  t.match(site.outbox.state.depth, { rows: 0, bytes: 0, oldestAgeMs: 0 });
  site.opened.clock.advance(10_000);
  const rows = await site.opened.rows("q:o");
  const letters = [...rows.keys()].map((key) => key.charAt(7)).filter((letter) => letter === "p");
  t.same(letters, [], "no page is left");
}
