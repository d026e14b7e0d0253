import { openChange } from "./changes.ts";
import type { Commit } from "./commit.ts";
import { asideKey, classOfChangeKey, sequenceOfChangeKey, type ChangeClass } from "./keys.ts";
import {
  changeContent,
  descriptionContent,
  gapContent,
  presentPart,
  stateContent,
  type Content,
} from "./outbox-content.ts";
import type { DropCause } from "./outbox-items.ts";
import type { Page, PageItem, Ref } from "./outbox-pages.ts";
import type { ReaderDeps } from "./outbox-reader.ts";

type HydrateDeps = ReaderDeps & { readonly commit: Commit };

/** What a number stood for that there is nothing left of. */
export type Vanished = {
  readonly class: ChangeClass;
  readonly cause: DropCause;
  readonly at: number | undefined;
};

/**
 * Reads what the items of a page stand for, after a start. Resolves with those that there is nothing
 * left of: a user deleted it, a newer value has come, or damage took it.
 */
export async function hydratePage(
  deps: HydrateDeps,
  page: Page,
): Promise<readonly { readonly item: PageItem; readonly vanished: Vanished }[]> {
  const items = page.items.filter((item) => !item.isAcknowledged && item.content === undefined);
  const keys = items.flatMap(({ ref }) => (typeof ref === "string" ? [ref] : []));
  const found = await deps.database.getMany(keys);
  const rows = new Map(keys.map((key, index) => [key, found[index]]));
  const vanished: { readonly item: PageItem; readonly vanished: Vanished }[] = [];
  for (const item of items) {
    // Acknowledged meanwhile, by the line that was before.
    if (item.isAcknowledged) continue;
    const read =
      typeof item.ref === "string"
        ? readChange(deps, item.ref, rows.get(item.ref))
        : readRef(deps, item.ref);
    if ("cause" in read) vanished.push({ item, vanished: read });
    else item.content = read;
  }
  return vanished;
}

function readChange(deps: HydrateDeps, key: string, row: string | undefined): Content | Vanished {
  const of = classOfChangeKey(key) ?? "property";
  const unknown = { class: of, at: undefined };
  if (row === undefined) {
    const isDamaged = deps.commit.read(asideKey(key)) !== undefined;
    return { ...unknown, cause: isDamaged ? "damaged" : "deleted" };
  }
  try {
    const change = openChange(of, sequenceOfChangeKey(key), row);
    const thing = deps.things.byNumber(change.thing);
    const part = presentPart(change, thing, deps.deletions);
    if (part === undefined) return { class: of, cause: "deleted", at: change.at };
    return changeContent(deps.ids, part, thing, row.length);
  } catch {
    deps.database.damage.addRow(key, row);
    return { ...unknown, cause: "damaged" };
  }
}

function readRef(deps: HydrateDeps, ref: Exclude<Ref, string>): Content | Vanished {
  if ("gap" in ref) return gapContent(ref.id, ref.gap, 0);
  const { thing: number, name, at, sequence } = ref;
  const thing = deps.things.byNumber(number);
  const of = name === undefined ? "thing" : "property";
  if (thing === undefined) return { class: of, cause: "deleted", at };
  if (name === undefined) {
    const isSame = thing.revision === sequence;
    return isSame ? descriptionContent(deps.ids, thing) : { class: of, cause: "superseded", at };
  }
  const state = deps.properties.get(number, name);
  if (state === undefined) return { class: of, cause: "deleted", at };
  const isSame = state.sequence === sequence;
  return isSame
    ? stateContent(deps.ids, thing, name, state)
    : { class: of, cause: "superseded", at };
}
