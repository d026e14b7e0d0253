import type { Subject } from "../store/outbox-terms.ts";
import type { UplinkClass } from "../uplink-members.ts";
import type { UplinkSettings } from "../uplink-settings.ts";

/** Which Things and classes an uplink is for. */
export type UplinkFilter = {
  readonly coversClass: (of: UplinkClass) => boolean;
  readonly coversThing: (thing: Subject) => boolean;
  /** Things of an account that are named one by one, by id or uid; `all`: every one of it. */
  readonly thingsOf: (account: string) => ReadonlySet<string> | "all";
};

const NONE: ReadonlySet<string> = new Set();

export function makeUplinkFilter({ filter }: Pick<UplinkSettings, "filter">): UplinkFilter {
  const classes = filter.classes === undefined ? undefined : new Set(filter.classes);
  const coversClass = (of: UplinkClass): boolean => classes === undefined || classes.has(of);
  if (filter.things === undefined) {
    return { coversClass, coversThing: () => true, thingsOf: () => "all" };
  }
  const named = readThings(filter.things);
  const thingsOf = (account: string): ReadonlySet<string> | "all" => named.get(account) ?? NONE;
  return {
    coversClass,
    coversThing: ({ account, id, uid }) => {
      const things = thingsOf(account);
      return things === "all" || things.has(id) || things.has(uid);
    },
    thingsOf,
  };
}

/** `{account}/{thing}`, where `*` outdoes what else is named of the account. */
function readThings(given: readonly string[]): ReadonlyMap<string, ReadonlySet<string> | "all"> {
  const named = new Map<string, Set<string> | "all">();
  for (const item of given) {
    const slash = item.indexOf("/");
    const account = item.slice(0, slash);
    const thing = item.slice(slash + 1);
    const before = named.get(account);
    if (thing === "*") named.set(account, "all");
    else if (before === undefined) named.set(account, new Set([thing]));
    else if (before !== "all") before.add(thing);
  }
  return named;
}
