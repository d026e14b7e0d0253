import { uplinksOverview } from "./interactions/uplink-object.ts";
import type { UplinkDeps } from "./interactions/uplinks.ts";
import { FIXED_LIMITS } from "./limits.ts";
import type { MqttBroker } from "./mqtt/broker.ts";
import { remedyOf } from "./store/kept-time.ts";
import type { Store } from "./store/store.ts";
import type { JsonObject } from "./thing/json.ts";
import { formatTime } from "./thing/time.ts";

/** Tells id, uptime (from now on) and the state of store, broker and uplinks, for GET /gateway. */
export function describer(
  deps: UplinkDeps,
  mqtt: MqttBroker,
  listening: { readonly describe: () => JsonObject },
): () => JsonObject {
  const startedMs = deps.clock.monotonicMs();
  return () => ({
    ...describeGateway(deps, mqtt, deps.clock.monotonicMs() - startedMs),
    ...listening.describe(),
  });
}

function describeGateway(deps: UplinkDeps, mqtt: MqttBroker, uptimeMs: number): JsonObject {
  const { store } = deps;
  const { changes, commit, space, writability } = store;
  const { sessions, retained, ...counters } = mqtt.describe();
  return {
    id: store.gatewayId,
    uptime_s: Math.round(uptimeMs / 1000),
    clock: describeClock(store),
    store: {
      state: (commit.failure ?? writability.refusal)?.code ?? "ok",
      reason: (commit.failure ?? writability.refusal)?.message ?? null,
      bytes: space.seen.used,
      bytes_free: space.seen.free,
      sequence: changes.sequence,
      things: store.things.count,
      accounts: store.accounts.count,
      history: {
        property: changes.rowsOf("property"),
        action: changes.rowsOf("action"),
        event: changes.rowsOf("event"),
        data: changes.rowsOf("data"),
      },
      batches: commit.written.batches,
      rows: commit.written.rows,
      write_failures: commit.written.failures,
      ...describeLosses(store),
    },
    broker: { ...counters, sessions: { ...sessions }, retained: { ...retained } },
    uplinks: uplinksOverview(deps, store.outboxes.list()),
  };
}

function describeClock({ clock }: Store): JsonObject {
  const { state, nowMs, machineMs } = clock.describe();
  return {
    state,
    time: formatTime(nowMs),
    machine_time: formatTime(machineMs),
    remedy: remedyOf(state),
  };
}

/** What was accepted and is not there any more. Times as in every answer. */
function describeLosses({ gaps, database }: Store): JsonObject {
  const { salvaged, dropped } = database.opening;
  const { rows, places } = database.damage.counts;
  const found = gaps.list();
  const most = FIXED_LIMITS.lossesShownMax;
  return {
    changes_lost: lostIn(gaps),
    rows_damaged: rows,
    places_unreadable: places,
    gaps_count: found.length,
    gaps: found.slice(-most).map(({ cause, from, to, count, ...rest }) => ({
      cause,
      class: rest.class ?? null,
      from,
      to,
      count,
      since: rest.since === undefined ? null : formatTime(rest.since),
      until: rest.until === undefined ? null : formatTime(rest.until),
      found: formatTime(rest.foundAt),
    })),
    rows_set_aside: gaps.asideKeys().slice(-most),
    pages_unchecked: gaps.pagesLeft,
    log_bytes_dropped: dropped.bytes,
    salvaged: salvaged === undefined ? null : { ...salvaged, setAside: salvaged.setAside ?? null },
  };
}

/** One line for an operator. */
export function statusLine(deps: UplinkDeps, mqtt: MqttBroker): string {
  const { store } = deps;
  const { connections } = mqtt.describe();
  return (
    `${store.things.count} Things, ${connections} MQTT connections, ` +
    `${store.changes.sequence} changes on disk` +
    uplinkLine(deps) +
    refusalLine(store) +
    lossLine(store) +
    clockLine(store)
  );
}

function uplinkLine({ store, uplinkLine: lineOf }: UplinkDeps): string {
  return store.outboxes
    .list()
    .map(({ uplink, state }) => {
      const { state: line = "paused" } = lineOf(uplink.name) ?? {};
      return `, uplink ${uplink.name} ${line} and owes ${state.depth.rows}`;
    })
    .join("");
}

function refusalLine({ writability }: Store): string {
  const { refusal } = writability;
  return refusal === undefined ? "" : `, changes are refused: ${refusal.message}`;
}

function clockLine({ clock }: Store): string {
  const { state } = clock.describe();
  return state === "known" ? "" : `, the machine's time is ${state}`;
}

/** Changes, at least. */
function lostIn(gaps: Store["gaps"]): number {
  return gaps.list().reduce((sum, { count }) => sum + count, 0);
}

function lossLine({ gaps, database }: Store): string {
  const lost = lostIn(gaps);
  const aside = gaps.asideKeys().length;
  const salvaged = database.opening.salvaged === undefined ? "" : ", salvaged at this start";
  if (gaps.list().length === 0 && aside === 0) return salvaged;
  return `, at least ${lost} changes lost, ${aside} rows set aside${salvaged}`;
}
