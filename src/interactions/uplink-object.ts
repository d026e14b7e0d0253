import type { Outbox } from "../store/outbox.ts";
import type { JsonObject } from "../thing/json.ts";
import { formatTime } from "../thing/time.ts";
import { shownSettings } from "../uplink-settings.ts";
import { settingsOf } from "./kept-uplinks.ts";
import type { UplinkDeps } from "./uplinks.ts";

/** What is shown of an uplink: its settings without secrets, and how it stands. */
export function uplinkObject(deps: UplinkDeps, outbox: Outbox): JsonObject {
  const { uplink } = outbox;
  const { settings } = settingsOf(deps.fileUplinks, uplink);
  return {
    name: uplink.name,
    origin: deps.fileUplinks.has(uplink.name) ? "file" : "api",
    ...(settings === undefined ? {} : shownSettings(settings)),
    has_password: settings?.password !== undefined,
    has_key: settings?.key !== undefined,
    created: formatTime(uplink.created),
    modified: formatTime(uplink.modified),
    ...uplinkStatus(deps, outbox),
  };
}

type StatusDeps = Pick<UplinkDeps, "fileUplinks" | "uplinkLine" | "uplinkCounts" | "clock">;

/** All uplinks as GET /gateway shows them: by name, how each stands. */
export function uplinksOverview(
  deps: StatusDeps,
  outboxes: readonly Outbox[],
): readonly JsonObject[] {
  return outboxes.map((outbox) => ({ name: outbox.uplink.name, ...uplinkStatus(deps, outbox) }));
}

/** How an uplink stands. Ages and forecasts in seconds; `null`: there is none. */
export function uplinkStatus(deps: StatusDeps, outbox: Outbox): JsonObject {
  const { state } = outbox;
  const { ackedSeq, ackedAtMonotonicMs, depth, fullInS, emptyInS, inPerS, outPerS } = state;
  const ackedAgeMs =
    ackedAtMonotonicMs === undefined ? undefined : deps.clock.monotonicMs() - ackedAtMonotonicMs;
  const line = deps.uplinkLine(outbox.uplink.name);
  return {
    ...lineStatus(deps, outbox),
    acked_seq: ackedSeq,
    acked_age_s: ackedAgeMs === undefined ? null : Math.round(ackedAgeMs / 1000),
    depth: {
      rows: depth.rows,
      bytes: depth.bytes,
      oldest_age_s: Math.round(depth.oldestAgeMs / 1000),
    },
    full_in_s: fullInS === null ? null : Math.round(fullInS),
    empty_in_s: emptyInS === null ? null : Math.round(emptyInS),
    in_per_s: toTenth(inPerS),
    out_per_s: toTenth(outPerS),
    up: {
      owed: state.counts.added,
      acknowledged: state.counts.acknowledged,
      lines: line?.opened ?? 0,
      failures: line?.failed ?? 0,
    },
    snapshot_done: state.snapshotDone,
    down: { ...(deps.uplinkCounts(outbox.uplink.name) ?? NOTHING_CAME) },
    drops: state.drops.map(({ cause, class: of, count, from, to }) => ({
      cause,
      class: of ?? null,
      count,
      from: formatTime(from),
      to: formatTime(to),
    })),
  };

  function toTenth(rate: number): number {
    return Math.round(rate * 10) / 10;
  }
}

const NOTHING_CAME = { applied: 0, unchanged: 0, lost: 0, repeated: 0, refused: {} };

function lineStatus({ fileUplinks, uplinkLine }: StatusDeps, { uplink }: Outbox): JsonObject {
  const known = settingsOf(fileUplinks, uplink);
  const line = known.isUsable ? uplinkLine(uplink.name) : undefined;
  // Whether it is to be open is the operator's to say, however far the line is behind that.
  const isClosed = uplink.isPaused || !known.isUsable;
  const atLine = line === undefined || line.state === "paused" ? "connecting" : line.state;
  const state = isClosed ? "paused" : atLine;
  const since = line?.state === state ? line.since : uplink.modified;
  const lastError = line?.lastError;
  return {
    state,
    since: formatTime(since),
    last_error: known.isUsable ? (lastError?.detail ?? null) : known.reason,
    last_error_at: lastError === undefined ? null : formatTime(lastError.at),
  };
}
