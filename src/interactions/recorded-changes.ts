import { GatewayError } from "../errors.ts";
import { openChange, type RecordedChange } from "../store/changes.ts";
import { changeKey, historyKey, type HistorySource } from "../store/keys.ts";
import { authoriseOnThing, type ThingRequest } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import { findEvent, type EventOutcome } from "./event-emission.ts";

type OnEvent = ThingRequest & { readonly name: string; readonly id: string };

/**
 * One event that happened.
 * @throws GatewayError `forbidden`, `unknown-thing`, `unknown-affordance`, `not-found`.
 */
export function findOccurrence(deps: InteractionDeps, on: OnEvent): EventOutcome {
  return findEventChange(deps, on, "thing.read").outcome;
}

/**
 * Takes one event out of the history, whoever emitted it.
 * @throws GatewayError as `findOccurrence`, and what `precondition` throws.
 */
export function deleteOccurrence(
  deps: InteractionDeps,
  on: OnEvent & { readonly precondition?: () => void },
): void {
  const { outcome, source } = findEventChange(deps, on, "thing.manage");
  on.precondition?.();
  const { moment } = outcome.event;
  deps.store.commit.delete(historyKey(source, moment));
  deps.store.changes.drop("event", moment.sequence);
}

/** The change of a history that has this id, or `undefined`. Synchronous: one read of the disk. */
export function findRecorded(
  deps: Pick<InteractionDeps, "store">,
  source: HistorySource,
  id: string,
): RecordedChange | undefined {
  const { commit, deletions, ids } = deps.store;
  const moment = ids.momentOf(id);
  if (moment === undefined || moment.sequence <= deletions.throughOf(source)) return undefined;
  if (commit.read(historyKey(source, moment)) === undefined) return undefined;
  const row = commit.read(changeKey(source.of, moment.sequence));
  return row === undefined ? undefined : openChange(source.of, moment.sequence, row);
}

function findEventChange(
  deps: InteractionDeps,
  on: OnEvent,
  ability: "thing.read" | "thing.manage",
): { readonly outcome: EventOutcome; readonly source: HistorySource } {
  const thing = authoriseOnThing(deps, on, ability);
  const { name, id } = on;
  findEvent(thing, name);
  const source: HistorySource = { thing: thing.number, of: "event", name };
  const change = findRecorded(deps, source, id);
  if (change?.class !== "event") {
    throw new GatewayError("not-found", `${thing.id}/${name} has no event ${id}`);
  }
  const { at, sequence, data } = change;
  const event = { name, moment: { at, sequence }, ...(data === undefined ? {} : { data }) };
  return { outcome: { thing, event }, source };
}
