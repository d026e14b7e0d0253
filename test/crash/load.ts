import { Actuator } from "./actuator.ts";
import type { Dice } from "./dice.ts";
import type { Http } from "./http.ts";
import type { Ledger, Target } from "./ledger.ts";
import { connectClient } from "./mqtt-client.ts";
import { Publisher, type NextWrite } from "./publisher.ts";
import { churnCredentials, churnThings, writeValue, type HttpLoad } from "./requester.ts";
import { DESCRIPTION, FREE_TREE, freeTopic, type Logins, type ThingName } from "./site.ts";
import { Subscriber } from "./subscriber.ts";
import { ACCOUNT, publishOf } from "./wire.ts";

type LoadOptions = {
  readonly http: Http;
  readonly logins: Logins;
  readonly ledger: Ledger;
  readonly dice: Dice;
};

/** Publishes of one client without an answer: enough that a kill always meets some. */
const WINDOW = 8;
/** The pace of everybody, so that a run on a fast machine does not take longer to check. */
const BEAT_MS = 10;
const PUBLISHES_A_BEAT = 3;
const FREE_PLACES = [0, 1, 2];
const REQUEST: Target = { kind: "request", thing: "valve", name: "open" };
const LAST: Target = { kind: "message", topic: `${FREE_TREE}/last`, retain: false };

/** Everybody who uses the gateway, at once and over all its restarts. */
export class Load {
  /** Is owed the status of every Thing, at QoS 1. */
  readonly watcher: Subscriber;
  /** Is owed every free message, at QoS 2. */
  readonly freeWatcher: Subscriber;
  /** Answers that should not have been. */
  readonly complaints: string[] = [];
  readonly #options: LoadOptions;
  readonly #devices: readonly Publisher[];
  readonly #free: Publisher;
  readonly #actuator: Actuator;
  #requesters: readonly Promise<void>[] = [];
  #isWriting = false;
  #isUp = false;
  readonly #waiting = new Set<() => void>();
  readonly #beats = new Set<() => void>();
  readonly #beat: NodeJS.Timeout;

  constructor(options: LoadOptions) {
    this.#options = options;
    const { ledger, logins } = options;
    const things = `status/${ACCOUNT}/things/+`;
    const filters = [`${things}/properties/#`, `${things}/events/#`, `${ACCOUNT}/data/+`];
    this.watcher = new Subscriber(logins.watcher, filters, 1);
    this.freeWatcher = new Subscriber(logins.freeWatcher, [`${FREE_TREE}/#`], 2);
    this.#actuator = new Actuator(connectClient(logins.valve), ledger);
    this.#devices = DEVICES.map((thing) =>
      this.#publisher(thing, deviceWrites(thing, options.dice)),
    );
    this.#free = this.#publisher("free", freeWrites(options.dice));
    this.#beat = setInterval(() => {
      for (const beat of this.#beats) beat();
      if (this.#isUp) this.#wake();
    }, BEAT_MS);
  }

  /** Subscribes first, so that everything written is owed; then writes whenever it can. */
  async start(): Promise<void> {
    await this.watcher.subscribe();
    await this.freeWatcher.subscribe();
    await this.#actuator.subscribe();
    this.#isWriting = true;
    this.up();
    this.#requesters = this.#request();
  }

  /** The gateway serves: writers over HTTP go on. Clients of MQTT find out by themselves. */
  up(): void {
    this.#isUp = true;
  }

  /** The gateway is about to be killed. */
  down(): void {
    this.#isUp = false;
  }

  /** Subscribers leave and come back. */
  wander(dice: Dice): void {
    for (const subscriber of [this.watcher, this.freeWatcher]) {
      if (!dice.chance(0.4)) continue;
      if (subscriber.isThere) subscriber.go();
      else subscriber.come();
    }
  }

  /** Some lines break. */
  cut(dice: Dice): void {
    const all = [...this.#devices, this.#free, this.#actuator, this.watcher, this.freeWatcher];
    for (const client of all) if (dice.chance(0.5)) client.cut();
  }

  /** No new writes; resolves when all that was sent is answered and all that is owed has arrived. */
  async drain(): Promise<void> {
    this.#isWriting = false;
    this.#wake();
    await Promise.all(this.#requesters);
    for (const publisher of [...this.#devices, this.#free]) await publisher.idle();
    this.watcher.come();
    this.freeWatcher.come();
    await this.#exchangeLast();
  }

  stop(): void {
    clearInterval(this.#beat);
    this.#isWriting = false;
    this.#wake();
    for (const publisher of [...this.#devices, this.#free]) publisher.stop();
    this.#actuator.stop();
    this.watcher.go();
    this.freeWatcher.go();
  }

  #publisher(name: keyof Logins, next: NextWrite): Publisher {
    const { logins, ledger } = this.#options;
    let left = 0;
    const publisher = new Publisher(connectClient(logins[name]), ledger, {
      name,
      window: WINDOW,
      next: () => {
        if (!this.#isWriting || left === 0) return undefined;
        left -= 1;
        return next();
      },
    });
    this.#beats.add(() => {
      left = PUBLISHES_A_BEAT;
      publisher.pump();
    });
    return publisher;
  }

  #request(): readonly Promise<void>[] {
    const { dice } = this.#options;
    const load = this.#httpLoad();
    const meter = dice.fork("meter");
    const write = async (writer: string, next: () => Target): Promise<void> => {
      while (await load.mayGo()) await writeValue(load, writer, next());
    };
    return [
      write("meter", () => anyWriteTo("meter", meter)),
      write("shared", () => properties("meter", "shared")),
      write("operator", () => REQUEST),
      churnThings(load, dice.fork("things"), DESCRIPTION),
      churnCredentials(load, dice.fork("credentials"), "meter"),
    ];
  }

  #httpLoad(): HttpLoad {
    const { http, ledger } = this.#options;
    return {
      http,
      ledger,
      mayGo: async () => this.#mayGo(),
      complain: (detail) => this.complaints.push(detail),
    };
  }

  /** At the next beat at which the gateway is up; `false`: there are no more writes. */
  async #mayGo(): Promise<boolean> {
    if (this.#isWriting) await new Promise<void>((resolve) => this.#waiting.add(resolve));
    return this.#isWriting;
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  /** What is sent last arrives last, because a session is one queue: then all else has arrived. */
  async #exchangeLast(): Promise<void> {
    const { ledger } = this.#options;
    const load = this.#httpLoad();
    const request = await writeValue(load, "operator", REQUEST);
    await this.#actuator.finished(request.value);
    await this.#actuator.idle();
    const level = JSON.stringify({ level: ledger.nextValue("meter") });
    const status = this.watcher.arrival(`status/${ACCOUNT}/things/meter/properties/level`, level);
    await writeValue(load, "meter", properties("meter", "level"));
    await status;
    const { topic, payload } = publishOf(LAST, ledger.nextValue("free"));
    const last = this.freeWatcher.arrival(topic, payload);
    this.#free.send(LAST, 2);
    await last;
    await this.#free.idle();
  }
}

const DEVICES = ["boiler", "press", "mixer"] as const;

/** Boiler: QoS 1; press: QoS 2; mixer: both, and a property that HTTP writes too. */
function deviceWrites(thing: (typeof DEVICES)[number], all: Dice): NextWrite {
  const dice = all.fork(thing);
  const levels = { boiler: [1], press: [2], mixer: [1, 2] } as const;
  return () => {
    const qos = dice.pick<1 | 2>(levels[thing]);
    const isShared = thing === "mixer" && dice.chance(0.1);
    return { target: isShared ? properties("meter", "shared") : anyWriteTo(thing, dice), qos };
  };
}

function freeWrites(all: Dice): NextWrite {
  const dice = all.fork("free");
  return () => {
    const qos = dice.pick([1, 2] as const);
    const topic = freeTopic(qos, dice.pick(FREE_PLACES));
    return { target: { kind: "message", topic, retain: true }, qos };
  };
}

function anyWriteTo(thing: ThingName, dice: Dice): Target {
  const sort = dice.below(20);
  if (sort < 10) return properties(thing, dice.pick(["a", "b", "level"]));
  if (sort < 14) return properties(thing, "a", "b");
  return sort < 17 ? { kind: "event", thing, name: "alarm" } : { kind: "data", thing };
}

function properties(thing: ThingName, ...names: readonly string[]): Target {
  return { kind: "properties", thing, names };
}
