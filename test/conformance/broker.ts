import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { systemRandom } from "../../src/clock.ts";
import { loadConfig } from "../../src/config.ts";
import { startGateway, type Gateway } from "../../src/gateway.ts";
import type { LogFields } from "../../src/log.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { Peer } from "./peer.ts";
import { connack, connect, type ConnectFields } from "./wire.ts";

const ADMIN = "slu_conformance0123456789";

export type Login = { readonly user: string; readonly password: string };

/** What a credential is asked for with: `resources` of POST /{account}/mqtt. */
export type Resource = Readonly<Record<string, unknown>>;

/** A whole gateway in this process, with free topics on: there it is an ordinary broker. */
export type Broker = {
  readonly clock: ManualClock;
  /** Of a credential that may publish and subscribe to every free topic. */
  readonly login: Login;
  readonly logged: (readonly [level: string, event: string, fields: LogFields])[];
  readonly newLogin: (resources: readonly Resource[]) => Promise<Login>;
  readonly call: (method: string, path: string, body?: unknown) => Promise<Response>;
  /** A TCP connection on which nothing has been sent. */
  readonly open: () => Promise<Peer>;
  /** One whose CONNECT was answered. `present`: what the CONNACK says of the session. */
  readonly connected: (fields: ConnectFields & { readonly present?: boolean }) => Promise<Peer>;
  /** The CONNECT of `login`, as bytes. */
  readonly connect: (fields: ConnectFields) => Buffer;
  /** Stops and starts again on the same store. */
  readonly restart: () => Promise<void>;
};

const EVERY_FREE_TOPIC = { entity: "topics", patterns: [{ pub: "#", sub: "#" }] };

export async function startBroker(
  t: Test,
  env: Readonly<Record<string, string>> = {},
): Promise<Broker> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-conformance-"));
  const clock = new ManualClock();
  const logged: (readonly [string, string, LogFields])[] = [];
  const start = async (): Promise<Gateway> => startOn(folder, env, clock, logged);
  let gateway = await start();
  const peers: Peer[] = [];
  t.teardown(async () => {
    for (const peer of peers) await peer.cut();
    await gateway.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  const call = async (method: string, path: string, body?: unknown): Promise<Response> =>
    fetch(`http://127.0.0.1:${gateway.httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  const newLogin = async (resources: readonly Resource[]): Promise<Login> => {
    const response = await call("POST", "/site/mqtt", { resources });
    const text = await response.text();
    assert.equal(response.status, 201, text);
    const { username, password } = JSON.parse(text) as { username: string; password: string };
    return { user: username, password };
  };
  const open = async (): Promise<Peer> => {
    const peer = await Peer.open(gateway.mqttPort);
    peers.push(peer);
    return peer;
  };
  const login = await newLogin([EVERY_FREE_TOPIC]);
  return {
    clock,
    login,
    logged,
    newLogin,
    call,
    open,
    connected: async ({ present = false, ...fields }) => {
      const peer = await open();
      peer.send(connect({ ...login, ...fields }));
      await peer.expect(connack(present));
      return peer;
    },
    connect: (fields) => connect({ ...login, ...fields }),
    restart: async () => {
      await gateway.stop();
      gateway = await start();
    },
  };
}

async function startOn(
  folder: string,
  env: Readonly<Record<string, string>>,
  clock: ManualClock,
  logged: (readonly [string, string, LogFields])[],
): Promise<Gateway> {
  const loaded = loadConfig({
    env: {
      SLUICE_STORE__PATH: join(folder, "store"),
      SLUICE_MQTT__PORT: "0",
      SLUICE_HTTP__PORT: "0",
      SLUICE_MQTT__FREE_TOPICS: "true",
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN,
      // No window: the test's clock stands until the test moves it.
      SLUICE_STORE__GATHER_MS: "0",
      SLUICE_LIMITS__CONNECTS_PER_MINUTE_PER_ADDRESS: "0",
      SLUICE_LIMITS__LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: "0",
      ...env,
    },
  });
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.faults.join("\n"));
  const logAs =
    (level: string) =>
    (event: string, fields: LogFields = {}): void =>
      void logged.push([level, event, fields]);
  return startGateway(loaded.config, {
    clock,
    random: systemRandom,
    log: {
      error: logAs("error"),
      warn: logAs("warn"),
      info: logAs("info"),
      debug: logAs("debug"),
    },
    announceToken: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
}
