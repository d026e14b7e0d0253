import type { CancelTimer } from "../clock.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import {
  connectionObject,
  type DeviceConnection,
  type DeviceConnections,
} from "../interactions/device-connection.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Credential } from "../store/credentials.ts";
import type { Thing } from "../thing/thing.ts";
import { connectionTopic } from "../thing/topics.ts";

/** The Things that a credential is a device of. */
type Reach = {
  readonly ulid: string;
  readonly uids: ReadonlySet<string>;
  /** Every Thing of this account. */
  readonly account: string | undefined;
};

type OnlineDeps = Pick<InteractionDeps, "store" | "clock" | "publish">;

/**
 * Which Things have a device connected, told on a topic of each Thing: soon after it changes, and to
 * one that comes and goes only so often. Nothing of it is on disk but what persistent sessions that
 * asked for it are owed.
 */
export class OnlineThings implements DeviceConnections {
  readonly #deps: OnlineDeps;
  /** By connection. */
  readonly #open = new Map<object, Reach>();
  /** How many connections reach a Thing, by its uid, and all Things of an account. */
  readonly #ofThing = new Map<string, number>();
  readonly #ofAccount = new Map<string, number>();
  /** Things whose state has changed since the start, by uid. */
  readonly #states = new Map<string, DeviceConnection>();
  readonly #told = new Map<string, { readonly isOnline: boolean; readonly atMs: number }>();
  /** Uids of Things that something may have to be told of. */
  readonly #untold = new Set<string>();
  readonly #listeners = new Set<(thing: Thing) => void>();
  #cancelStart: CancelTimer | undefined;
  #cancelLook: CancelTimer | undefined;
  #isStopped = false;

  constructor(deps: OnlineDeps) {
    this.#deps = deps;
  }

  /** Devices that were there before the start have some time to return; then those left are told of. */
  start(): void {
    this.#cancelStart = this.#deps.clock.after(FIXED_LIMITS.willGraceMs, () => {
      const { accounts, things } = this.#deps.store;
      for (const thing of accounts.all().flatMap(({ name }) => [...things.ofAccount(name)])) {
        if (!this.#told.has(thing.uid)) this.#untold.add(thing.uid);
      }
      this.#look();
    });
  }

  /** What ends now is the gateway's doing, and nobody is told. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelStart?.();
    this.#cancelLook?.();
  }

  readonly of = (thing: Thing): DeviceConnection => {
    const { uid, account } = thing;
    const isOnline = this.#ofThing.has(uid) || this.#ofAccount.has(account);
    const noted = this.#states.get(uid);
    return { isOnline, since: noted?.isOnline === isOnline ? noted.since : undefined };
  };

  readonly onTold = (callback: (thing: Thing) => void): (() => void) => {
    this.#listeners.add(callback);
    return () => this.#listeners.delete(callback);
  };

  opened(connection: object, credential: Credential): void {
    this.closed(connection);
    const reach = reachOf(credential);
    this.#open.set(connection, reach);
    this.#count(reach, 1);
  }

  closed(connection: object): void {
    const reach = this.#open.get(connection);
    if (reach === undefined) return;
    this.#open.delete(connection);
    this.#count(reach, -1);
  }

  /** Its grants are others now. */
  granted(credential: Credential): void {
    for (const [connection, { ulid }] of [...this.#open]) {
      if (ulid === credential.ulid) this.opened(connection, credential);
    }
  }

  #count({ uids, account }: Reach, by: 1 | -1): void {
    const { things } = this.#deps.store;
    for (const uid of uids) {
      addTo(this.#ofThing, uid, by);
      const thing = things.byUid(uid);
      if (thing !== undefined) this.#note(thing);
    }
    if (account === undefined) return;
    const before = this.#ofAccount.has(account);
    addTo(this.#ofAccount, account, by);
    if (this.#ofAccount.has(account) === before) return;
    for (const thing of things.ofAccount(account)) this.#note(thing);
  }

  #note(thing: Thing): void {
    const { uid } = thing;
    const { isOnline } = this.of(thing);
    if (isOnline === (this.#states.get(uid)?.isOnline ?? false)) return;
    this.#states.set(uid, { isOnline, since: this.#deps.clock.wallMs() });
    this.#untold.add(uid);
    this.#lookSoon();
  }

  #lookSoon(): void {
    if (this.#isStopped) return;
    this.#cancelLook ??= this.#deps.clock.after(FIXED_LIMITS.connectionLookMs, () => {
      this.#cancelLook = undefined;
      this.#look();
    });
  }

  #look(): void {
    const { store, clock } = this.#deps;
    // What cannot be written now is told later.
    if (store.writability.refusal === undefined) {
      const now = clock.monotonicMs();
      let told = 0;
      for (const uid of this.#untold) {
        if (told >= FIXED_LIMITS.connectionsToldMax) break;
        told += this.#tell(uid, now) ? 1 : 0;
      }
    }
    if (this.#untold.size > 0) this.#lookSoon();
  }

  /** @returns whether it was worth a message. */
  #tell(uid: string, nowMs: number): boolean {
    const thing = this.#deps.store.things.byUid(uid);
    if (thing === undefined) {
      for (const held of [this.#states, this.#told, this.#untold]) held.delete(uid);
      return false;
    }
    const state = this.of(thing);
    const told = this.#told.get(uid);
    if (told?.isOnline === state.isOnline) {
      this.#untold.delete(uid);
      return false;
    }
    if (told !== undefined && nowMs - told.atMs < FIXED_LIMITS.connectionToldMs) return false;
    this.#untold.delete(uid);
    this.#told.set(uid, { isOnline: state.isOnline, atMs: nowMs });
    this.#deps.publish({
      topic: connectionTopic(thing),
      payload: JSON.stringify(connectionObject(state)),
      thing,
      about: "connection",
    });
    for (const listener of this.#listeners) listener(thing);
    return true;
  }
}

function reachOf({ ulid, account, grants }: Credential): Reach {
  const uids = new Set<string>();
  let isAll = false;
  for (const grant of grants) {
    if (grant.entity !== "things" || grant.role !== "device") continue;
    if (grant.things.all) isAll = true;
    else for (const uid of grant.things.uids) uids.add(uid);
  }
  return { ulid, uids, account: isAll ? account : undefined };
}

/** Zero is not kept. */
function addTo(counts: Map<string, number>, key: string, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
