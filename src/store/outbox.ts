import type { Added } from "./changes.ts";
import type { Found as StoreLoss } from "./gap-search.ts";
import { CHANGE_CLASSES, changeKey, outboxKey, type ChangeClass } from "./keys.ts";
import type { Now, OutboxAges } from "./outbox-ages.ts";
import { Backlog, type BacklogDeps } from "./outbox-backlog.ts";
import { classOf, isPresent } from "./outbox-content.ts";
import type { Owed, OutboxStream } from "./outbox-items.ts";
import type { LossLedger } from "./outbox-ledger.ts";
import { LateWrite } from "./outbox-late-write.ts";
import type { Held } from "./outbox-open.ts";
import { OutboxPager } from "./outbox-pager.ts";
import type { OutboxPages, PageItem } from "./outbox-pages.ts";
import { plusAmounts, type Place } from "./outbox-place.ts";
import { OutboxRates } from "./outbox-rates.ts";
import type { View } from "./outbox-reader.ts";
import { outboxState, type OutboxState } from "./outbox-state.ts";
import type { OutboxTerms, Owable, Subject } from "./outbox-terms.ts";
import type { UplinkMemory } from "./uplink-memory.ts";
import type { Uplink } from "./uplinks.ts";

export type OutboxDeps = BacklogDeps & {
  /** ms that the store has been open in its life. */
  readonly ageMs: () => number;
  /** Bytes that one outbox may hold of the disk. */
  readonly bytesMax: () => number;
};

/**
 * What one uplink owes: a place in the log of changes, and pages of what comes next, with numbers of the
 * uplink's own.
 */
export class Outbox {
  readonly memory: UplinkMemory;
  readonly #deps: OutboxDeps;
  readonly #ledger: LossLedger;
  readonly #pages: OutboxPages;
  readonly #backlog: Backlog;
  readonly #ages: OutboxAges;
  readonly #rates: OutboxRates;
  readonly #pager: OutboxPager;
  readonly #lateWrite: LateWrite;
  #uplink: Uplink;
  #terms: OutboxTerms;
  /** What came before this sequence was there before the line. */
  #backlogThrough: number;
  #counts = { added: 0, acknowledged: 0 };
  #ackedAtMonotonicMs: number | undefined;
  #areAgesDirty = false;
  #relieving: Promise<void> | undefined;

  constructor(deps: OutboxDeps, uplink: Uplink, terms: OutboxTerms, held: Held) {
    this.#deps = deps;
    this.#uplink = uplink;
    this.#terms = terms;
    this.#lateWrite = new LateWrite(deps.clock, () => this.write());
    this.memory = held.memory;
    this.#ledger = held.ledger;
    this.#pages = held.pages;
    this.#ages = held.ages;
    this.#backlogThrough = deps.changes.sequence;
    this.#backlog = new Backlog(deps, this.#ledger, this.#view, held);
    const { pages, ledger } = held;
    const own = { backlog: this.#backlog, lateWrite: this.#lateWrite };
    this.#rates = new OutboxRates(this.#seen);
    this.#pager = new OutboxPager({ deps, pages, ledger, ...own, next: held.place.next });
    this.rewind();
  }

  get uplink(): Uplink {
    return this.#uplink;
  }

  get state(): OutboxState {
    if (this.#rates.isDue(this.#deps.clock.monotonicMs())) this.#rates.look(this.#seen);
    const parts = {
      backlog: this.#backlog,
      pages: this.#pages,
      rates: this.#rates,
      ledger: this.#ledger,
    };
    return outboxState(parts, {
      ackedSeq: this.#ackedSeq,
      ackedAtMonotonicMs: this.#ackedAtMonotonicMs,
      counts: this.#counts,
      wallMs: this.#deps.clock.wallMs(),
    });
  }

  /**
   * The next items of a stream behind those already taken, in order. Empty: nothing is owed now, or
   * very much is under way.
   * @throws GatewayError `storage-failed` while the database cannot be read.
   */
  async take(stream: OutboxStream, most: number): Promise<readonly Owed[]> {
    const items = await this.#pager.take(stream, most);
    return items.flatMap((item) => this.#owed(item));
  }

  /** Upstream has it. In any order; twice is as once. */
  acknowledge(seq: number): void {
    const item = this.#pages.get(seq);
    if (item === undefined) return;
    this.#pages.acknowledge(item);
    this.#counts.acknowledged += 1;
    this.#ackedAtMonotonicMs = this.#deps.clock.monotonicMs();
    this.#lateWrite.request();
    if (item.page.unacknowledged === 0) this.#pager.bell.ring();
  }

  /** It can never be delivered: in its place a gap record is owed, with the same number. */
  giveUp(seq: number, cause: "too-large" | "undeliverable"): void {
    const item = this.#pages.get(seq);
    const content = item?.content;
    // Only what is under way: what waits to be taken (again) may be said by another line.
    if (item === undefined || content === undefined || item.isQueued) return;
    if (content.item.kind === "gap") {
      this.acknowledge(seq);
      return;
    }
    this.#pager.giveUp(item, { class: classOf(content.item), cause, at: content.at });
  }

  /**
   * There is a new line: what was taken and not acknowledged is taken again, and what is there by now
   * is backlog. Call it before the first `take` of each line.
   */
  rewind(): void {
    this.#rates.turn();
    this.#backlogThrough = this.#deps.changes.sequence;
    if (this.#terms.order === "live-first") this.#backlog.split(this.#backlogThrough);
    this.#pager.rewind(this.#terms.order === "live-first");
    this.#lateWrite.request();
  }

  /** The line is gone. */
  lineEnded(): void {
    this.#rates.turn();
  }

  /** Calls back when something may be owed that was not; returns what ends that. */
  onOwed(callback: () => void): () => void {
    return this.#pager.bell.listen(callback);
  }

  /** Whether a change is owed and not acknowledged. */
  owes(of: ChangeClass, sequence: number): boolean {
    return this.#pages.holds(changeKey(of, sequence)) || this.#backlog.owes(of, sequence);
  }

  // What the store tells and asks.

  /** A change is added to the log. */
  added(added: Added, subject: Subject | undefined): void {
    this.#lateWrite.mark();
    if (!this.#backlog.add(added, subject)) return;
    this.#counts.added += 1;
    this.#pager.bell.ringWhenWritten();
    // The next look tells of a fault.
    if (this.#backlog.isTooMuch(added.class)) void this.#relieve().catch(ignore);
  }

  /** A row of the log is about to be deleted by a user. */
  rowGoes(of: ChangeClass, sequence: number): void {
    this.#backlog.rowGoes(of, sequence);
    this.#pages.rowGoes(changeKey(of, sequence));
    this.#lateWrite.request();
  }

  /** Changes are gone from the log, and nobody deleted them. */
  lose(loss: StoreLoss): void {
    this.#backlog.lose(loss);
    this.#lateWrite.request();
    this.#pager.bell.ring();
  }

  /** The first sequence of a class that the log has to keep; `Infinity`: it need not keep any. */
  neededFrom(of: ChangeClass): number {
    return Math.min(this.#pages.neededFrom(of), this.#backlog.neededFrom(of));
  }

  /** New settings. What is owed stays owed, and numbers go on. */
  change(uplink: Uplink, terms: OutboxTerms): void {
    this.#uplink = uplink;
    this.#terms = terms;
    this.#backlog.setView(this.#view, this.#deps.bytesMax());
    if (terms.order === "strict") this.#pager.join();
    this.#lateWrite.request();
    this.#pager.bell.ring();
  }

  /** Looks at rates, ages and bounds: to be called now and then. Resolves when it is within them. */
  async look(): Promise<void> {
    this.#rates.look(this.#seen);
    this.#backlog.setView(this.#view, this.#deps.bytesMax());
    if (this.#ages.mark(this.#terms.bounds, this.#now)) {
      this.#areAgesDirty = true;
      this.#lateWrite.request();
    }
    await this.#relieve();
  }

  /** What was dropped since this was asked last, by cause and class. */
  takeDropped(): ReturnType<LossLedger["takeUntold"]> {
    return this.#ledger.takeUntold();
  }

  /** Puts what has changed into the open batch. */
  write(): void {
    if (this.#lateWrite.isClosed) return;
    this.#pager.numberFresh(this.#terms.order === "live-first");
    if (!this.#lateWrite.take()) return;
    const { commit } = this.#deps;
    const { number } = this.#uplink;
    commit.put(outboxKey(number, "place"), JSON.stringify(this.#placeRow));
    const drops = this.#backlog.takeDrops();
    if (drops !== undefined) commit.put(outboxKey(number, "drops"), JSON.stringify(drops.row));
    if (this.#areAgesDirty) commit.put(outboxKey(number, "ages"), JSON.stringify(this.#ages.row));
    this.#areAgesDirty = false;
    this.#ledger.write();
    this.#pages.write();
  }

  /** Puts what is not on disk; nothing is put after it. Idempotent. */
  stop(): void {
    this.write();
    this.#lateWrite.close();
  }

  /** Takes all of it from the disk. */
  erase(): void {
    this.#lateWrite.close();
    const { commit } = this.#deps;
    for (const of of ["place", "drops", "ages"] as const) {
      commit.delete(outboxKey(this.#uplink.number, of));
    }
    this.#ledger.erase();
    this.#pages.erase();
    this.#pager.close();
    this.memory.erase();
  }

  get #seen(): Parameters<OutboxRates["look"]>[0] {
    const owed = plusAmounts(this.#backlog.bounds.pending, this.#pages.amounts);
    const { unread } = this.#pages;
    return { ms: this.#deps.clock.monotonicMs(), ...this.#counts, owed, unread };
  }

  get #now(): Now {
    const { changes, ageMs, clock } = this.#deps;
    return { sequence: changes.sequence, ageMs: Math.round(ageMs()), at: clock.wallMs() };
  }

  get #placeRow(): Place {
    const { next } = this.#pager;
    const { extents: pages, live } = this.#pages;
    return { ...this.#backlog.place, next, acknowledged: this.#ackedSeq, pages, live };
  }

  get #ackedSeq(): number {
    const first = this.#pages.first;
    if (first === undefined) return this.#pager.next - 1;
    const { ref, seq } = first;
    return (typeof ref === "object" && "gap" in ref ? ref.gap.from : seq) - 1;
  }

  get #view(): View {
    const { bounds, isOwed } = this.#terms;
    return {
      bounds,
      isOwed: (change: Owable, subject: Subject | undefined) =>
        isOwed(change, subject, this.memory),
    };
  }

  #owed({ seq, content, page }: PageItem): readonly Owed[] {
    if (content === undefined) return [];
    const { id, at, item, bytes, sequence } = content;
    const isNew = sequence > this.#backlogThrough;
    const marks = { isNew, isBacklog: !isNew && !page.isLive };
    return [{ seq, id, at, item, bytes, ...marks, isPresent: isPresent(this.#deps, item) }];
  }

  /** Drops what the bounds have no room for. */
  async #relieve(): Promise<void> {
    this.#relieving ??= this.#relieveAll().finally(() => {
      this.#relieving = undefined;
    });
    await this.#relieving;
  }

  async #relieveAll(): Promise<void> {
    for (const of of CHANGE_CLASSES) {
      const expired = this.#ages.expired(of, this.#terms.bounds, this.#now);
      let dropped = 1;
      while (dropped > 0 && !this.#lateWrite.isClosed) {
        dropped = await this.#pager.turns.take(async () => this.#backlog.relieve(of, expired));
        if (dropped > 0) this.#lateWrite.request();
      }
    }
  }
}

function ignore(): void {
  return;
}
