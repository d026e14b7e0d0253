import { GatewayError } from "../errors.ts";
import { historyKey } from "../store/keys.ts";
import type { Json, JsonObject } from "../thing/json.ts";
import type { Thing } from "../thing/thing.ts";
import { authoriseOnThing, type ThingRequest } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import { checkValue, escapePointer } from "./payload.ts";

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
const turns = new WeakMap<InteractionDeps, Promise<unknown>>();

/**
 * Records values for times in the past, all or nothing; current values are left alone. They are on
 * disk when it resolves.
 * @throws GatewayError `history-conflict` if a property has a value at one of the times already;
 * otherwise as `updateProperties`.
 */
export async function backfillHistory(
  deps: InteractionDeps,
  on: ThingRequest & { readonly items: readonly PastValues[] },
): Promise<BackfillOutcome> {
  const before = turns.get(deps) ?? Promise.resolve();
  const mine = before.then(async () => backfill(deps, on));
  turns.set(
    deps,
    mine.catch(() => undefined),
  );
  return mine;
}

async function backfill(
  deps: InteractionDeps,
  on: ThingRequest & { readonly items: readonly PastValues[] },
): Promise<BackfillOutcome> {
  const { store } = deps;
  const thing = authoriseOnThing(deps, on, "thing.report");
  const checked = on.items.map((item, index) => ({
    at: item.at,
    values: Object.entries(item.properties).map(
      ([name, value]) => [name, checkPast(deps, thing, name, value, index)] as const,
    ),
  }));
  await store.commit.flushed();
  const seen = new Set<string>();
  for (const { at, values } of checked) {
    for (const [name] of values) {
      const place = `${at} ${name}`;
      const source = { thing: thing.number, of: "property", name } as const;
      if (seen.has(place) || (await store.history.hasAt(source, at))) {
        throw new GatewayError(
          "history-conflict",
          `${thing.id}/${name} already has a value at ${new Date(at).toISOString()}`,
        );
      }
      seen.add(place);
    }
  }
  // Somebody may have changed or deleted the Thing while the disk was read.
  const now = authoriseOnThing(deps, on, "thing.report");
  if (now.number !== thing.number) {
    throw new GatewayError("unknown-thing", `${thing.id} was deleted meanwhile`);
  }
  for (const { at, values } of checked) {
    const sequence = store.changes.append({
      class: "property",
      thing: thing.number,
      at,
      values: Object.fromEntries(values),
      backfilled: true,
    });
    for (const [name] of values) {
      const source = { thing: thing.number, of: "property", name } as const;
      store.commit.put(historyKey(source, { at, sequence }), "");
    }
  }
  await store.commit.flushed();
  const items = checked.map(({ at, values }) => ({ at, properties: Object.fromEntries(values) }));
  return { thing: now, items };
}

function checkPast(
  deps: InteractionDeps,
  thing: Thing,
  name: string,
  value: Json,
  index: number,
): Json {
  const affordance = thing.properties.get(name);
  if (affordance === undefined || affordance.writeOnly) {
    throw new GatewayError("unknown-affordance", `${thing.id} has no readable property ${name}`);
  }
  return checkValue(affordance.schema, value, {
    pointer: `/${index}/properties/${escapePointer(name)}`,
    what: `the value of ${name}`,
    bytesMax: deps.limits.value_bytes,
  });
}
