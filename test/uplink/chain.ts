import type { InteractionDeps } from "../../src/interactions/deps.ts";
import { putAccount } from "../../src/interactions/accounts.ts";
import { putThing } from "../../src/interactions/provisioning.ts";
import type { Publication } from "../../src/interactions/publication.ts";
import { updateProperties, updateProperty } from "../../src/interactions/property-update.ts";
import { defaultLimits } from "../../src/limits.ts";
import type { Commit } from "../../src/store/commit.ts";
import type { Owed } from "../../src/store/outbox-items.ts";
import { UplinkMemory } from "../../src/store/uplink-memory.ts";
import type { Uplink } from "../../src/store/uplinks.ts";
import { SCOPES, type Principal } from "../../src/thing/access.ts";
import type { Json, JsonObject } from "../../src/thing/json.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { Down } from "../../src/uplink/down.ts";
import type { DownMessage } from "../../src/uplink/message.ts";
import { makeTopicMapping } from "../../src/uplink/topic-mapping.ts";
import type { Opened } from "../store/open-store.ts";
import { QUIET_LOG } from "../store/quiet-log.ts";
import { LoginNames } from "../../src/login-names.ts";

/** A device, an application: whoever sets values on a gateway without an uplink. */
const CLIENT: Principal = {
  kind: "token",
  name: "client",
  account: undefined,
  scopes: new Set(SCOPES),
};

export const PROPERTIES = ["p", "q"] as const;
const DESCRIPTION = { properties: { p: { type: "number" }, q: { type: "number" } } };

/** What a gateway owes its upstream: its own changes, in order. A model of the outbox. */
class OwedChanges {
  readonly #items: { readonly owed: Owed; readonly sequence: number; isAcked: boolean }[] = [];
  #next = 0;

  add(thing: Thing, sequence: number, values: JsonObject): void {
    const change = { class: "property", thing: thing.number, at: 0, values, sequence } as const;
    const owed: Owed = {
      seq: this.#items.length + 1,
      id: `${thing.account}-${this.#items.length + 1}`,
      at: 0,
      item: { kind: "change", change, thing },
      isNew: true,
      isBacklog: false,
      isPresent: true,
      bytes: 1,
    };
    this.#items.push({ owed, sequence, isAcked: false });
  }

  take(): Owed | undefined {
    const item = this.#items[this.#next];
    if (item !== undefined) this.#next += 1;
    return item?.owed;
  }

  rewind(): void {
    const first = this.#items.findIndex(({ isAcked }) => !isAcked);
    this.#next = first < 0 ? this.#items.length : first;
  }

  acknowledge(seq: number): Owed | undefined {
    const item = this.#items[seq - 1];
    if (item === undefined) return undefined;
    item.isAcked = true;
    return item.owed;
  }

  isOf(sequence: number): boolean {
    return this.#items.some((item) => item.sequence === sequence);
  }

  owes(sequence: number): boolean {
    return this.#items.some((item) => item.sequence === sequence && !item.isAcked);
  }
}

type Status = {
  readonly message: DownMessage;
  state: "queued" | "sent" | "acknowledged";
  /** It tells of a value that came from the gateway that gets it. */
  readonly isEcho: boolean;
  /** The newest change of that gateway which had arrived when it was said. */
  readonly arrived: number;
};

/** A gateway: its Thing stands in an account of its own of the one store that all of them share. */
export type Node = { thing: Thing; readonly link: Link | undefined };

/** The line of a gateway to the one above it, with all that is under way on it. */
export class Link {
  readonly owed = new OwedChanges();
  readonly #chain: Chain;
  readonly #child: () => Node;
  readonly #parent: () => Node;
  readonly #uplink: Uplink;
  #life = { isOver: false };
  #memory: UplinkMemory;
  #down: Down;
  #isOpen = false;
  /** Published and not yet taken by the one above; taken, and the acknowledgement on its way. */
  #up: Owed[] = [];
  #acks: number[] = [];
  /** What the one above owes the session. */
  #session: Status[] = [];
  #packetId = 0;
  #arrived = 0;
  #isArriving = false;
  /** What went down and set a value that was older than the one it took the place of. */
  readonly stale: string[] = [];

  constructor(chain: Chain, number: number, child: () => Node, parent: () => Node) {
    this.#chain = chain;
    this.#child = child;
    this.#parent = parent;
    this.#uplink = {
      number,
      name: `up${number}`,
      settings: {},
      isPaused: false,
      created: 0,
      modified: 0,
      revision: 1,
    };
    this.#memory = this.#makeMemory();
    this.#down = this.#makeDown();
  }

  /** Values whose echo is awaited. */
  get awaited(): number {
    return this.#down.conflicts.awaited;
  }

  /** Values that lost and may be set yet. */
  get lost(): number {
    return this.#down.conflicts.lost;
  }

  get via(): number {
    return this.#uplink.number;
  }

  open(): void {
    if (this.#isOpen) return;
    this.#isOpen = true;
    for (const status of this.#session) {
      if (status.state === "queued") continue;
      // Its acknowledgement was lost: it goes again, with DUP [MQTT-4.4.0-1].
      status.state = "queued";
      Object.assign(status, { message: { ...status.message, dup: true } });
    }
    this.#down.lineOpened({ sessionPresent: true });
  }

  /** So many of what is under way upwards still arrive; no acknowledgement does. */
  cut(arriving: number): void {
    if (!this.#isOpen) return;
    for (let left = arriving; left > 0 && this.#up.length > 0; left -= 1) this.#arrive();
    this.#up = [];
    this.#acks = [];
    this.#isOpen = false;
    this.owed.rewind();
    this.#down.lineClosed();
  }

  /** The gateway below is killed and starts again: what it would put from now on is not written. */
  async restart(arriving: number): Promise<void> {
    this.#life.isOver = true;
    this.cut(arriving);
    this.#down.stop();
    this.#life = { isOver: false };
    const { commit, database } = this.#chain.deps.store;
    await commit.flushed();
    this.#memory = this.#makeMemory();
    await this.#memory.load(database);
    this.#down = this.#makeDown();
    await this.start();
  }

  async start(): Promise<void> {
    await this.#down.start();
  }

  close(): void {
    this.#down.stop();
  }

  send(): boolean {
    const owed = this.#isOpen ? this.owed.take() : undefined;
    if (owed === undefined) return false;
    this.#up.push(owed);
    this.#down.sent(owed);
    return true;
  }

  arrive(): boolean {
    if (!this.#isOpen || this.#up.length === 0) return false;
    this.#arrive();
    return true;
  }

  acknowledge(): boolean {
    const seq = this.#isOpen ? this.#acks.shift() : undefined;
    if (seq === undefined) return false;
    const owed = this.owed.acknowledge(seq);
    if (owed !== undefined) this.#down.acknowledged(owed);
    return true;
  }

  /** The next status goes down. @throws if the conflict rule is broken. */
  deliver(): boolean {
    const status = this.#session.find(({ state }) => state === "queued");
    if (!this.#isOpen || status === undefined) return false;
    status.state = "sent";
    const before = this.#chain.statesOf(this.#child());
    this.#down.take(status.message, () => (status.state = "acknowledged"));
    for (const [name, state] of this.#chain.statesOf(this.#child())) {
      const held = before.get(name);
      if (held === undefined || held.sequence === state.sequence) continue;
      if (this.owed.owes(held.sequence)) throw new Error(`${name}: an unacknowledged value lost`);
      if (status.isEcho) this.stale.push(`${name} was set by its own echo`);
      if (this.owed.isOf(held.sequence) && held.sequence > status.arrived) {
        this.stale.push(`${name} was set to what upstream had before`);
      }
    }
    return true;
  }

  /** The acknowledgements of what was delivered arrive above. */
  async release(): Promise<boolean> {
    if (!this.#isOpen) return false;
    await this.#chain.deps.store.commit.flushed();
    const left = this.#session.filter(({ state }) => state !== "acknowledged");
    const isNews = left.length < this.#session.length;
    this.#session = left;
    return isNews;
  }

  /** Above the queue is full: of each property the latest is kept. */
  collapse(): void {
    const kept = new Map<string, Status>();
    for (const status of this.#session) {
      if (status.state === "queued" && !status.message.dup) kept.set(status.message.topic, status);
    }
    const isKept = (status: Status): boolean =>
      status.state !== "queued" || status.message.dup || kept.get(status.message.topic) === status;
    this.#session = this.#session.filter(isKept);
  }

  /** Status of the gateway above, for the session of the one below. */
  owe({ topic, payload }: Publication): void {
    this.#packetId = (this.#packetId % 65_535) + 1;
    const message: DownMessage = {
      topic,
      payload: Buffer.from(payload),
      qos: 1,
      retain: false,
      dup: false,
      packetId: this.#packetId,
      properties: {},
    };
    const [isEcho, arrived] = [this.#isArriving, this.#arrived];
    this.#session.push({ message, state: "queued", isEcho, arrived });
  }

  #arrive(): void {
    const owed = this.#up.shift();
    if (owed?.item.kind !== "change" || owed.item.change.class !== "property") return;
    const { values, sequence } = owed.item.change;
    this.#arrived = Math.max(this.#arrived, sequence);
    this.#isArriving = true;
    this.#chain.set(this.#parent(), values);
    this.#isArriving = false;
    this.#acks.push(owed.seq);
  }

  #makeMemory(): UplinkMemory {
    const { commit } = this.#chain.deps.store;
    const life = this.#life;
    const writer = {
      put: (key: string, row: string) => {
        if (!life.isOver) commit.put(key, row);
      },
      delete: (key: string) => {
        if (!life.isOver) commit.delete(key);
      },
    };
    return new UplinkMemory(writer as unknown as Commit, this.#uplink.number);
  }

  #makeDown(): Down {
    const child = this.#child().thing.account;
    const parent = this.#parent().thing.account;
    return new Down({
      interactions: this.#chain.deps,
      outbox: {
        uplink: this.#uplink,
        memory: this.#memory,
        owes: (_, sequence) => this.owed.owes(sequence),
      },
      settings: { shape: "peer", envelope: "none", window: 500 },
      mapping: makeTopicMapping({ shape: "peer", prefix: "", accounts: { [child]: parent } }),
      tell: () => undefined,
    });
  }
}

/** Gateways one above the other, the last one at the top, all of them the real code below the line. */
export class Chain {
  readonly deps: InteractionDeps;
  readonly nodes: Node[] = [];

  constructor(opened: Opened, index: number, length: number) {
    this.deps = {
      store: opened.store,
      clock: opened.store.clock,
      random: opened.random,
      limits: defaultLimits(),
      log: QUIET_LOG,
      publish: (publication) => this.#publish(publication),
      credentialChanged: () => undefined,
      loginNames: new LoginNames(10, opened.store.clock),
      freeTopics: false,
    };
    for (let place = 0; place < length; place += 1) {
      const account = `n${place}`;
      putAccount(this.deps, account, {});
      const on = { principal: CLIENT, account, thing: `t${index}` };
      const { thing } = putThing(this.deps, { ...on, description: DESCRIPTION });
      this.nodes.push({ thing, link: undefined });
    }
    for (let place = 0; place + 1 < length; place += 1) {
      const node = (at: number) => (): Node => this.node(at);
      const link = new Link(this, index * 10 + place + 1, node(place), node(place + 1));
      this.nodes[place] = { thing: this.node(place).thing, link };
    }
  }

  get links(): readonly Link[] {
    return this.nodes.flatMap(({ link }) => (link === undefined ? [] : [link]));
  }

  node(place: number): Node {
    const node = this.nodes[place];
    if (node === undefined) throw new Error(`there is no gateway ${place}`);
    return node;
  }

  /** A client sets values, or the gateway below does. */
  set({ thing, link }: Node, values: JsonObject): void {
    const on = { principal: CLIENT, account: thing.account, thing: thing.id, body: values };
    const [name, ...more] = Object.keys(values);
    const { sequence } =
      name !== undefined && more.length === 0
        ? updateProperty(this.deps, { ...on, name, others: "refuse" })
        : updateProperties(this.deps, on);
    link?.owed.add(thing, sequence, values);
  }

  statesOf({ thing }: Node) {
    return new Map(this.deps.store.properties.ofThing(thing.number));
  }

  valuesOf(node: Node): Readonly<Record<string, Json>> {
    const states = this.statesOf(node);
    return Object.fromEntries(PROPERTIES.map((name) => [name, states.get(name)?.value ?? null]));
  }

  #publish(publication: Publication): void {
    if (publication.about !== "property") return;
    const place = this.nodes.findIndex(({ thing }) => thing.number === publication.thing.number);
    this.nodes[place - 1]?.link?.owe(publication);
  }
}
