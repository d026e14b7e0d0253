import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Added, ChangeLog, RecordedChange } from "./changes.ts";
import type { Commit } from "./commit.ts";
import type { Found as StoreLoss } from "./gap-search.ts";
import { CHANGE_CLASSES, changeKey, type ChangeClass } from "./keys.ts";
import { OutboxBounds } from "./outbox-bounds.ts";
import { NO_LOSS, plus, type DropRanges, type Loss } from "./outbox-drops.ts";
import type { DropCause, OutboxStream } from "./outbox-items.ts";
import type { LossLedger } from "./outbox-ledger.ts";
import { oldestRows, type RowStep } from "./outbox-log.ts";
import type { Numbers } from "./outbox-numbers.ts";
import {
  isIn,
  partsFromJson,
  partsToJson,
  splitAt,
  without,
  type Part,
  type Parts,
} from "./outbox-parts.ts";
import type { Lost, Place } from "./outbox-place.ts";
import {
  isOwedChange,
  judge,
  readable,
  readPart,
  type Found,
  type ReaderDeps,
  type Reading,
  type View,
} from "./outbox-reader.ts";
import { isAtEnd, readSnapshot, type SnapshotPlace } from "./outbox-snapshot.ts";
import type { Subject } from "./outbox-terms.ts";

export type BacklogDeps = ReaderDeps & {
  readonly commit: Commit;
  readonly changes: ChangeLog;
  readonly clock: Clock;
  /** The newest sequence on disk. */
  readonly acknowledgedSequence: () => number;
};

/** What an uplink owes of the log and has not numbered yet. */
export class Backlog {
  readonly #deps: BacklogDeps;
  readonly #ledger: LossLedger;
  readonly bounds: OutboxBounds;
  #view: View;
  #parts: Parts;
  #snapshots: readonly SnapshotPlace[];
  readonly #drops: DropRanges;
  #lost: readonly Lost[];
  #oldestAt: number;
  /** Rows that were deleted while a part of the log is read. */
  #gone: Set<string> | undefined;
  #isDropsDirty = false;
  /** What the open batch adds, and the last sequence before it. */
  #fresh: { readonly of: ChangeClass; readonly sequence: number }[] = [];
  #freshAfter: number;

  constructor(
    deps: BacklogDeps,
    ledger: LossLedger,
    view: View,
    held: { readonly place: Place; readonly drops: DropRanges },
  ) {
    const { place, drops } = held;
    this.#deps = deps;
    this.#ledger = ledger;
    this.#view = view;
    this.#parts = partsFromJson(place.parts);
    this.#snapshots = place.snapshots;
    this.#drops = drops;
    this.#lost = place.lost;
    this.#oldestAt = place.oldestAt;
    this.#freshAfter = deps.changes.sequence;
    this.bounds = new OutboxBounds(view.bounds, place.pending, place.closed);
  }

  /** As the disk is to have it. */
  get place(): Omit<Place, "next" | "acknowledged" | "pages" | "live"> {
    return {
      parts: partsToJson(this.#parts).map(([after, through]) => [after, through]),
      snapshots: [...this.#snapshots],
      pending: this.bounds.pending,
      oldestAt: this.#oldestAt,
      closed: [...this.bounds.full],
      lost: [...this.#lost],
    };
  }

  /** The drop ranges, if they have changed since they were asked for. */
  takeDrops(): DropRanges | undefined {
    const isDirty = this.#isDropsDirty;
    this.#isDropsDirty = false;
    return isDirty ? this.#drops : undefined;
  }

  get oldestAt(): number {
    return this.#oldestAt;
  }

  /** Values that are owed though the rows that set them were passed over. */
  get carried(): number {
    const carried = this.#snapshots.map((snapshot) => snapshot.carried ?? 0);
    return carried.reduce((sum, count) => sum + count, this.#drops.carried);
  }

  get hasSnapshot(): boolean {
    return this.#snapshots.length > 0;
  }

  get hasLost(): boolean {
    return this.#lost.length > 0;
  }

  /** Nothing older waits to be read, where there is more than what is new; `Infinity`: there is not. */
  get oldestUnread(): number {
    if (this.hasSnapshot) return 0;
    const [first] = this.#parts;
    return first === undefined || this.#parts.length === 1 ? Infinity : first.after + 1;
  }

  get isSnapshotDone(): boolean {
    return this.#snapshots.every(({ carried }) => carried !== undefined);
  }

  setView(view: View, bytesMax: number): void {
    this.#view = view;
    this.bounds.set(view.bounds, bytesMax);
  }

  neededFrom(of: ChangeClass): number {
    return this.#drops.neededFrom(of, this.#parts);
  }

  /** Whether a change of the log is owed, and not numbered. */
  owes(of: ChangeClass, sequence: number): boolean {
    if (!isIn(this.#parts, sequence) || this.#drops.covers(of, sequence)) return false;
    return this.#owedRow(of, sequence) !== undefined;
  }

  /** @returns whether it is owed: while its class takes nothing new, it is not. */
  add(added: Added, subject: Subject | undefined): boolean {
    const { class: of, sequence, at, bytes } = added;
    // Also what is not owed now: when the batch is closed, more may be known of it.
    if (this.#fresh.length <= FIXED_LIMITS.outboxFreshMax) this.#fresh.push({ of, sequence });
    if (added.isBlank || !this.#view.isOwed(added, subject)) return false;
    if (this.#view.bounds[of].rule === "keep-oldest") {
      const isEpisode = this.bounds.full.includes(of);
      const cause = this.bounds.fullFor(of);
      if (cause !== undefined) {
        const before = isEpisode ? this.#drops.before(of, sequence) : undefined;
        const loss = { count: 1, bytes, since: at, until: at };
        this.#drop(of, { from: (before?.to ?? sequence - 1) + 1, to: sequence }, cause, loss);
        return false;
      }
    }
    if (this.bounds.isEmpty) this.#oldestAt = at;
    this.bounds.add(of, bytes);
    return true;
  }

  /** A row of the log is about to be deleted by a user. */
  rowGoes(of: ChangeClass, sequence: number): void {
    if (!isIn(this.#parts, sequence) || this.#drops.covers(of, sequence)) return;
    const owed = this.#owedRow(of, sequence);
    if (owed === undefined) return;
    const { at, bytes } = owed;
    this.#gone?.add(changeKey(of, sequence));
    this.bounds.remove(of, { rows: 1, bytes });
    this.#lose({ class: of, cause: "deleted", since: at, until: at, count: 1, bytes, numbers: 1 });
  }

  /** Changes are gone from the log, and nobody deleted them. */
  lose({ cause, class: of, from, to, count, since, until }: StoreLoss): void {
    const now = this.#deps.clock.wallMs();
    const isOfAny = this.#parts.some((part) => from <= part.through && to > part.after);
    if (!isOfAny) return;
    if (of !== undefined && !this.#view.isOwed({ class: of, thing: 0 }, undefined)) return;
    if (of !== undefined) this.bounds.remove(of, { rows: count, bytes: 0 });
    // The numbers of a lost tail may have been given: none of them is given again.
    const numbers = cause === "tail-lost" ? Math.max(count, to - from + 1) : count;
    const times = { since: since ?? until ?? now, until: until ?? now };
    const kind = of === undefined ? { cause } : { class: of, cause };
    this.#lose({ ...kind, ...times, count, bytes: 0, numbers });
  }

  /** There is a new line: what is there by now is read apart from what comes. */
  split(sequence: number): void {
    this.#parts = splitAt(this.#parts, sequence, FIXED_LIMITS.outboxPartsMax);
  }

  /** What a stream reads next; `undefined`: nothing of it is on disk. */
  partOf(stream: OutboxStream): Part | undefined {
    const last = this.#parts.at(-1);
    const part = stream === "live" ? last : this.#parts[0];
    if (part === undefined || (stream === "backlog" && part === last)) return undefined;
    const through = Math.min(part.through, this.#deps.acknowledgedSequence());
    return through > part.after ? { after: part.after, through } : undefined;
  }

  /**
   * What the open batch adds to the log, if that is little and all before it has been read: to be asked
   * once for each batch, before it is closed.
   */
  takeFresh(): { readonly part: Part; readonly reading: Reading } | undefined {
    const [fresh, after] = [this.#fresh, this.#freshAfter];
    const through = this.#deps.changes.sequence;
    this.#fresh = [];
    this.#freshAfter = through;
    const isHead = this.#parts.at(-1)?.after === after && !this.#drops.reach(after);
    if (!isHead || fresh.length === 0 || fresh.length > FIXED_LIMITS.outboxFreshMax)
      return undefined;
    const found = fresh.flatMap(({ of, sequence }): readonly Found[] => {
      const key = changeKey(of, sequence);
      const row = this.#deps.commit.read(key);
      if (row === undefined) return [];
      const judged = judge(this.#deps, this.#view, { kind: "row", of, sequence, key, row });
      return judged === undefined ? [] : [judged];
    });
    return { part: { after, through }, reading: { found, through } };
  }

  /** Nothing is left to read but what is new. */
  get isOnePart(): boolean {
    return this.#parts.length === 1 && !this.hasSnapshot;
  }

  /** Nothing else is read meanwhile. */
  async read(part: Part): Promise<Reading> {
    this.#gone = new Set();
    return readPart(this.#deps, this.#view, part, this.#drops);
  }

  /** Gives numbers to what has been read: synchronous, so that all of it is in one batch. */
  number({ found, through }: Reading, { after }: Part, numbers: Numbers): void {
    this.#tellLost(numbers);
    const read = { after, through };
    const gone = this.#gone;
    this.#gone = undefined;
    for (const one of found) {
      if (one.kind === "passed") this.#pass(one.of, one.sequence, read, numbers);
      else if (gone?.has(one.key) !== true) this.#numberRow(one, numbers);
    }
    this.#parts = without(this.#parts, read);
    const isEmpty = this.#parts.every((part) => part.after >= this.#deps.changes.sequence);
    if (isEmpty) for (const of of CHANGE_CLASSES) this.bounds.clear(of);
    for (const of of this.bounds.full) this.bounds.fullFor(of);
  }

  /** The same of a snapshot, where one is to be sent: it comes before what the log has. */
  numberSnapshot(numbers: Numbers): void {
    this.#tellLost(numbers);
    const [first, ...rest] = this.#snapshots;
    if (first === undefined) return;
    const { isOwed } = this.#view;
    const { items, place } = readSnapshot({ ...this.#deps, isOwed }, first);
    for (const item of items) numbers.add(item);
    this.#snapshots = isAtEnd(place) ? rest : [place, ...rest];
    if (!isAtEnd(place) || place.carried === undefined) return;
    const now = this.#deps.clock.wallMs();
    const loss = { count: place.carried, bytes: 0, since: now, until: now };
    if (loss.count > 0) this.#ledger.add("property", "superseded", loss);
    numbers.lose("property", "superseded", loss);
  }

  /**
   * Drops some of the oldest rows of a class: up to a sequence, or until it has room. Nothing else is
   * read meanwhile. Resolves with how many; there may be more, unless that is 0.
   */
  async relieve(of: ChangeClass, expired: number): Promise<number> {
    if (this.#relief(of) === undefined && expired < this.neededFrom(of)) return 0;
    const { database, acknowledgedSequence, changes } = this.#deps;
    const acknowledged = acknowledgedSequence();
    const oldest = await oldestRows(database, of, this.#parts, this.#drops, acknowledged);
    // Nothing is there, whatever was counted.
    if (oldest === undefined && acknowledged === changes.sequence) this.bounds.clear(of);
    if (oldest === undefined) return 0;
    let dropped = 0;
    for (const row of oldest.rows) {
      const cause = row.sequence <= expired ? "bounds-age" : this.#relief(of);
      if (cause === undefined) break;
      this.#dropRow(oldest.part, row, cause);
      dropped += 1;
    }
    return dropped;
  }

  /** Whether a class has to lose its oldest rows. */
  isTooMuch(of: ChangeClass): boolean {
    return this.#relief(of) !== undefined;
  }

  /** Why a class that does not refuse what is new has too much. */
  #relief(of: ChangeClass): DropCause | undefined {
    const { rule } = this.#view.bounds[of];
    const cause = rule === "keep-oldest" ? undefined : this.bounds.fullFor(of);
    return cause !== undefined && rule === "latest-only" ? "superseded" : cause;
  }

  #dropRow(part: Part, row: RowStep, cause: DropCause): void {
    const { of, sequence } = row;
    const from = Math.max(part.after, this.#drops.before(of, sequence)?.to ?? 0) + 1;
    const owed = this.#owedRow(of, sequence);
    if (owed === undefined) {
      this.#drop(of, { from, to: sequence }, cause, NO_LOSS);
      return;
    }
    const { at, bytes, change } = owed;
    this.bounds.remove(of, { rows: 1, bytes });
    const carried = cause === "superseded" ? presentValues(this.#deps, change) : 0;
    const loss = carried > 0 ? NO_LOSS : { count: 1, bytes, since: at, until: at };
    this.#drop(of, { from, to: sequence }, cause, loss, carried);
  }

  #drop(
    of: ChangeClass,
    extent: { readonly from: number; readonly to: number },
    cause: DropCause,
    loss: Loss,
    carried = 0,
  ): void {
    this.#drops.add(of, { ...extent, place: extent.to, ...loss, cause, carried });
    if (loss.count > 0) this.#ledger.add(of, cause, loss);
    this.#isDropsDirty = true;
  }

  #numberRow(found: Exclude<Found, { kind: "passed" }>, numbers: Numbers): void {
    if (found.kind === "change") {
      const { of, key, content } = found;
      this.bounds.remove(of, { rows: 1, bytes: content.bytes });
      this.#oldestAt = Math.max(this.#oldestAt, content.at);
      numbers.add({ ref: key, content });
      return;
    }
    const { of, cause, loss } = found;
    this.bounds.remove(of, { rows: loss.count, bytes: loss.bytes });
    this.#ledger.add(of, cause, loss);
    numbers.lose(of, cause, loss);
  }

  /** A range that is passed over: a gap, and the values that are carried are sent next. */
  #pass(of: ChangeClass, sequence: number, read: Part, numbers: Numbers): void {
    const range = this.#drops.take(of, sequence, read);
    if (range === undefined) return;
    this.#isDropsDirty = true;
    numbers.lose(of, range.cause, range);
    if (range.carried === 0) return;
    const { from, to, carried } = range;
    const lastThing = this.#deps.things.lastNumber;
    const snapshot = { after: from - 1, through: to, lastThing, thing: 1, carried };
    this.#snapshots = [...this.#snapshots, snapshot];
  }

  /** Waits for the next page. Losses of one kind are one. */
  #lose(lost: Lost): void {
    this.#ledger.add(lost.class, lost.cause, lost);
    const isSameKind = (one: Lost): boolean => one.class === lost.class && one.cause === lost.cause;
    const before = this.#lost.find(isSameKind);
    const sum = { ...lost, ...plus(before, lost), numbers: (before?.numbers ?? 0) + lost.numbers };
    this.#lost = [...this.#lost.filter((one) => !isSameKind(one)), sum];
  }

  #tellLost(numbers: Numbers): void {
    for (const { class: of, cause, numbers: count, ...loss } of this.#lost) {
      numbers.lose(of, cause, { ...loss, count });
    }
    this.#lost = [];
  }

  #owedRow(of: ChangeClass, sequence: number): OwedRow | undefined {
    const key = changeKey(of, sequence);
    const row = this.#deps.commit.read(key);
    if (row === undefined) return undefined;
    const change = readable(this.#deps.database, { kind: "row", of, sequence, key, row });
    if (change === undefined) return undefined;
    const isOwed = isOwedChange(this.#view, change, this.#deps.things.byNumber(change.thing));
    return isOwed ? { change, at: change.at, bytes: row.length } : undefined;
  }
}

type OwedRow = {
  readonly change: RecordedChange;
  readonly at: number;
  readonly bytes: number;
};

/** How many of the values that it set are the present ones. */
function presentValues({ properties }: BacklogDeps, change: RecordedChange): number {
  if (change.class !== "property") return 0;
  return Object.keys(change.values).filter((name) => {
    return properties.get(change.thing, name)?.sequence === change.sequence;
  }).length;
}
