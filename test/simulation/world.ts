import { putAccount } from "../../src/interactions/accounts.ts";
import { requestAction } from "../../src/interactions/action-invocation.ts";
import { createCredential } from "../../src/interactions/credentials.ts";
import { updateProperty } from "../../src/interactions/property-update.ts";
import { createThing } from "../../src/interactions/provisioning.ts";
import { GatewayError } from "../../src/errors.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { seededRandom } from "../store/random.ts";
import { SimClient } from "./sim-client.ts";
import { SimDisk } from "./sim-disk.ts";
import { ADMIN, settle, startSimGateway, untilWritten, type SimGateway } from "./sim-gateway.ts";

const ACCOUNT = "site";
const THINGS = ["press", "valve"];
const YEARS_10_MS = 315_360_000_000;

/** What HTTP was told, beside what the clients know themselves. */
export type HttpLedger = {
  /** Values that got 200. */
  readonly acknowledged: { readonly thing: string; readonly value: number }[];
  /** Ids of action requests that got 201, and when each expires on the monotonic clock. */
  readonly requested: string[];
  /** Values that were sent, acknowledged or not. */
  readonly sent: Set<number>;
};

export type SimResult = {
  readonly disk: SimDisk;
  readonly gateway: SimGateway;
  readonly clients: readonly SimClient[];
  readonly http: HttpLedger;
  readonly crashes: number;
  readonly steps: number;
};

/** The world around the gateway, moved by one seed: nothing in it happens by itself. */
export class World {
  readonly disk = new SimDisk();
  readonly clock = new ManualClock();
  readonly clients: SimClient[] = [];
  readonly http: HttpLedger = { acknowledged: [], requested: [], sent: new Set() };
  gateway: SimGateway | undefined;
  crashes = 0;
  readonly #random: ReturnType<typeof seededRandom>;
  #lastValue = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  async run(steps: number): Promise<SimResult> {
    await this.#begin();
    for (let step = 0; step < steps; step += 1) {
      await this.#step();
      await settle();
    }
    await this.#calm();
    const { disk, clients, http, crashes } = this;
    return { disk, clients, http, crashes, steps, gateway: this.#running() };
  }

  #running(): SimGateway {
    if (this.gateway === undefined) throw new Error("the gateway is down");
    return this.gateway;
  }

  /** A whole number from 0 up to and without `below`. */
  #pick(below: number): number {
    const [a = 0, b = 0, c = 0] = this.#random.bytes(3);
    return ((a << 16) | (b << 8) | c) % below;
  }

  #oneOf<Item>(items: readonly Item[]): Item {
    const item = items[this.#pick(items.length)];
    if (item === undefined) throw new Error("nothing to pick from");
    return item;
  }

  async #start(): Promise<void> {
    const limits = { session_queue_messages: 10_000, inflight: 8 };
    this.gateway = await startSimGateway(this.disk, this.clock, this.#random, limits);
  }

  async #begin(): Promise<void> {
    await this.#start();
    const { deps } = this.#running();
    putAccount(deps, ACCOUNT, {});
    for (const id of THINGS) {
      createThing(deps, {
        principal: ADMIN,
        account: ACCOUNT,
        description: {
          id,
          properties: { v: { type: "integer" } },
          actions: { go: {} },
          events: { e: {} },
        },
      });
    }
    const resources = [{ entity: "things" as const, id: ["*"] }];
    // A generated password: checking a chosen one takes real time on other threads.
    const on = { principal: ADMIN, account: ACCOUNT, request: { resources } };
    const made = await untilWritten(this.disk, createCredential(deps, on));
    const login = { username: made.credential.username, password: made.password ?? "" };
    await untilWritten(this.disk, deps.store.commit.flushed());
    const everything = `status/${ACCOUNT}/things/+/#`;
    this.clients.push(
      new SimClient("writer-1", login, { clean: false }),
      new SimClient("writer-2", login, { clean: false }),
      new SimClient("reader-persistent", login, { clean: false, subscribe: everything }),
      new SimClient("reader-clean", login, { clean: true, subscribe: everything }),
    );
  }

  async #step(): Promise<void> {
    const dice = this.#pick(1000);
    if (dice < 330) this.#moveBytes(this.#oneOf(this.clients));
    else if (dice < 560) this.disk.endWrite();
    else if (dice < 760) this.#publish();
    else if (dice < 800) this.#writeByHttp();
    else if (dice < 830) this.#requestByHttp();
    else if (dice < 900) this.clock.advance(this.#pick(this.#pick(10) === 0 ? 3_600_000 : 400));
    else if (dice < 950) this.#connectOrCut(this.#oneOf(this.clients));
    else if (dice < 965) this.#stepWallClock();
    else if (dice < 980) await this.#failWrite();
    else if (dice < 990) await this.#crash();
  }

  #moveBytes(client: SimClient): void {
    const pending = client.pendingBytes;
    if (pending > 0) client.deliver(this.#pick(4) === 0 ? 1 + this.#pick(pending) : pending);
    client.hear();
  }

  #publish(): void {
    const writer = this.clients[this.#pick(2)];
    if (writer === undefined) return;
    const thing = this.#oneOf(THINGS);
    const value = this.#nextValue();
    const qos = this.#pick(2) === 0 ? 1 : 2;
    const set = `set/${ACCOUNT}/things/${thing}`;
    if (this.#pick(4) === 0) {
      writer.publish(`${set}/events/e`, JSON.stringify({ e: { data: value } }), qos);
    } else if (this.#pick(8) === 0) {
      writer.publish(`${set}/properties/v`, "this is not JSON", qos);
    } else {
      writer.publish(`${set}/properties/v`, JSON.stringify({ v: value }), qos);
    }
  }

  #writeByHttp(): void {
    const { deps } = this.#running();
    const thing = this.#oneOf(THINGS);
    const value = this.#nextValue();
    this.http.sent.add(value);
    if (deps.store.writability.refusal !== undefined) return;
    const on = { principal: ADMIN, account: ACCOUNT, thing, name: "v", body: { v: value } };
    updateProperty(deps, { ...on, others: "refuse" });
    this.#whenFlushed(() => this.http.acknowledged.push({ thing, value }));
  }

  #requestByHttp(): void {
    const { deps, store } = this.#running();
    if (store.writability.refusal !== undefined) return;
    const timeout = 1 + this.#pick(120);
    const on = { principal: ADMIN, account: ACCOUNT, thing: this.#oneOf(THINGS), name: "go" };
    try {
      const { request } = requestAction(deps, { ...on, body: { timeout } });
      const id = store.ids.ofMoment(request.moment);
      this.#whenFlushed(() => this.http.requested.push(id));
    } catch (error) {
      if (!(error instanceof GatewayError) || error.code !== "limit-reached") throw error;
    }
  }

  #whenFlushed(then: () => void): void {
    this.#running()
      .store.commit.flushed()
      .then(then, () => undefined);
  }

  #accept(client: SimClient): void {
    const socket = client.connect();
    this.#running().broker.accept(socket, socket.peer);
  }

  #connectOrCut(client: SimClient): void {
    if (client.socket !== undefined) {
      if (this.#pick(3) === 0) client.lose();
      return;
    }
    this.#accept(client);
  }

  #stepWallClock(): void {
    this.clock.wall += (this.#pick(2) === 0 ? 1 : -1) * this.#pick(YEARS_10_MS);
    this.clock.wall = Math.max(this.clock.wall, 0);
  }

  async #failWrite(): Promise<void> {
    if (this.disk.inFlight === 0) return;
    this.disk.failWrite(new Error("IO error: No space left on device"));
    const { writability } = this.#running().store;
    // The database is opened again and the batch written again, by itself.
    while (this.disk.inFlight === 0 && writability.stall !== undefined) await settle();
  }

  async #crash(): Promise<void> {
    this.crashes += 1;
    this.disk.crash(this.#pick(2) === 0);
    for (const client of this.clients) client.lose();
    await this.#running().abandon();
    this.gateway = undefined;
    if (this.#pick(2) === 0) {
      const wall = this.clock.wall + this.#pick(1_000_000) - this.#pick(YEARS_10_MS);
      this.clock.reboot({ wall: Math.max(wall, 0), synced: this.#pick(2) === 0 });
    }
    await this.#start();
  }

  /** No more faults: everything that is owed gets there. */
  async #calm(): Promise<void> {
    this.clock.synced = true;
    for (let quiet = 0, before = ""; quiet < 20;) {
      for (const client of this.clients) {
        if (client.socket === undefined) {
          this.#accept(client);
        }
        client.deliver(client.pendingBytes);
        client.hear();
      }
      this.disk.endWrite();
      this.clock.advance(600);
      await settle();
      const now = this.#progress();
      quiet = now === before ? quiet + 1 : 0;
      before = now;
    }
  }

  #progress(): string {
    const { store } = this.#running();
    const counts = this.clients.map(({ sent, received, pendingBytes }) => [
      sent.filter(({ isAcknowledged }) => isAcknowledged).length,
      received.length,
      pendingBytes,
    ]);
    return JSON.stringify([store.changes.sequence, this.disk.inFlight, counts]);
  }

  #nextValue(): number {
    this.#lastValue += 1;
    return this.#lastValue;
  }
}
