import type { Random } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { UplinkSettings } from "../uplink-settings.ts";

/**
 * How long to wait before the next try, ms, after so many (1 and more) that failed one after the other.
 * Full jitter: evenly random up to a bound that doubles, so that the gateways of a site do not come
 * back together. Not below a floor that keeps a refused one from being a nuisance.
 */
export function backoffMs(
  { min_s: firstS, max_s: mostS }: UplinkSettings["retry"],
  failed: number,
  random: Random,
): number {
  const { uplinkRetryMsMin, uplinkRetryMsMax } = FIXED_LIMITS;
  // 2 ** 20 times the shortest first bound is beyond any ceiling, and far from an overflow.
  const doubled = firstS * 1_000 * 2 ** Math.min(failed - 1, 20);
  const bound = Math.min(doubled, mostS * 1_000, uplinkRetryMsMax);
  return Math.round(uplinkRetryMsMin + fraction(random) * Math.max(0, bound - uplinkRetryMsMin));
}

/** From 0 up to, and without, 1. */
function fraction(random: Random): number {
  return Buffer.from(random.bytes(4)).readUInt32BE() / 2 ** 32;
}
