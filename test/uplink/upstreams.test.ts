import { test, type Test } from "tap";
import { httpTo, type Http } from "../crash/http.ts";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { needs } from "../systemd/programs.ts";
import { within } from "../wire/within.ts";
import { startMosquitto, startNats, startRabbitmq, type Broker } from "./brokers.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { connectLine, lineSettings, type Came, type Site } from "./line-site.ts";

// The whole daemon, a line that can be cut, and the brokers that a site may have above it.

const TOKEN = "slu_uplink-test-administrator";
const LOOK_EVERY_MS = 20;

type Upstream = {
  readonly name: string;
  readonly programs: readonly string[];
  readonly start: (t: Test) => Promise<{ readonly port: number; readonly broker: Broker }>;
  readonly protocols: readonly (4 | 5)[];
  readonly login?: { readonly username: string; readonly password: string };
};

const UPSTREAMS: readonly Upstream[] = [
  { name: "mosquitto", programs: ["mosquitto"], start: startMosquitto, protocols: [4, 5] },
  {
    name: "RabbitMQ",
    programs: ["rabbitmq-server", "epmd"],
    start: startRabbitmq,
    protocols: [4],
    login: { username: "guest", password: "guest" },
  },
  { name: "NATS", programs: ["nats-server"], start: startNats, protocols: [4] },
];

class Plant {
  readonly #t: Test;
  readonly #url: string;
  readonly #login: Upstream["login"];
  readonly #protocol: 4 | 5;
  readonly http: Http;
  readonly daemon: Daemon;
  readonly proxy: FaultProxy;
  readonly ear: Site;

  constructor(
    t: Test,
    upstream: Upstream,
    protocol: 4 | 5,
    parts: { port: number; httpPort: number; daemon: Daemon; proxy: FaultProxy; ear: Site },
  ) {
    this.#t = t;
    this.#url = `mqtt://127.0.0.1:${parts.port}`;
    this.#login = upstream.login;
    this.#protocol = protocol;
    this.http = httpTo(parts.httpPort, TOKEN);
    this.daemon = parts.daemon;
    this.proxy = parts.proxy;
    this.ear = parts.ear;
  }

  static async start(t: Test, upstream: Upstream, port: number, protocol: 4 | 5): Promise<Plant> {
    const proxy = await FaultProxy.start(t, port);
    const settings = lineSettings(`mqtt://127.0.0.1:${port}`, { protocol, ...upstream.login });
    const ear = await connectLine(t, settings);
    await ear.line.subscribe([{ filter: "status/#", qos: 1 }]);
    const env = daemonEnvironment(t);
    const daemon = new Daemon(t, [], { ...env, SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN });
    const { httpPort } = await daemon.ready;
    return new Plant(t, upstream, protocol, { port, httpPort, daemon, proxy, ear });
  }

  async put(more: object = {}): Promise<void> {
    const retry = { min_s: 0.1, max_s: 0.5 };
    const given = { url: `mqtt://127.0.0.1:${this.proxy.port}`, protocol: this.#protocol, retry };
    await this.#call("PUT", "/gateway/uplinks/up", { ...given, ...this.#login, ...more });
  }

  async post(what: "pause" | "resume" | "test"): Promise<Record<string, unknown>> {
    return this.#call("POST", `/gateway/uplinks/up/${what}`);
  }

  async makeThing(): Promise<void> {
    const properties = { p: { type: "number" }, q: { type: "number" } };
    await this.#call("PUT", "/site/things/boiler", { properties, actions: { heat: {} } });
  }

  async write(...values: readonly number[]): Promise<void> {
    for (const p of values) await this.#call("PUT", "/site/things/boiler/properties/p", { p });
  }

  async property(name: "p" | "q"): Promise<unknown> {
    return (await this.#call("GET", `/site/things/boiler/properties/${name}`))[name];
  }

  async status(): Promise<Record<string, unknown>> {
    return this.#call("GET", "/gateway/uplinks/up");
  }

  /** Until the status of the uplink is like this. */
  async until(what: string, isSo: (status: Record<string, unknown>) => boolean): Promise<void> {
    const waiting = (async (): Promise<void> => {
      while (!isSo(await this.status())) {
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    })();
    await within(what, waiting);
  }

  /** The next message on a topic, whatever comes between. */
  async next(topic: string): Promise<Came> {
    for (;;) {
      const came = await this.ear.next(`a message on ${topic}`);
      came.acknowledge();
      // What is retained was there before.
      if (came.topic === topic && !came.retain) return came;
    }
  }

  /** Values of the property as they come up, until this one. */
  async valuesUntil(last: number): Promise<readonly number[]> {
    const values: number[] = [];
    while (values.at(-1) !== last) {
      const { payload } = await this.next("status/site/things/boiler/properties/p");
      values.push((JSON.parse(payload.toString()) as { p: number }).p);
    }
    return values;
  }

  /** Someone upstream publishes. */
  async command(topic: string, content: unknown): Promise<void> {
    const mouth = await connectLine(
      this.#t,
      lineSettings(this.#url, { protocol: this.#protocol, ...this.#login }),
    );
    const payload = Buffer.from(JSON.stringify(content));
    await mouth.line.publish({ topic, payload, retain: false });
    await mouth.line.close();
  }

  async #call(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const { status, body: answer } = await this.http(method, path, body);
    if (status >= 300) throw new Error(`${method} ${path}: ${status} ${JSON.stringify(answer)}`);
    return answer as Record<string, unknown>;
  }
}

const isConnected = ({ state }: Record<string, unknown>): boolean => state === "connected";

for (const upstream of UPSTREAMS) {
  const options = { ...needs(...upstream.programs), timeout: 120_000 };
  await test(`${upstream.name} serves as upstream`, options, async (t) => {
    const { port } = await upstream.start(t);
    for (const protocol of upstream.protocols) {
      await t.test(`MQTT ${protocol}: all goes up in order, commands come down`, async (own) => {
        await upAndDown(own, await Plant.start(own, upstream, port, protocol));
      });
      await t.test(`MQTT ${protocol}: pause, resume, test, and a quick stop`, async (own) => {
        await held(own, await Plant.start(own, upstream, port, protocol));
      });
    }
  });
}

async function upAndDown(t: Test, plant: Plant): Promise<void> {
  await plant.makeThing();
  await plant.write(1, 2);
  await plant.put();
  const description = await plant.next("status/site/things/boiler");
  t.match(JSON.parse(description.payload.toString()), { id: "boiler" });
  t.same(await plant.valuesUntil(2), [2], "a snapshot first");
  await plant.until("connected", isConnected);
  await plant.write(3, 4, 5);
  t.same(await plant.valuesUntil(5), [3, 4, 5]);
  await plant.command("set/site/things/boiler/properties/p", { p: 42 });
  t.same(await plant.valuesUntil(42), [42]);
  t.equal(await plant.property("p"), 42);
  await plant.until("nothing owed", ({ depth }) => (depth as { rows: number }).rows === 0);
  t.match(await plant.status(), { state: "connected", last_error: null, drops: [] });

  await plant.proxy.cut();
  await plant.until("not connected", (status) => !isConnected(status));
  const backlog = Array.from({ length: 30 }, (_, nth) => 100 + nth);
  await plant.write(...backlog);
  // p has a local change that upstream does not know: there it would lose.
  await plant.command("set/site/things/boiler/properties/q", { q: 7 });
  t.match(await plant.status(), { state: "connecting", depth: { rows: 30 } });
  await plant.proxy.mend();
  t.same(await plant.valuesUntil(129), backlog, "the backlog in order, and nothing twice");
  await plant.until("the command", ({ down }) => (down as { applied: number }).applied === 2);
  t.equal(await plant.property("q"), 7);
}

async function held(t: Test, plant: Plant): Promise<void> {
  await plant.makeThing();
  await plant.put();
  await plant.until("connected", isConnected);
  t.match(await plant.post("test"), { ok: true });
  t.match(await plant.post("pause"), { state: "paused" });
  await plant.write(1, 2, 3);
  t.match(await plant.status(), { state: "paused" });
  await plant.post("resume");
  t.same(await plant.valuesUntil(3), [1, 2, 3]);
  // A line that hangs does not hold up the stop.
  await plant.proxy.stall();
  await plant.write(4);
  const beganMs = performance.now();
  plant.daemon.signal("SIGTERM");
  t.equal((await plant.daemon.ended).code, 0);
  t.ok(performance.now() - beganMs < 8_000, "stopped in time");
}
