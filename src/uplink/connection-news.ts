import type { CancelTimer, Clock } from "../clock.ts";
import { connectionObject, type DeviceConnections } from "../interactions/device-connection.ts";
import type { UplinkFilter } from "../interactions/uplink-filter.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Store } from "../store/store.ts";
import type { Thing } from "../thing/thing.ts";
import { connectionTopic } from "../thing/topics.ts";
import type { UpMessage } from "./message.ts";
import type { TopicMapping } from "./topic-mapping.ts";

export type ConnectionNewsDeps = {
  readonly clock: Pick<Clock, "after">;
  readonly store: Pick<Store, "accounts" | "things">;
  readonly connections: DeviceConnections;
  readonly filter: UplinkFilter;
  readonly mapping: TopicMapping;
  /** Publishes upstream if there is room, else it is lost. */
  readonly tell: (message: UpMessage) => void;
};

/**
 * Says upstream, retained, of which Things a device is connected: of all of them when the line opens,
 * a few at a time, and then what changes. It is not owed: each line says it anew.
 */
export class ConnectionNews {
  readonly #deps: ConnectionNewsDeps;
  /** Topics upstream of what was told, by uid. */
  readonly #told = new Map<string, string>();
  /** Uids of Things to tell of, in their order. */
  readonly #untold = new Set<string>();
  readonly #unlisten: () => void;
  #cancelLook: CancelTimer;

  /** The line is open. */
  constructor(deps: ConnectionNewsDeps) {
    this.#deps = deps;
    const { accounts, things } = deps.store;
    for (const { name } of accounts.all()) {
      for (const thing of things.ofAccount(name)) this.#add(thing);
    }
    this.#unlisten = deps.connections.onTold((thing) => this.#add(thing));
    this.#cancelLook = this.#lookLater();
  }

  /** The line has ended. */
  end(): void {
    this.#unlisten();
    this.#cancelLook();
  }

  #add(thing: Thing): void {
    if (this.#deps.filter.coversThing(thing)) this.#untold.add(thing.uid);
  }

  #lookLater(): CancelTimer {
    return this.#deps.clock.after(FIXED_LIMITS.connectionLookMs, () => {
      this.#look();
      this.#cancelLook = this.#lookLater();
    });
  }

  #look(): void {
    for (const uid of this.#told.keys()) {
      if (this.#deps.store.things.byUid(uid) === undefined) this.#untold.add(uid);
    }
    let told = 0;
    for (const uid of this.#untold) {
      if (told >= FIXED_LIMITS.uplinkConnectionsToldMax) return;
      told += 1;
      this.#untold.delete(uid);
      this.#tell(uid);
    }
  }

  #tell(uid: string): void {
    const { store, connections, mapping, tell } = this.#deps;
    const thing = store.things.byUid(uid);
    if (thing === undefined) {
      // Deleted: upstream's broker forgets it.
      const topic = this.#told.get(uid);
      this.#told.delete(uid);
      if (topic !== undefined) tell({ topic, payload: Buffer.alloc(0), retain: true });
      return;
    }
    const account = mapping.upstreamAccount(thing.account);
    if (account === undefined) return;
    const topic = mapping.up(connectionTopic({ account, id: thing.id }));
    const content = connectionObject(connections.of(thing));
    this.#told.set(uid, topic);
    tell({ topic, payload: Buffer.from(JSON.stringify(content)), retain: true });
  }
}
