import { FIXED_LIMITS } from "../limits.ts";
import type { HistoryPage, Slice } from "../store/history.ts";
import type { Ids } from "../store/ids.ts";
import type { Moment, MomentBounds } from "../store/keys.ts";
import type { Json } from "../thing/json.ts";
import type { Answer, Call } from "./call.ts";
import { formatQuery, invalidParameter, single, type Query } from "./query.ts";

/** The parameters of every list. */
export const PAGE_PARAMETERS = ["limit", "next_cursor", "previous_cursor"] as const;

/** Which part of a list is asked for: what follows the cursor's item, or what stands before it. */
export type PageRequest = {
  readonly limit: number;
  readonly cursor: { readonly to: "next" | "previous"; readonly id: string } | undefined;
};

/** Cursors are empty where there is no such page. */
export type Page<Item> = {
  readonly items: readonly Item[];
  readonly next: string;
  readonly previous: string;
};

/** @throws GatewayError `invalid-parameter`. */
export function readPageRequest(query: Query): PageRequest {
  const text = single(query, "limit");
  const { pageItemsDefault, pageItemsMax } = FIXED_LIMITS;
  const limit = text === undefined ? pageItemsDefault : /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (limit < 1 || limit > pageItemsMax) {
    throw invalidParameter("limit", `must be an integer from 1 to ${pageItemsMax}`);
  }
  // An empty cursor is what an answer shows where there is no further page.
  const next = single(query, "next_cursor") ?? "";
  const previous = single(query, "previous_cursor") ?? "";
  if (next !== "" && previous !== "") {
    throw invalidParameter("next_cursor", "and previous_cursor exclude each other");
  }
  if (next !== "") return { limit, cursor: { to: "next", id: next } };
  return { limit, cursor: previous === "" ? undefined : { to: "previous", id: previous } };
}

/** A page of what is in memory. `place` is below, at or above 0 before, at and behind the cursor. */
export function pageOf<Item>(
  sorted: readonly Item[],
  { limit, cursor }: PageRequest,
  idOf: (item: Item) => string,
  place: (item: Item, cursor: string) => number,
): Page<Item> {
  const ends = cursor?.to === "previous";
  const found =
    cursor === undefined
      ? 0
      : firstIndex(sorted, (item) => {
          const at = place(item, cursor.id);
          return ends ? at >= 0 : at > 0;
        });
  const start = ends ? Math.max(0, found - limit) : found;
  const items = sorted.slice(start, ends ? found : start + limit);
  const [first, last] = [items[0], items.at(-1)];
  const isLast = start + items.length >= sorted.length;
  return {
    items,
    next: last === undefined || isLast ? "" : idOf(last),
    previous: first === undefined || start === 0 ? "" : idOf(first),
  };
}

/** A page of what sorts by its id. */
export function pageById<Item>(
  sorted: readonly Item[],
  request: PageRequest,
  idOf: (item: Item) => string,
): Page<Item> {
  return pageOf(sorted, request, idOf, (item, cursor) => {
    const id = idOf(item);
    return id < cursor ? -1 : id === cursor ? 0 : 1;
  });
}

/** By bisection. */
function firstIndex<Item>(sorted: readonly Item[], isFrom: (item: Item) => boolean): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = sorted[middle];
    if (item !== undefined && isFrom(item)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * A page of a history on disk, newest first, between exclusive bounds.
 * @throws GatewayError `invalid-parameter` for a cursor that is not of this store.
 */
export async function historyPage<Item>(
  ids: Pick<Ids, "momentOf" | "ofMoment">,
  { limit, cursor }: PageRequest,
  bounds: MomentBounds,
  history: {
    readonly read: (slice: Slice) => Promise<HistoryPage<Item>>;
    readonly momentOf: (item: Item) => Moment;
  },
): Promise<Page<Item>> {
  const moment = cursor === undefined ? undefined : ids.momentOf(cursor.id);
  if (cursor !== undefined && moment === undefined) {
    throw invalidParameter(`${cursor.to}_cursor`, "is not a cursor of this list");
  }
  const isBackward = cursor?.to === "previous";
  const { items, more } = await history.read({
    limit,
    after: isBackward ? extreme(bounds.after, moment, 1) : bounds.after,
    before: isBackward ? bounds.before : extreme(bounds.before, moment, -1),
    oldestFirst: isBackward,
  });
  const shown = isBackward ? items.toReversed() : items;
  const idOf = (item: Item | undefined): string =>
    item === undefined ? "" : ids.ofMoment(history.momentOf(item));
  return {
    items: shown,
    next: more || isBackward ? idOf(shown.at(-1)) : "",
    previous: isBackward
      ? more
        ? idOf(shown[0])
        : ""
      : cursor === undefined
        ? ""
        : idOf(shown[0]),
  };
}

/** The later (`sign` 1) or the earlier (-1) of two bounds. */
function extreme(a: Moment | undefined, b: Moment | undefined, sign: 1 | -1): Moment | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const difference = a.at === b.at ? a.sequence - b.sequence : a.at - b.at;
  return difference * sign > 0 ? a : b;
}

/** `{"data", "paging"}`, and the same cursors as links (RFC 8288). */
export function listAnswer<Item>(
  call: Pick<Call, "path" | "query">,
  page: Page<Item>,
  render: (item: Item) => Json,
): Answer {
  const links = [
    ...(page.next === "" ? [] : [link(call, "next_cursor", page.next, "next")]),
    ...(page.previous === "" ? [] : [link(call, "previous_cursor", page.previous, "prev")]),
  ];
  return {
    status: 200,
    body: {
      data: page.items.map(render),
      paging: { next_cursor: page.next, previous_cursor: page.previous },
    },
    ...(links.length === 0 ? {} : { headers: { Link: links.join(", ") } }),
  };
}

function link(
  { path, query }: Pick<Call, "path" | "query">,
  parameter: "next_cursor" | "previous_cursor",
  cursor: string,
  rel: "next" | "prev",
): string {
  const cursors = { next_cursor: undefined, previous_cursor: undefined, [parameter]: cursor };
  return `<${path}?${formatQuery(query, cursors)}>; rel="${rel}"`;
}
