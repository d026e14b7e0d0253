import type { InteractionDeps } from "../interactions/deps.ts";
import type { Principal } from "../thing/access.ts";
import type { SubackCode } from "./answers.ts";
import type { Qos, RequestedSubscription } from "./frame-kinds.ts";
import { filterById, maySubscribe } from "./grants.ts";
import type { Session } from "./sessions.ts";

const REFUSED = 0x80;

export type GrantedSubscription = {
  readonly filter: string;
  /** The filter to match with. */
  readonly matching: string;
  readonly qos: Qos;
};

/** Decides on a SUBSCRIBE: a code for each filter, in its order, and what to subscribe to. */
export function grantSubscriptions(
  deps: { readonly interactions: InteractionDeps; readonly refusedFilters: ReadonlySet<string> },
  request: {
    readonly principal: Principal;
    readonly session: Session;
    readonly filters: readonly RequestedSubscription[];
  },
): { readonly codes: readonly SubackCode[]; readonly granted: readonly GrantedSubscription[] } {
  const { store, limits } = deps.interactions;
  const { principal, session } = request;
  const known = new Set(session.subscriptions.keys());
  const granted = new Map<string, GrantedSubscription>();
  const codes = request.filters.map(({ filter, levels, qos }): SubackCode => {
    const hasRoom = known.has(filter) || known.size < limits.subscriptions_per_session;
    const isGranted =
      hasRoom &&
      levels <= limits.topic_levels &&
      !deps.refusedFilters.has(filter) &&
      maySubscribe(store, principal, filter);
    if (!isGranted) return REFUSED;
    known.add(filter);
    // The last of equal filters counts, as if they had come one after the other.
    granted.delete(filter);
    granted.set(filter, { filter, matching: filterById(store, filter), qos });
    return qos;
  });
  return { codes, granted: [...granted.values()] };
}
