import { setImmediate as nextTurn } from "node:timers/promises";
import { AddressRate } from "../../src/address-rate.ts";
import { RefusalLog } from "../../src/refusal-log.ts";
import type { Random } from "../../src/clock.ts";
import { ActionDeadlines } from "../../src/interactions/action-deadlines.ts";
import { CredentialDeadlines } from "../../src/interactions/credential-deadlines.ts";
import type { InteractionDeps } from "../../src/interactions/deps.ts";
import { defaultLimits, type Limits } from "../../src/limits.ts";
import { openMqtt, type MqttBroker } from "../../src/mqtt/broker.ts";
import type { DiskRoom } from "../../src/store/disk-room.ts";
import { openStoreOn, type Store } from "../../src/store/store.ts";
import { SCOPES, type Principal } from "../../src/thing/access.ts";
import type { ManualClock } from "../store/manual-clock.ts";
import { AMPLE } from "../store/open-store.ts";
import { QUIET_LOG } from "../store/quiet-log.ts";
import type { SimDisk } from "./sim-disk.ts";
import { LoginNames } from "../../src/login-names.ts";

export const ADMIN: Principal = {
  kind: "token",
  name: "admin",
  account: undefined,
  scopes: new Set(SCOPES),
};

const GIB = 2 ** 30;
const AMPLE_ROOM: DiskRoom = {
  look: async () => Promise.resolve({ total: 8 * GIB, free: 4 * GIB, used: 0 }),
  ballast: async () => Promise.resolve(GIB),
  writeBallast: async () => Promise.resolve(),
  isReadOnly: async () => Promise.resolve(false),
  dropBallast: () => undefined,
};

/** Enough for everything that one event sets off to have happened. */
const TURNS = 12;

export async function settle(): Promise<void> {
  for (let turn = 0; turn < TURNS; turn += 1) await nextTurn();
}

/** One life of the gateway: everything but its sockets, its disk and its clock is the real one. */
export type SimGateway = {
  readonly store: Store;
  readonly deps: InteractionDeps;
  readonly broker: MqttBroker;
  readonly deadlines: ActionDeadlines;
  /** Ends without a trace: what was not on the disk is gone. */
  readonly abandon: () => Promise<void>;
};

export async function startSimGateway(
  disk: SimDisk,
  clock: ManualClock,
  random: Random,
  limits: Partial<Limits>,
): Promise<SimGateway> {
  const fatal: unknown[] = [];
  const store = await untilWritten(
    disk,
    openStoreOn(await disk.open(), {
      path: "/nowhere",
      room: AMPLE_ROOM,
      window: { gatherMs: 0, syncIntervalMs: 0 },
      quotaBytes: 0,
      history: AMPLE,
      clock,
      random,
      log: QUIET_LOG,
      onFailure: (failure) => fatal.push(failure),
    }),
  );
  const late: { broker?: MqttBroker } = {};
  const deps: InteractionDeps = {
    store,
    clock: store.clock,
    random,
    limits: defaultLimits(limits),
    log: QUIET_LOG,
    publish: (publication) => late.broker?.publish(publication),
    credentialChanged: (ulid, change) => late.broker?.credentialChanged(ulid, change),
    loginNames: new LoginNames(10, store.clock),
    freeTopics: true,
  };
  const deadlines = new ActionDeadlines(deps, () => late.broker?.deliverWaiting());
  const expiries = new CredentialDeadlines(deps);
  const broker = await openMqtt(deps, {
    refusedFilters: [],
    loginFailures: new AddressRate(0, clock),
    refusals: new RefusalLog(store.clock),
    isClaimed: () => true,
    deliverability: ({ thing, name, moment }) => deadlines.deliverability(thing, name, moment),
    onFatal: (error) => fatal.push(error),
  });
  late.broker = broker;
  await untilWritten(disk, broker.start());
  deadlines.start();
  expiries.start();
  return {
    store,
    deps,
    broker,
    deadlines,
    abandon: async () => {
      deadlines.stop();
      expiries.stop();
      await broker.stop();
      if (fatal.length > 0) throw new AggregateError(fatal, "the gateway failed for good");
    },
  };
}

/** Lets the disk take everything until the promise has settled. */
export async function untilWritten<Value>(disk: SimDisk, promise: Promise<Value>): Promise<Value> {
  const state = { isSettled: false };
  const settled = promise.finally(() => (state.isSettled = true));
  settled.catch(() => undefined);
  while (!state.isSettled) {
    disk.endWrite();
    await nextTurn();
  }
  return settled;
}
