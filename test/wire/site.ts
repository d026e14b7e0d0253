import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { systemRandom } from "../../src/clock.ts";
import { loadConfig, type Config } from "../../src/config.ts";
import { startGateway, type Gateway } from "../../src/gateway.ts";
import type { LogFields } from "../../src/log.ts";
import { ManualClock } from "../store/manual-clock.ts";

export const ADMIN_TOKEN = "slu_0123456789abcdefghij";
/** The account that is there from the start. */
export const ACCOUNT = "A";

/** User and password of an MQTT credential. */
export type Login = {
  readonly ulid: string;
  readonly username: string;
  readonly password: string;
};

export type Reply = {
  readonly status: number;
  readonly headers: Headers;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- bodies are compared, not typed
  readonly json: any;
};

export type CallOptions = {
  /** Sent as JSON. */
  readonly json?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly token?: string;
};

/** One request, as the admin, unless a token or headers of another are given. */
export async function ask(url: string, method: string, options: CallOptions): Promise<Reply> {
  const { json, headers, token = ADMIN_TOKEN } = options;
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(json === undefined ? {} : { "content-type": "application/json" }),
      ...headers,
    },
    ...(json === undefined ? {} : { body: JSON.stringify(json) }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    json: text === "" ? undefined : (JSON.parse(text) as unknown),
  };
}

/** A gateway in this process, reached through its ports only, under a clock that the test moves. */
export class Site {
  readonly clock: ManualClock;
  readonly logged: (readonly [event: string, fields: LogFields])[] = [];
  #config: Config;
  #gateway: Gateway | undefined;

  private constructor(config: Config, clock: ManualClock) {
    this.#config = config;
    this.clock = clock;
  }

  /**
   * Stopped and removed when the test ends. `environment` as of the daemon: `SLUICE_…`. Rates by
   * address are off, since every client of a test has the same address.
   */
  static async start(t: Test, environment: NodeJS.ProcessEnv = {}): Promise<Site> {
    const directory = mkdtempSync(join(tmpdir(), "sluice-wire-"));
    const env = {
      SLUICE_STORE__PATH: join(directory, "1"),
      SLUICE_MQTT__PORT: "0",
      SLUICE_HTTP__PORT: "0",
      SLUICE_MQTT__FREE_TOPICS: "true",
      SLUICE_BOOTSTRAP__ACCOUNT: ACCOUNT,
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN_TOKEN,
      // No window: the test's clock stands until the test moves it.
      SLUICE_STORE__GATHER_MS: "0",
      SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "0",
      SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "0",
      ...environment,
    };
    const loaded = loadConfig({ env });
    if (!loaded.ok) throw new Error(loaded.faults.join("\n"));
    const site = new Site(loaded.config, new ManualClock());
    t.teardown(async () => {
      await site.#gateway?.stop();
      rmSync(directory, { recursive: true, force: true });
    });
    await site.begin();
    return site;
  }

  get mqttPort(): number {
    return this.#running.mqttPort;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#running.httpPort}`;
  }

  /** Stops in order and starts again on the same store. */
  async restart(): Promise<void> {
    await this.stop();
    await this.begin();
  }

  async stop(): Promise<void> {
    const running = this.#running;
    this.#gateway = undefined;
    await running.stop();
  }

  /**
   * What a crash leaves: another gateway goes on from the files as they are now. The first one ends
   * without having changed them.
   */
  async crash(): Promise<void> {
    const before = this.#config.store.path;
    await this.call("GET", "/gateway"); // Nothing is being written any more.
    const after = join(before, "..", String(Number(before.split("/").at(-1)) + 1));
    cpSync(before, after, { recursive: true });
    await this.stop();
    this.#config = { ...this.#config, store: { ...this.#config.store, path: after } };
    await this.begin();
  }

  /** As the admin, unless a token or headers of another are given. */
  async call(method: string, path: string, options: CallOptions = {}): Promise<Reply> {
    return ask(this.url + path, method, options);
  }

  /** As `call`, and fails with what was said if it is refused. */
  async did(method: string, path: string, json?: unknown): Promise<Reply> {
    const reply = await this.call(method, path, { json });
    if (reply.status < 300) return reply;
    throw new Error(`${method} ${path}: ${reply.status} ${JSON.stringify(reply.json)}`);
  }

  async makeThing(id: string, description: object = {}, account = ACCOUNT): Promise<Reply> {
    return this.did("PUT", `/${account}/things/${id}`, description);
  }

  async makeCredential(
    resources: readonly object[],
    more: Readonly<Record<string, unknown>> = {},
    account = ACCOUNT,
  ): Promise<Login> {
    const reply = await this.did("POST", `/${account}/mqtt`, { resources, ...more });
    const { ulid, username, password } = reply.json as Login;
    return { ulid, username, password };
  }

  /** Everything may be done with these Things. */
  async makeDevice(...things: readonly string[]): Promise<Login> {
    return this.makeCredential([{ entity: "things", id: things }]);
  }

  get #running(): Gateway {
    if (this.#gateway === undefined) throw new Error("the gateway does not run");
    return this.#gateway;
  }

  /** Starts again after `stop`. */
  async begin(): Promise<void> {
    const log = (event: string, fields: LogFields = {}): void => {
      this.logged.push([event, fields]);
    };
    this.#gateway = await startGateway(this.#config, {
      clock: this.clock,
      random: systemRandom,
      log: { error: log, warn: log, info: log, debug: log },
      announceToken: () => undefined,
      onFatal: (error) => {
        throw error;
      },
    });
  }
}
