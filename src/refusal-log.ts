import type { Clock } from "./clock.ts";
import type { ErrorCode } from "./errors.ts";
import { FIXED_LIMITS } from "./limits.ts";
import { keptText } from "./kept-text.ts";
import { peerNetwork } from "./peer-network.ts";
import type { RefusalCause } from "./refusal-causes.ts";
import { withoutTokens } from "./secrets.ts";

/** Why somebody was refused, as the edge that did it knows it. No member holds a secret or a payload. */
export type Refusal = {
  readonly cause: RefusalCause;
  /** What it came by; `tls`: it did not get as far as to say anything. */
  readonly protocol: "mqtt" | "mqtts" | "http" | "https" | "local" | "tls";
  /** IP address of the peer. */
  readonly address: string;
  /** MQTT client id, as far as it is known. */
  readonly clientId?: string;
  /** Who it said it is: not believed unless the cause implies it. */
  readonly user?: string;
  /** Topic name, topic filter or path. */
  readonly topic?: string;
  /** Of the error that it was told as, where there was one. */
  readonly code?: ErrorCode;
  /** What there is to say of this one: which limit, which half of it. */
  readonly detail: string;
};

/** A refusal, and how often the same one came. Times are ms since the epoch. */
export type NotedRefusal = Refusal & {
  readonly first: number;
  readonly last: number;
  readonly count: number;
};

export type RefusalFilter = {
  readonly clientId?: string | undefined;
  readonly user?: string | undefined;
  readonly address?: string | undefined;
};

type Row = { readonly refusal: Refusal; readonly first: number; last: number; count: number };

/** Rows of one client, those noted last behind; a key is what makes two refusals the same. */
type Client = Map<string, Row>;

/** Clients of one network, those noted last behind. */
type Network = { readonly clients: Map<string, Client>; rows: number };

/**
 * The last refusals, in memory: a restart forgets them. The same refusal of the same client is one row
 * with a count. Rows are bounded for a client, a network (an address, or 64 bits of IPv6) and in all;
 * whoever has the most of them loses his oldest, so that one who floods it pushes out his own.
 */
export class RefusalLog {
  readonly #clock: Pick<Clock, "wallMs">;
  readonly #onNoted: (refusal: Refusal) => void;
  readonly #networks = new Map<string, Network>();
  readonly #counts = new Map<RefusalCause, number>();
  #rows = 0;

  /** `onNoted` is told of each one as it is kept. Must not fail. */
  constructor(clock: Pick<Clock, "wallMs">, onNoted: (refusal: Refusal) => void = () => undefined) {
    this.#clock = clock;
    this.#onNoted = onNoted;
  }

  /** Refusals since the start, by cause. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** Never fails. What a stranger chose is cut, and a token in the wrong field left out. */
  note(given: Refusal): void {
    const { cause } = given;
    this.#counts.set(cause, (this.#counts.get(cause) ?? 0) + 1);
    const refusal = bounded(given);
    this.#onNoted(refusal);
    const of = peerNetwork(refusal.address);
    const network = this.#networks.get(of) ?? { clients: new Map<string, Client>(), rows: 0 };
    moveBehind(this.#networks, of, network);
    const name = refusal.clientId ?? refusal.user ?? "";
    const client: Client = network.clients.get(name) ?? new Map<string, Row>();
    moveBehind(network.clients, name, client);
    const { protocol, user, topic, address } = refusal;
    const key = JSON.stringify([cause, protocol, user, topic, address]);
    const now = this.#clock.wallMs();
    const same = client.get(key);
    const row = { refusal, first: same?.first ?? now, last: now, count: (same?.count ?? 0) + 1 };
    moveBehind(client, key, row);
    if (same !== undefined) return;
    network.rows += 1;
    this.#rows += 1;
    this.#keepBounds(network, client, name);
  }

  /** Those that match all that is given, newest first. */
  list(filter: RefusalFilter, limit: number): readonly NotedRefusal[] {
    const { clientId, user, address } = filter;
    const found: Row[] = [];
    for (const { clients } of this.#networks.values()) {
      for (const client of clients.values()) {
        for (const row of client.values()) {
          const { refusal } = row;
          if (clientId !== undefined && refusal.clientId !== clientId) continue;
          if (user !== undefined && refusal.user !== user) continue;
          if (address !== undefined && !isSameAddress(refusal.address, address)) continue;
          found.push(row);
        }
      }
    }
    // Sorting is stable, and of one client the last stands behind.
    const newestFirst = found.reverse().sort((a, b) => b.last - a.last);
    return newestFirst
      .slice(0, limit)
      .map(({ refusal, first, last, count }) => ({ ...refusal, first, last, count }));
  }

  #keepBounds(network: Network, client: Client, name: string): void {
    const { refusalsPerClientMax, refusalsPerNetworkMax, refusalsMax } = FIXED_LIMITS;
    if (client.size > refusalsPerClientMax) this.#dropOldest(network, client, name);
    if (network.rows > refusalsPerNetworkMax) this.#dropOf(network);
    if (this.#rows > refusalsMax) {
      const [, largest] = largestOf(this.#networks, ({ rows }) => rows) ?? [];
      if (largest !== undefined) this.#dropOf(largest);
      for (const [of, { rows }] of this.#networks) if (rows === 0) this.#networks.delete(of);
    }
  }

  #dropOf(network: Network): void {
    const [name, client] = largestOf(network.clients, ({ size }) => size) ?? [];
    if (name !== undefined && client !== undefined) this.#dropOldest(network, client, name);
  }

  #dropOldest(network: Network, client: Client, name: string): void {
    const [oldest] = client.keys();
    if (oldest === undefined) return;
    client.delete(oldest);
    if (client.size === 0) network.clients.delete(name);
    network.rows -= 1;
    this.#rows -= 1;
  }
}

/** Of several of the same size the one noted longest ago. */
function largestOf<Group>(
  groups: ReadonlyMap<string, Group>,
  sizeOf: (group: Group) => number,
): readonly [name: string, group: Group] | undefined {
  let largest: readonly [string, Group] | undefined;
  for (const entry of groups) {
    if (largest === undefined || sizeOf(entry[1]) > sizeOf(largest[1])) largest = entry;
  }
  return largest;
}

function moveBehind<Value>(map: Map<string, Value>, key: string, value: Value): void {
  map.delete(key);
  map.set(key, value);
}

function bounded(refusal: Refusal): Refusal {
  const { clientId, user, topic } = refusal;
  return {
    ...refusal,
    detail: cut(refusal.detail),
    ...(clientId === undefined ? {} : { clientId: cut(clientId) }),
    ...(user === undefined ? {} : { user: cut(user) }),
    ...(topic === undefined ? {} : { topic: cut(topic) }),
  };
}

function cut(text: string): string {
  return keptText(withoutTokens(text), FIXED_LIMITS.refusalTextLengthMax);
}

/** `::ffff:192.0.2.1` and `192.0.2.1` are one address. */
function isSameAddress(address: string, given: string): boolean {
  return bare(address) === bare(given);
}

function bare(address: string): string {
  return address.toLowerCase().replace(/^::ffff:(?=\d+\.)/, "");
}
