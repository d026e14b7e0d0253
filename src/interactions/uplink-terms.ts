import { DEFAULT_BOUNDS, type OutboxBounds, type OutboxTerms } from "../store/outbox-terms.ts";
import type { UplinkClass } from "../uplink-members.ts";
import type { UplinkSettings } from "../uplink-settings.ts";
import { makeUplinkFilter } from "./uplink-filter.ts";

/**
 * What the settings of an uplink mean for what it owes. To a `peer` it owes neither what came from
 * there nor action requests of our own: only what becomes of upstream's. `uplink` is its number.
 */
export function uplinkTerms(
  settings: Pick<UplinkSettings, "shape" | "order" | "bounds" | "filter">,
  uplink: number,
): OutboxTerms {
  const { coversClass, coversThing } = makeUplinkFilter(settings);
  const isPeer = settings.shape === "peer";
  return {
    order: settings.order,
    bounds: {
      property: boundsOf(settings, "property"),
      action: boundsOf(settings, "action"),
      event: boundsOf(settings, "event"),
      data: boundsOf(settings, "data"),
      thing: boundsOf(settings, "thing"),
    },
    isOwed: (change, subject, memory) => {
      if (!coversClass(change.class)) return false;
      if (subject !== undefined && !coversThing(subject)) return false;
      if (!isPeer) return true;
      if (change.via === uplink) return false;
      const { request } = change;
      return request === undefined || memory.upstreamOf(request) !== undefined;
    },
  };
}

function boundsOf({ bounds }: Pick<UplinkSettings, "bounds">, of: UplinkClass): OutboxBounds {
  const { bytes, rows, age_s, rule, counts_time_off: countsTimeOff } = bounds[of] ?? {};
  const standard = DEFAULT_BOUNDS[of];
  return {
    rows: rows ?? standard.rows,
    bytes: bytes ?? standard.bytes,
    ageS: age_s ?? standard.ageS,
    rule: rule ?? standard.rule,
    ...(countsTimeOff === true ? { countsTimeOff } : {}),
  };
}
