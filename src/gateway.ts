import { AddressRate } from "./address-rate.ts";
import type { Clock, Random } from "./clock.ts";
import { isLoopbackHost, type Config } from "./config.ts";
import { GatewayError } from "./errors.ts";
import { startHttp, type HttpServer } from "./http/server.ts";
import { ActionDeadlines } from "./interactions/action-deadlines.ts";
import { putAccount } from "./interactions/accounts.ts";
import { CredentialDeadlines } from "./interactions/credential-deadlines.ts";
import type { InteractionDeps } from "./interactions/deps.ts";
import { createToken } from "./interactions/tokens.ts";
import { FIXED_LIMITS } from "./limits.ts";
import type { Log } from "./log.ts";
import { openMqtt, type MqttBroker } from "./mqtt/broker.ts";
import { generateToken } from "./secrets.ts";
import { EXIT, StartError } from "./start-error.ts";
import { remedyOf } from "./store/kept-time.ts";
import { metaKey } from "./store/keys.ts";
import { openStore, type Store } from "./store/store.ts";
import { SCOPES } from "./thing/access.ts";
import type { JsonObject } from "./thing/json.ts";
import { formatTime } from "./thing/time.ts";
import { packageVersion, VERSION_DAY_MS } from "./version.ts";

export type GatewayDeps = {
  /** The machine's. */
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Tells the one who started it the first admin token. Throws if it cannot. */
  readonly announceToken: (token: string) => void;
  /** Something failed that only a restart mends. */
  readonly onFatal: (error: unknown) => void;
};

/** A running gateway. */
export type Gateway = {
  readonly mqttPort: number;
  readonly httpPort: number;
  /** Listeners, broker, store; nothing acknowledged is lost. Idempotent. */
  stop(): Promise<void>;
  /** The store writes and the loop turns. */
  isHealthy(): Promise<boolean>;
  /** One line for an operator. */
  statusLine(): string;
};

/**
 * Starts everything in order; if something fails, what was started is stopped again.
 * @throws GatewayError, StartError.
 */
export async function startGateway(config: Config, deps: GatewayDeps): Promise<Gateway> {
  const { clock, random, log } = deps;
  const store = await openStore({
    path: config.store.path,
    window: { gatherMs: config.store.gather_ms, syncIntervalMs: config.store.sync_interval_ms },
    quotaBytes: config.store.quota_mb * 1024 * 1024,
    history: historyBounds(config),
    clock,
    time: { floorMs: VERSION_DAY_MS, trust: config.clock.trust },
    random,
    log,
    onFailure: deps.onFatal,
  });
  try {
    await store.space.start();
    return await startOn(config, deps, store);
  } catch (error) {
    await store
      .close()
      .catch((second: unknown) => log.error("store.close_failed", { error: second }));
    throw error;
  }
}

async function startOn(config: Config, deps: GatewayDeps, store: Store): Promise<Gateway> {
  const { random, log } = deps;
  // From here on the time is the store's, which never goes back.
  const { clock } = store;
  // The edges are made after what they serve: what is called before they are there goes nowhere.
  const late: { mqtt?: MqttBroker } = {};
  const interactions: InteractionDeps = {
    store,
    clock,
    random,
    limits: config.limits,
    log,
    publish: (publication) => late.mqtt?.publish(publication),
    credentialChanged: (ulid, change) => late.mqtt?.credentialChanged(ulid, change),
    freeTopics: config.mqtt.free_topics,
  };
  await bootstrap(config, deps, interactions);
  const deadlines = new ActionDeadlines(interactions, () => late.mqtt?.deliverWaiting());
  const loginFailures = makeLoginFailures(config, clock);
  const mqtt = await openMqtt(interactions, {
    host: config.mqtt.host,
    port: config.mqtt.port,
    refusedFilters: config.mqtt.refused_filters,
    loginFailures,
    deliverability: ({ thing, name, moment }) => deadlines.deliverability(thing, name, moment),
    onFatal: deps.onFatal,
  });
  late.mqtt = mqtt;
  const expiries = new CredentialDeadlines(interactions);
  const state = { isReady: false };
  const startedMs = clock.monotonicMs();
  let http: HttpServer | undefined;
  const stop = async (): Promise<void> => {
    state.isReady = false;
    deadlines.stop();
    expiries.stop();
    const steps = [async () => http?.stop(), async () => mqtt.stop(), async () => store.close()];
    await runAll(log, steps);
  };
  try {
    await mqtt.start();
    const mqttPort = await mqtt.listen();
    http = await startHttp(
      {
        ...interactions,
        name: "sluice",
        version: packageVersion(),
        loginFailures,
        mqttPort,
        describeGateway: () => describe(store, mqtt, clock.monotonicMs() - startedMs),
        isReady: () => state.isReady,
      },
      { host: config.http.host, port: config.http.port },
    );
    deadlines.start();
    expiries.start();
    store.retention.start(deps.onFatal);
    store.keepWatch(deps.onFatal);
    state.isReady = true;
    return {
      mqttPort,
      httpPort: http.port,
      stop,
      isHealthy: async () => isHealthy(store),
      statusLine: () => statusLine(store, mqtt),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

function makeLoginFailures({ limits }: Config, clock: Clock): AddressRate {
  return new AddressRate(limits.login_failures_per_minute_per_address, clock);
}

/** The first start: an account and a token for whoever holds the box. */
async function bootstrap(
  config: Config,
  deps: GatewayDeps,
  interactions: InteractionDeps,
): Promise<void> {
  const { store } = interactions;
  const claimedKey = metaKey("claimed");
  if (store.commit.read(claimedKey) !== undefined) return;
  const { account, admin_token: given } = config.bootstrap;
  if (
    given === undefined &&
    !(isLoopbackHost(config.mqtt.host) && isLoopbackHost(config.http.host))
  ) {
    throw new StartError(
      EXIT.configuration,
      "a listener is not on loopback and the gateway has no admin yet: set bootstrap.admin_token " +
        "for the first start, or keep mqtt.host and http.host on loopback",
    );
  }
  const token = given ?? generateToken(deps.random);
  // Told before it is stored: cut off in between, the next start makes and tells another.
  if (given === undefined) deps.announceToken(token);
  putAccount(interactions, account, {});
  createToken(interactions, { scopes: SCOPES, description: "first admin token" }, token);
  store.commit.put(claimedKey, "token");
  await store.commit.flushed();
}

function historyBounds({ history }: Config) {
  return {
    property: { rows: history.property_rows, days: history.property_days },
    action: { rows: history.action_rows, days: history.action_days },
    event: { rows: history.event_rows, days: history.event_days },
    data: { rows: history.data_rows, days: history.data_days },
  };
}

function describe(store: Store, mqtt: MqttBroker, uptimeMs: number): JsonObject {
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
    uplinks: [],
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

function statusLine(store: Store, mqtt: MqttBroker): string {
  const { connections } = mqtt.describe();
  return (
    `${store.things.count} Things, ${connections} MQTT connections, ` +
    `${store.changes.sequence} changes on disk` +
    refusalLine(store) +
    lossLine(store) +
    clockLine(store)
  );
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

const HEALTH_KEY = metaKey("health");

/** Goes the whole way to the disk and back. A full disk is no reason to be restarted. */
async function isHealthy(store: Store): Promise<boolean> {
  if (store.commit.failure !== undefined) return false;
  if (store.writability.stall?.code === "storage-full") return true;
  store.commit.put(HEALTH_KEY, String(store.boot));
  try {
    await store.commit.flushed();
    return true;
  } catch (error) {
    if (error instanceof GatewayError) return false;
    throw error;
  }
}

/** Runs every step though one fails; then reports all failures. */
async function runAll(
  log: Log,
  steps: readonly (() => Promise<void> | undefined)[],
): Promise<void> {
  const failures: unknown[] = [];
  for (const step of steps) {
    try {
      await step();
    } catch (error) {
      log.error("gateway.stop_failed", { error });
      failures.push(error);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, "the gateway did not stop cleanly");
}
