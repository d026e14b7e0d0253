import type { MomentBounds } from "../store/keys.ts";
import type { TimeRange } from "../thing/time.ts";

/** From the first to the last moment of a range of times. Sequences begin at 1. */
export function boundsOf(
  range: (TimeRange & { readonly kind: "range" }) | undefined,
): MomentBounds {
  if (range === undefined) return {};
  return {
    after: { at: range.from, sequence: 0 },
    before: { at: range.to + 1, sequence: 0 },
  };
}
