import { FIXED_LIMITS } from "../limits.ts";
import type { Backlog, BacklogDeps } from "./outbox-backlog.ts";
import { OutboxBell } from "./outbox-bell.ts";
import { hydratePage, type Vanished } from "./outbox-hydrate.ts";
import type { OutboxStream } from "./outbox-items.ts";
import type { LossLedger } from "./outbox-ledger.ts";
import type { LateWrite } from "./outbox-late-write.ts";
import { Numbers } from "./outbox-numbers.ts";
import type { OutboxPages, Page, PageItem } from "./outbox-pages.ts";
import type { Part } from "./outbox-parts.ts";
import { OutboxQueues } from "./outbox-queues.ts";
import type { Reading } from "./outbox-reader.ts";
import { Turns } from "./outbox-turns.ts";

type PagerParts = {
  readonly deps: BacklogDeps;
  readonly backlog: Backlog;
  readonly pages: OutboxPages;
  readonly ledger: LossLedger;
  readonly lateWrite: LateWrite;
  /** The next number. */
  readonly next: number;
};

const NONE: ReadonlySet<Page> = new Set();

/** So many items have numbers before they are asked for. */
const AHEAD = FIXED_LIMITS.outboxPageItemsMax / 2;

/**
 * Makes pages of what is owed, and hands out their items: a page is on disk before any of it is handed
 * out, so that a number always means the same.
 */
export class OutboxPager {
  /** Tells who takes that there may be more. */
  readonly bell: OutboxBell;
  readonly turns = new Turns();
  readonly #parts: PagerParts;
  readonly #queues = new OutboxQueues();
  #next: number;
  /** Counts the lines. */
  #line = 0;
  #isReading = false;

  constructor(parts: PagerParts) {
    this.#parts = parts;
    this.#next = parts.next;
    this.bell = new OutboxBell(parts.deps.commit);
  }

  /** The next number. */
  get next(): number {
    return this.#next;
  }

  async take(stream: OutboxStream, most: number): Promise<readonly PageItem[]> {
    const line = this.#line;
    let items = this.#queues.take(stream, most);
    if (items.length === 0) {
      await this.#fill(stream);
      // Whoever asked for it has no line any more.
      if (line !== this.#line) return [];
      items = this.#queues.take(stream, most);
    }
    if (items.length < most) this.#awaitMore();
    // A fault of the disk is met by whoever waits for what it hides.
    if (this.#queues.lengthOf(stream) < AHEAD) void this.#build(stream, AHEAD).catch(ignore);
    return items;
  }

  /**
   * There is a new line: everything that is not acknowledged waits again. What was of the newer of two
   * streams, or is ahead of older changes, goes on in it, so that each of the two keeps its order.
   */
  rewind(isLiveFirst: boolean): void {
    this.#line += 1;
    const { backlog, pages } = this.#parts;
    const live = isLiveFirst ? pages.goingOn(backlog.oldestUnread) : NONE;
    this.#queues.restart(pages.pages, live);
    this.bell.reset();
  }

  /** There is one stream from now on. */
  join(): void {
    this.#queues.join(this.#parts.pages.pages);
    this.bell.ring();
  }

  /** A gap is owed in the place of an item that was taken. */
  giveUp(item: PageItem, vanished: Vanished): void {
    const { pages, lateWrite } = this.#parts;
    this.#replace(item, vanished);
    pages.put(item.page);
    lateWrite.mark();
    void this.#written().then((isWritten) => {
      if (!isWritten) return;
      pages.showGap(item);
      this.#queues.add([item]);
      this.bell.ring();
    });
  }

  /**
   * Where everything else has been taken and somebody waits for more, what the open batch adds gets its
   * numbers in that batch: no other is needed to send it.
   */
  numberFresh(isLive: boolean): void {
    const { backlog, pages } = this.#parts;
    const fresh = backlog.takeFresh();
    if (fresh === undefined || !this.bell.isHeard || this.#isReading) return;
    if (!isLive && !backlog.isOnePart) return;
    if (pages.countOf(isLive) >= FIXED_LIMITS.outboxPagesMax) return;
    const page = this.#page(fresh.part, fresh.reading, isLive);
    if (page !== undefined) void this.#settle(page);
  }

  close(): void {
    this.#queues.restart([], NONE);
  }

  /** Makes sure that something can be taken, if anything is owed. */
  async #fill(stream: OutboxStream): Promise<void> {
    const first = this.#queues.first(stream);
    if (first === undefined) await this.#build(stream, 1);
    else await this.turns.take(async () => this.#hydrate(first.page));
  }

  /** Gives the next items of a stream their numbers, until so many can be taken. */
  async #build(stream: OutboxStream, wanted: number): Promise<void> {
    const { pages, lateWrite } = this.#parts;
    await this.turns.take(async () => {
      while (
        !lateWrite.isClosed &&
        this.#queues.lengthOf(stream) < wanted &&
        pages.countOf(stream === "live") < FIXED_LIMITS.outboxPagesMax
      ) {
        if (!(await this.#read(stream))) return;
      }
    });
  }

  /** One page. @returns whether there was anything to read. */
  async #read(stream: OutboxStream): Promise<boolean> {
    const line = this.#line;
    const { backlog, lateWrite } = this.#parts;
    const part = backlog.partOf(stream);
    const isSnapshot = stream !== "live" && backlog.hasSnapshot;
    if (part === undefined && !isSnapshot && !backlog.hasLost) return false;
    this.#isReading = true;
    try {
      const reading = isSnapshot || part === undefined ? undefined : await backlog.read(part);
      if (lateWrite.isClosed) return false;
      // Beside a new line it is backlog, and has its turn behind what is older.
      if (stream === "live" && line !== this.#line) return true;
      const page = this.#page(part, reading, stream === "live");
      if (page !== undefined) await this.#settle(page);
    } finally {
      this.#isReading = false;
    }
    return true;
  }

  /** All of it in one batch; `undefined`: nothing of it is to be sent. */
  #page(part: Part | undefined, reading: Reading | undefined, isLive: boolean): Page | undefined {
    const { deps, backlog, pages, lateWrite } = this.#parts;
    const numbers = new Numbers(deps.ids, this.#next, (part?.after ?? 0) + 1);
    if (reading === undefined || part === undefined) backlog.numberSnapshot(numbers);
    else backlog.number(reading, part, numbers);
    const { items, next } = numbers.end();
    this.#next = next;
    lateWrite.request();
    return items.length === 0 ? undefined : pages.add(isLive, items);
  }

  /** Shows a page when it is on disk. */
  async #settle(page: Page): Promise<void> {
    page.isSettled = await this.#written();
    if (page.isSettled) this.#queues.add(page.items);
    this.bell.ring();
  }

  async #hydrate(page: Page): Promise<void> {
    const { deps, pages, lateWrite } = this.#parts;
    // What stands for a gap since a moment ago has to be on disk before it is shown.
    await this.#written();
    const vanished = await hydratePage(deps, page);
    for (const { item, vanished: what } of vanished) this.#replace(item, what);
    if (vanished.length === 0 || lateWrite.isClosed) return;
    pages.put(page);
    lateWrite.request();
    await this.#written();
    for (const { item } of vanished) pages.showGap(item);
  }

  #replace(item: PageItem, { class: of, cause, at }: Vanished): void {
    const { deps, pages, ledger } = this.#parts;
    const { seq, content, page } = item;
    // Of what is gone altogether no time is known but that of its neighbours.
    const near = page.items.find((other) => other.content !== undefined)?.content?.at;
    const since = at ?? near ?? deps.clock.wallMs();
    const times = { since, until: since };
    ledger.add(of, cause, { count: 1, bytes: content?.bytes ?? 0, ...times });
    const gap = { from: seq, to: seq, class: of, cause, ...times };
    pages.replace(item, { id: deps.ids.next(), gap });
  }

  /** Resolves when what was put is on disk, or never will be; with whether it is. */
  async #written(): Promise<boolean> {
    return new Promise((resolve) => {
      this.#parts.deps.commit.settled((failure) => resolve(failure === undefined));
    });
  }

  /** Who took has had less than was asked for. */
  #awaitMore(): void {
    this.bell.await();
    const { changes, acknowledgedSequence } = this.#parts.deps;
    if (acknowledgedSequence() < changes.sequence) this.bell.ringWhenWritten();
  }
}

function ignore(): void {
  return;
}
