import { AddressRate } from "./address-rate.ts";
import type { Clock, Random } from "./clock.ts";
import type { AdminSocket } from "./config-admin.ts";
import type { Config } from "./config.ts";
import { GatewayError } from "./errors.ts";
import { closeRecorded, recordStart } from "./gateway-audit.ts";
import { openClaim } from "./gateway-claim.ts";
import { noticeOf, type ClaimNotice } from "./gateway-claim-notice.ts";
import { describer, statusLine } from "./gateway-description.ts";
import { Listening, openIdentity } from "./gateway-listeners.ts";
import { hostNames } from "./host-names.ts";
import { makeRefusalLog } from "./gateway-refusals.ts";
import { ActionDeadlines } from "./interactions/action-deadlines.ts";
import { CredentialDeadlines } from "./interactions/credential-deadlines.ts";
import type { InteractionDeps } from "./interactions/deps.ts";
import { Joining } from "./interactions/joining.ts";
import { termsOf, type FileUplinks } from "./interactions/kept-uplinks.ts";
import { adoptFileUplinks, type UplinkDeps } from "./interactions/uplinks.ts";
import type { Log } from "./log.ts";
import { LoginNames } from "./login-names.ts";
import { openMqtt, type MqttBroker } from "./mqtt/broker.ts";
import { metaKey } from "./store/keys.ts";
import { openStore, type Store } from "./store/store.ts";
import type { ServerIdentity } from "./tls/server-identity.ts";
import { UplinkEdge } from "./uplink/uplinks.ts";
import { packageVersion, VERSION_DAY_MS } from "./version.ts";

export type GatewayDeps = {
  /** The machine's. */
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Tells the one who started it the first admin token. Throws if it cannot. */
  readonly announceToken: (token: string) => void;
  /**
   * Shows whoever is at the box how it can be claimed, once it can; `undefined`: it is claimed. Absent:
   * only the command line shows it. Never fails.
   */
  readonly showClaim?: (notice: ClaimNotice | undefined) => void;
  /** Where the command line reaches it; absent: nowhere. */
  readonly adminSocket?: AdminSocket;
  /** Something failed that only a restart mends. */
  readonly onFatal: (error: unknown) => void;
};

/** A running gateway. */
export type Gateway = {
  readonly mqttPort: number;
  readonly httpPort: number;
  /** Of the listeners with TLS, if they run. */
  readonly mqttsPort?: number;
  readonly httpsPort?: number;
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
  const fileUplinks = fileUplinksOf(config);
  const store = await openStore({
    path: config.store.path,
    window: { gatherMs: config.store.gather_ms, syncIntervalMs: config.store.sync_interval_ms },
    quotaBytes: config.store.quota_mb * 1024 * 1024,
    history: historyBounds(config),
    audit: config.audit,
    clock,
    time: { floorMs: VERSION_DAY_MS, trust: config.clock.trust },
    random,
    log,
    uplinkTerms: (uplink) => termsOf(fileUplinks, uplink),
    onFailure: deps.onFatal,
  });
  try {
    await store.space.start();
    return await startOn(config, deps, store, fileUplinks);
  } catch (error) {
    await store
      .close()
      .catch((second: unknown) => log.error("store.close_failed", { error: second }));
    throw error;
  }
}

async function startOn(
  config: Config,
  deps: GatewayDeps,
  store: Store,
  fileUplinks: FileUplinks,
): Promise<Gateway> {
  const { log } = deps;
  // From here on the time is the store's, which never goes back.
  const { clock } = store;
  // The edges are made after what they serve: what is called before they are there goes nowhere.
  const late: { mqtt?: MqttBroker; showClaim?: () => void } = {};
  const identity = await openIdentity(config, store, { clock, random: deps.random, log });
  const interactions = interactionsOf(config, deps, store, { late, identity });
  const claim = await openClaim(config, interactions, deps.announceToken, () => late.showClaim?.());
  const version = packageVersion();
  recordStart(store, config, version);
  const uplinks = new UplinkEdge({ interactions, fileUplinks, version, onFatal: deps.onFatal });
  const ofUplinks: UplinkDeps = { ...interactions, fileUplinks, ...uplinks.calls };
  adoptFileUplinks(ofUplinks);
  const deadlines = new ActionDeadlines(interactions, () => late.mqtt?.deliverWaiting());
  const entrance = entranceOf(config, interactions);
  const listening = new Listening({ config, identity, log, adminSocket: deps.adminSocket });
  const mqtt = await openMqtt(interactions, {
    refusedFilters: config.mqtt.refused_filters,
    ...entrance,
    isClaimed: () => claim.isClaimed,
    deliverability: ({ thing, name, moment }) => deadlines.deliverability(thing, name, moment),
    onFatal: deps.onFatal,
  });
  late.mqtt = mqtt;
  const expiries = new CredentialDeadlines(interactions);
  const state = { isReady: false };
  const stop = async (): Promise<void> => {
    state.isReady = false;
    await stopAll(log, { deadlines, expiries, uplinks, listening, mqtt, store, version });
  };
  try {
    await mqtt.start();
    await listening.open(mqtt, {
      ...ofUplinks,
      name: "sluice",
      version,
      hostNames: hostNames(config.tls.names),
      describeGateway: describer(ofUplinks, mqtt, listening),
      deviceConnections: mqtt.deviceConnections,
      claim,
      claimPlaces: () => listening.claimPlaces(),
      serveWebSocket: mqtt.acceptWebSocket.bind(mqtt),
      ...entrance,
      isReady: () => state.isReady,
    });
    late.showClaim = () => deps.showClaim?.(noticeOf(claim, listening.claimPlaces()));
    late.showClaim();
    for (const each of [deadlines, expiries]) each.start();
    store.retention.start(deps.onFatal);
    store.keepWatch(deps.onFatal);
    uplinks.start(mqtt.deviceConnections);
    state.isReady = true;
    const vitals = {
      isHealthy: async () => isHealthy(store),
      statusLine: () => statusLine(ofUplinks, mqtt) + listening.line(),
    };
    return { ...listening.ports, stop, ...vitals };
  } catch (error) {
    await stop();
    throw error;
  }
}

type Parts = {
  readonly deadlines: ActionDeadlines;
  readonly expiries: CredentialDeadlines;
  readonly uplinks: UplinkEdge;
  readonly listening: Listening;
  readonly mqtt: MqttBroker;
  readonly store: Store;
  readonly version: string;
};

async function stopAll(log: Log, parts: Parts): Promise<void> {
  const { deadlines, expiries, uplinks, listening, mqtt, store, version } = parts;
  for (const each of [deadlines, expiries]) each.stop();
  // Upstream is taken leave of while the last requests are answered.
  const left = uplinks.stop();
  left.catch(() => undefined);
  const steps = [async () => listening.stopHttp(), async () => left, async () => mqtt.stop()];
  await runAll(log, [...steps, async () => closeRecorded(store, version)]);
}

function interactionsOf(
  config: Config,
  { random, log }: GatewayDeps,
  store: Store,
  given: {
    readonly late: { readonly mqtt?: MqttBroker };
    readonly identity: ServerIdentity | undefined;
  },
): InteractionDeps {
  const { late, identity } = given;
  return {
    ...(identity === undefined ? {} : { authority: identity.authority }),
    store,
    // From here on the time is the store's, which never goes back.
    clock: store.clock,
    random,
    limits: config.limits,
    log,
    publish: (publication) => late.mqtt?.publish(publication),
    credentialChanged: (ulid, change) => late.mqtt?.credentialChanged(ulid, change),
    loginNames: new LoginNames(config.limits.login_failures_per_name, store.clock),
    freeTopics: config.mqtt.free_topics,
  };
}

function fileUplinksOf({ uplink }: Config): FileUplinks {
  return new Map(uplink.map(({ name, settings }) => [name, settings]));
}

/** Who comes in, and who does not: the same for both protocols. */
function entranceOf(config: Config, interactions: InteractionDeps) {
  return {
    loginFailures: makeLoginFailures(config, interactions.clock),
    refusals: makeRefusalLog(interactions.store),
    joining: new Joining(interactions),
  };
}

function makeLoginFailures({ limits }: Config, clock: Clock): AddressRate {
  return new AddressRate(limits.login_failures_per_minute_per_address, clock);
}

function historyBounds({ history }: Config) {
  return {
    property: { rows: history.property_rows, days: history.property_days },
    action: { rows: history.action_rows, days: history.action_days },
    event: { rows: history.event_rows, days: history.event_days },
    data: { rows: history.data_rows, days: history.data_days },
  };
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
