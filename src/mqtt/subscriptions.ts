import type { InteractionDeps } from "../interactions/deps.ts";
import type { Principal } from "../thing/access.ts";
import type { SubackCode } from "./answers.ts";
import type { Qos, RequestedSubscription } from "./frame-kinds.ts";
import { filterById, maySubscribe } from "./grants.ts";
import type { RefusalCause } from "../refusal-causes.ts";
import type { Session } from "./sessions.ts";

const REFUSED = 0x80;

export type GrantedSubscription = {
  readonly filter: string;
  /** The filter to match with. */
  readonly matching: string;
  readonly qos: Qos;
};

/** Answered with 0x80, which says nothing of why. */
export type RefusedFilter = {
  readonly filter: string;
  readonly cause: RefusalCause;
  readonly detail: string;
};

/** Decides on a SUBSCRIBE: a code for each filter, in its order, and what to subscribe to. */
export function grantSubscriptions(
  deps: { readonly interactions: InteractionDeps; readonly refusedFilters: ReadonlySet<string> },
  request: {
    readonly principal: Principal;
    readonly session: Session;
    readonly filters: readonly RequestedSubscription[];
  },
): {
  readonly codes: readonly SubackCode[];
  readonly granted: readonly GrantedSubscription[];
  readonly refused: readonly RefusedFilter[];
} {
  const { store, limits } = deps.interactions;
  const { principal, session } = request;
  const known = new Set(session.subscriptions.keys());
  const granted = new Map<string, GrantedSubscription>();
  const refused: RefusedFilter[] = [];
  const refuse = (filter: string, cause: RefusalCause, detail: string): SubackCode => {
    refused.push({ filter, cause, detail });
    return REFUSED;
  };
  const codes = request.filters.map(({ filter, levels, qos }): SubackCode => {
    const hasRoom = known.has(filter) || known.size < limits.subscriptions_per_session;
    if (!hasRoom) return refuse(filter, "limits", "limits.subscriptions_per_session is reached");
    if (levels > limits.topic_levels) return refuse(filter, "limits", "limits.topic_levels");
    if (deps.refusedFilters.has(filter)) {
      return refuse(filter, "not-its-topic", "the filter is one of mqtt.refused_filters");
    }
    if (!maySubscribe(store, principal, filter)) {
      return refuse(filter, "not-its-topic", "the filter is not within a grant: SUBACK 0x80");
    }
    known.add(filter);
    // The last of equal filters counts, as if they had come one after the other.
    granted.delete(filter);
    granted.set(filter, { filter, matching: filterById(store, filter), qos });
    return qos;
  });
  return { codes, granted: [...granted.values()], refused };
}
