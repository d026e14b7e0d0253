import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { systemClock, systemRandom } from "../../src/clock.ts";
import { loadConfig } from "../../src/config.ts";
import { startGateway } from "../../src/gateway.ts";
import type { LogFields } from "../../src/log.ts";
import { OTHER, PROBE, SITE } from "./site.ts";

/** Small bounds, so that a few packets reach them. */
const BOUNDS: Readonly<Record<string, number>> = {
  PACKET_BYTES: 4_096,
  HTTP_BODY_BYTES: 65_536,
  CONNECTIONS: 40,
  CONNECTS_PER_MINUTE_PER_ADDRESS: 0,
  LOGIN_FAILURES_PER_MINUTE_PER_ADDRESS: 0,
  TOPIC_LEVELS: 12,
  INFLIGHT: 10,
  SESSION_QUEUE_MESSAGES: 40,
  SESSION_QUEUE_BYTES: 20_000,
  SESSIONS: 60,
  SUBSCRIPTIONS_PER_SESSION: 12,
  RETAINED_MESSAGES: 60,
  RETAINED_BYTES: 60_000,
  ACCOUNTS: 12,
  THINGS: 60,
  AFFORDANCES_PER_THING: 40,
  DESCRIPTION_BYTES: 16_384,
  VALUE_BYTES: 2_048,
  PENDING_ACTIONS_PER_THING: 12,
  CREDENTIALS: 60,
  TOKENS: 60,
};

const ADMIN = "slu_fuzzfuzzfuzzfuzz0123456789";

export type Login = { readonly user: string; readonly password: string };

/** What a request was answered, its body as text. */
export type Reply = { readonly status: number; readonly text: string };

/** A whole gateway in this process, and everything that may have gone wrong in it. */
export type Target = {
  readonly mqttPort: number;
  readonly httpPort: number;
  /** A box token with every scope. */
  readonly admin: string;
  /** Tokens of the account that is attacked, and of another one. */
  readonly siteToken: string;
  readonly otherToken: string;
  readonly logins: Readonly<Record<"device" | "consumer" | "free" | "probe" | "other", Login>>;
  readonly call: (method: string, path: string, body?: unknown) => Promise<Reply>;
  /** Makes again what a request may have deleted. */
  readonly repair: () => Promise<void>;
  /** Everything said and thrown that must not be: empty, or the run has failed. */
  readonly wrongs: () => readonly string[];
  /** The last records of the log. */
  readonly lately: () => readonly string[];
  readonly stop: () => Promise<void>;
};

export async function startTarget(): Promise<Target> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-fuzz-"));
  const wrongs: string[] = [];
  const lately: string[] = [];
  const unforget = watchProcess(wrongs);
  const gateway = await startGateway(configFor(folder), {
    clock: systemClock("always"),
    random: systemRandom,
    log: logInto(wrongs, lately),
    announceToken: () => undefined,
    onFatal: (error) => void wrongs.push(`fatal: ${describe(error)}`),
  });
  const call = async (method: string, path: string, body?: unknown): Promise<Reply> => {
    const response = await fetch(`http://127.0.0.1:${gateway.httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${ADMIN}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    return { status: response.status, text: await response.text() };
  };
  const made = async (method: string, path: string, body?: unknown) => {
    const { status, text } = await call(method, path, body);
    assert.ok(status < 300, `${method} ${path}: ${status} ${text}`);
    return JSON.parse(text) as Readonly<Record<string, string>>;
  };
  const repair = async (): Promise<void> => {
    for (const { account, things } of [SITE, OTHER, PROBE]) {
      await made("PUT", `/gateway/accounts/${account}`, {});
      for (const [id, description] of Object.entries(things)) {
        await made("PUT", `/${account}/things/${id}`, description);
      }
    }
  };
  await repair();
  const login = async (account: string, resources: unknown): Promise<Login> => {
    const { username = "", password = "" } = await made("POST", `/${account}/mqtt`, { resources });
    return { user: username, password };
  };
  const token = async (account: string): Promise<string> => {
    const scopes = ["thing.read", "thing.write", "thing.report", "thing.manage"];
    scopes.push("data.read", "data.write", "mqtt.credentials");
    return (await made("POST", "/gateway/tokens", { account, scopes }))["token"] ?? "";
  };
  return {
    mqttPort: gateway.mqttPort,
    httpPort: gateway.httpPort,
    admin: ADMIN,
    siteToken: await token(SITE.account),
    otherToken: await token(OTHER.account),
    logins: {
      device: await login(SITE.account, SITE.device),
      consumer: await login(SITE.account, SITE.consumer),
      free: await login(SITE.account, SITE.free),
      other: await login(OTHER.account, OTHER.device),
      probe: await login(PROBE.account, PROBE.device),
    },
    call,
    repair,
    wrongs: () => wrongs,
    lately: () => lately,
    stop: async () => {
      await gateway.stop();
      unforget();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Bytes in use once everything that can be freed is. */
export function heapBytes(): number {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function configFor(folder: string) {
  const limits = Object.entries(BOUNDS).map(([key, value]) => [
    `SLUICE_LIMITS__${key}`,
    `${value}`,
  ]);
  const loaded = loadConfig({
    env: {
      SLUICE_STORE__PATH: join(folder, "store"),
      SLUICE_MQTT__PORT: "0",
      SLUICE_HTTP__PORT: "0",
      SLUICE_MQTT__FREE_TOPICS: "true",
      SLUICE_BOOTSTRAP__ADMIN_TOKEN: ADMIN,
      ...(Object.fromEntries(limits) as Record<string, string>),
    },
  });
  assert.ok(loaded.ok, loaded.ok ? "" : loaded.faults.join("\n"));
  return loaded.config;
}

const RECORDS_KEPT = 20;

/** Nothing a client sends may be worth an `error` record. */
function logInto(wrongs: string[], lately: string[]) {
  const keep = (event: string, fields: LogFields = {}): void => {
    lately.push(`${event} ${JSON.stringify(fields)}`);
    if (lately.length > RECORDS_KEPT) lately.shift();
  };
  const error = (event: string, fields: LogFields = {}): void => {
    const cause = "error" in fields ? describe(fields["error"]) : "";
    wrongs.push(`logged ${event} ${JSON.stringify(fields)} ${cause}`);
  };
  return { error, warn: keep, info: keep, debug: keep };
}

function watchProcess(wrongs: string[]): () => void {
  const onRejection = (reason: unknown): void =>
    void wrongs.push(`unhandled rejection: ${describe(reason)}`);
  const onException = (error: unknown): void => void wrongs.push(`uncaught: ${describe(error)}`);
  process.on("unhandledRejection", onRejection);
  process.on("uncaughtException", onException);
  return () => {
    process.off("unhandledRejection", onRejection);
    process.off("uncaughtException", onException);
  };
}

function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
