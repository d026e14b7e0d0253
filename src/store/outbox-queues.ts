import type { OutboxStream } from "./outbox-items.ts";
import type { Page, PageItem } from "./outbox-pages.ts";

/** Items that wait to be handed out, in the order of their numbers: of the newer stream, and all others. */
export class OutboxQueues {
  #live: PageItem[] = [];
  #others: PageItem[] = [];

  lengthOf(stream: OutboxStream): number {
    return this.#of(stream).length;
  }

  /** The next one of a stream, at hand or not. */
  first(stream: OutboxStream): PageItem | undefined {
    return this.#of(stream).find(({ isAcknowledged }) => !isAcknowledged);
  }

  /** What waits already, or is acknowledged, is left out. */
  add(items: readonly PageItem[]): void {
    for (const item of items) {
      if (item.isQueued || item.isAcknowledged) continue;
      item.isQueued = true;
      const queue = item.page.isLive ? this.#live : this.#others;
      const isLast = (queue.at(-1)?.seq ?? 0) < item.seq;
      queue.push(item);
      if (!isLast) queue.sort((a, b) => a.seq - b.seq);
    }
  }

  /** Takes out items that are at hand, up to the first that has to be read. */
  take(stream: OutboxStream, most: number): readonly PageItem[] {
    const queue = this.#of(stream);
    const taken: PageItem[] = [];
    let looked = 0;
    for (; looked < queue.length && taken.length < most; looked += 1) {
      const item = queue[looked];
      if (item === undefined || item.isAcknowledged) continue;
      if (item.content === undefined) break;
      item.isQueued = false;
      taken.push(item);
    }
    queue.splice(0, looked);
    return taken;
  }

  /** There is no newer stream any more: what waited of it is among the others. */
  join(pages: Iterable<Page>): void {
    for (const page of pages) page.isLive = false;
    const live = this.#live;
    this.#live = [];
    for (const item of live) item.isQueued = false;
    this.add(live);
  }

  /** Everything that is not acknowledged waits again; `live`: what goes on with the newer stream. */
  restart(pages: Iterable<Page>, live: ReadonlySet<Page>): void {
    this.#live = [];
    this.#others = [];
    for (const page of pages) {
      page.isLive = live.has(page);
      for (const item of page.items) item.isQueued = false;
      if (page.isSettled) this.add(page.items);
    }
  }

  #of(stream: OutboxStream): PageItem[] {
    return stream === "live" ? this.#live : this.#others;
  }
}
