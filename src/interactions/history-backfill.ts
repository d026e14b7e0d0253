import { GatewayError } from "../errors.ts";
import { TIME_MS_MAX, type HistorySource } from "../store/keys.ts";
import type { Store } from "../store/store.ts";
import { pointerTo, type JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { formatTime } from "../thing/time.ts";
import { authoriseOnThing, type ThingRequest } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import { checkMembers, checkValue } from "./payload.ts";

/** Values that a property had at a time in the past. */
export type PastValues = {
  /** ms since the epoch. */
  readonly at: number;
  readonly properties: JsonObject;
};

export type BackfillOutcome = {
  readonly thing: Thing;
  /** As recorded: after conversion. */
  readonly items: readonly PastValues[];
};

// One back-fill at a time: looking for what is there and adding to it must not interleave.
const turns = new WeakMap<Store, Promise<unknown>>();

/**
 * Records values for times in the past, all or nothing; current values are left alone. They are on
 * disk when it resolves.
 * @throws GatewayError `history-conflict` if a property has a value at one of the times already;
 * otherwise as `updateProperties`.
 */
export async function backfillHistory(
  deps: InteractionDeps,
  on: BackfillRequest,
): Promise<BackfillOutcome> {
  const before = turns.get(deps.store) ?? Promise.resolve();
  const mine = before.then(async () => backfill(deps, on));
  turns.set(
    deps.store,
    mine.catch(() => undefined),
  );
  return mine;
}

type BackfillRequest = ThingRequest & { readonly items: readonly PastValues[] };

async function backfill(deps: InteractionDeps, on: BackfillRequest): Promise<BackfillOutcome> {
  const { store } = deps;
  const before = authoriseOnThing(deps, on, "thing.report");
  checkItems(deps, before, on.items);
  await requireFree(store, before, on.items);
  // The Thing may have been changed or deleted while the disk was read: from here on no wait.
  const thing = authoriseOnThing(deps, on, "thing.report");
  if (thing.number !== before.number) {
    throw new GatewayError("unknown-thing", `${before.id} was deleted meanwhile`);
  }
  const items = checkItems(deps, thing, on.items);
  for (const { at, properties } of items) {
    const change = { class: "property", thing: thing.number, at, values: properties } as const;
    const sequence = store.changes.append({ ...change, backfilled: true });
    for (const name of Object.keys(properties)) {
      store.historyIndex.add(sourceOf(thing, name), { at, sequence });
    }
  }
  await store.commit.flushed();
  return { thing, items };
}

/** @throws GatewayError `history-conflict`. */
async function requireFree(
  store: Store,
  thing: Thing,
  items: readonly PastValues[],
): Promise<void> {
  await store.commit.flushed();
  const taken = new Set<string>();
  for (const [index, { at, properties }] of items.entries()) {
    for (const name of Object.keys(properties)) {
      const place = `${at} ${name}`;
      if (taken.has(place) || (await store.history.hasAt(sourceOf(thing, name), at))) {
        const detail = `already has a value at ${formatTime(at)}`;
        throw new GatewayError("history-conflict", `${thing.id}/${name} ${detail}`, {
          faults: [{ pointer: pointerTo(`/${index}/properties`, name), detail }],
        });
      }
      taken.add(place);
    }
  }
}

/** The items after conversion. */
function checkItems(
  deps: InteractionDeps,
  thing: Thing,
  items: readonly PastValues[],
): readonly PastValues[] {
  return items.map(({ at, properties }, index) => {
    requireRecordable(at, properties, index);
    const checked = checkMembers(properties, `/${index}/properties`, (name, value, pointer) => {
      const affordance = thing.properties.get(name);
      if (affordance === undefined || affordance.writeOnly) {
        const detail = `${thing.id} has no readable property ${name}`;
        throw new GatewayError("unknown-affordance", detail);
      }
      const bytesMax = deps.limits.value_bytes;
      const what = `the value of ${name}`;
      return [name, checkValue(affordance.schema, value, { pointer, what, bytesMax })] as const;
    });
    return { at, properties: Object.fromEntries(checked) };
  });
}

function requireRecordable(at: number, properties: JsonObject, index: number): void {
  const isTime = Number.isInteger(at) && at >= 0 && at <= TIME_MS_MAX;
  if (isTime && Object.keys(properties).length > 0) return;
  const [member, detail] = isTime
    ? ["properties", "must have at least one value"]
    : ["at", "must be a time from 1970 on"];
  throw new GatewayError("malformed", `${member} ${detail}`, {
    faults: [{ pointer: `/${index}/${member}`, detail }],
  });
}

function sourceOf(thing: Thing, name: string): HistorySource {
  return { thing: thing.number, of: "property", name };
}
