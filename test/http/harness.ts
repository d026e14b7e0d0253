import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { systemClock, systemRandom, type Clock } from "../../src/clock.ts";
import { makeRefusalLog } from "../../src/gateway-refusals.ts";
import { startHttp, type HttpDeps } from "../../src/http/server.ts";
import { Claim } from "../../src/interactions/claim.ts";
import type { CredentialChange, InteractionDeps } from "../../src/interactions/deps.ts";
import { Joining } from "../../src/interactions/joining.ts";
import { putAccount } from "../../src/interactions/accounts.ts";
import type { Publication } from "../../src/interactions/publication.ts";
import { createToken } from "../../src/interactions/tokens.ts";
import { defaultLimits, type Limits } from "../../src/limits.ts";
import type { Log, LogFields } from "../../src/log.ts";
import { openStore } from "../../src/store/store.ts";
import { SCOPES, type Scope } from "../../src/thing/access.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import { LoginNames } from "../../src/login-names.ts";

type Members = Readonly<Record<string, unknown>>;
type Interaction = {
  readonly href: string;
  readonly status: string;
  readonly timeCompleted: string;
  readonly input: { readonly seconds: number };
};

/** Every member that a test looks at in some answer; which of them are there is what it tests. */
export type Body = Readonly<
  Record<
    | "access_token"
    | "account"
    | "at"
    | "client_id"
    | "client_secret"
    | "code"
    | "created"
    | "detail"
    | "error"
    | "error_description"
    | "id"
    | "password"
    | "requestId"
    | "scope"
    | "source"
    | "title"
    | "token"
    | "type"
    | "uid"
    | "ulid"
    | "username",
    string
  >
> &
  Readonly<Record<"actions" | "events" | "properties", Members>> &
  Readonly<Record<"alarm" | "purge" | "reset", Interaction>> & {
    readonly content: { readonly n: number };
    readonly enabled: boolean;
    readonly resources: unknown;
    readonly things: number;
    readonly topics: unknown;
    readonly data: readonly Body[];
    readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
    readonly paging: { readonly next_cursor: string; readonly previous_cursor: string };
  };

/** An answer with its body read. `json` fails the test for a body that is none. */
export type Reply = {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  readonly json: Body;
};

export type CallOptions = {
  readonly token?: string | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly json?: unknown;
  /** Sent as it is. */
  readonly body?: string | Uint8Array;
};

export type Gateway = {
  readonly url: string;
  readonly port: number;
  readonly deps: HttpDeps;
  /** A box token with every scope. */
  readonly admin: string;
  readonly published: Publication[];
  readonly credentialChanges: (readonly [ulid: string, change: CredentialChange])[];
  readonly logged: (readonly [level: string, event: string, fields: LogFields])[];
  readonly token: (scopes: readonly Scope[], account?: string) => string;
  /** Without a `token`: the admin's; with `token: undefined` none. */
  readonly call: (method: string, path: string, options?: CallOptions) => Promise<Reply>;
  readonly stop: () => Promise<void>;
};

/** A real server over a real store, with account `A` and account `B`; gone when the test ends. */
export async function startGateway(
  t: Test,
  options: {
    readonly limits?: Partial<Limits>;
    readonly clock?: Partial<Clock>;
    readonly deps?: Partial<HttpDeps>;
    /** Unless it says so, the box is somebody's. */
    readonly isClaimed?: boolean;
  } = {},
): Promise<Gateway> {
  const path = mkdtempSync(join(tmpdir(), "sluice-http-"));
  const clock: Clock = { ...systemClock("always"), ...options.clock };
  const published: Publication[] = [];
  const credentialChanges: (readonly [string, CredentialChange])[] = [];
  const logged: (readonly [string, string, LogFields])[] = [];
  const logAs =
    (level: string) =>
    (event: string, fields: LogFields = {}): void =>
      void logged.push([level, event, fields]);
  const log: Log = {
    error: logAs("error"),
    warn: logAs("warn"),
    info: logAs("info"),
    debug: logAs("debug"),
  };
  const history = { rows: 1_000_000, days: 0 };
  const store = await openStore({
    path,
    window: { gatherMs: 0, syncIntervalMs: 0 },
    quotaBytes: 0,
    history: { property: history, action: history, event: history, data: history },
    clock,
    random: systemRandom,
    log,
    onFailure: () => undefined,
  });
  const limits = defaultLimits(options.limits ?? {});
  const interactions: InteractionDeps = {
    store,
    clock,
    random: systemRandom,
    limits,
    log,
    publish: (publication) => void published.push(publication),
    credentialChanged: (ulid, change) => void credentialChanges.push([ulid, change]),
    loginNames: new LoginNames(limits.login_failures_per_name, clock),
    freeTopics: false,
  };
  const claim = new Claim(
    { ...interactions, account: "site", hostNames: ["box"], onCode: () => undefined },
    { isClaimed: options.isClaimed ?? true },
  );
  const deps: HttpDeps = {
    ...interactions,
    joining: new Joining(interactions),
    fileUplinks: new Map(),
    uplinkChanged: () => undefined,
    uplinkLine: () => undefined,
    uplinkCounts: () => undefined,
    testUplink: async () =>
      Promise.resolve({ isReached: false, detail: "no uplink is run here", tookMs: 0 }),
    name: "sluice",
    version: "9.9.9",
    describeGateway: (): JsonObject => ({ store: { state: "open" }, broker: {}, uplinks: [] }),
    hostNames: new Set(["gw.example"]),
    isReady: () => true,
    deviceConnections: { of: () => ({ isOnline: false, since: undefined }) },
    claim,
    claimPlaces: () => ({ urls: ["https://gw.example:8443/ui/claim"], caSha256: "ab:cd" }),
    loginFailures: new AddressRate(limits.login_failures_per_minute_per_address, clock),
    refusals: makeRefusalLog(store),
    ...options.deps,
  };
  putAccount(deps, "A", {});
  putAccount(deps, "B", {});
  const makeToken = (scopes: readonly Scope[], account?: string): string =>
    createToken(deps, { scopes, ...(account === undefined ? {} : { account }) }).text;
  const admin = makeToken(SCOPES);
  const server = await startHttp(deps, [{ kind: "plain", host: "127.0.0.1", port: 0 }]);
  const port = server.ports.plain ?? 0;
  const url = `http://127.0.0.1:${port}`;
  t.teardown(async () => {
    await server.stop();
    await store.close();
    rmSync(path, { recursive: true });
  });
  return {
    url,
    port,
    deps,
    admin,
    published,
    credentialChanges,
    logged,
    token: makeToken,
    call: async (method, target, given = {}) => callGateway(url, admin, method, target, given),
    stop: async () => server.stop(),
  };
}

async function callGateway(
  url: string,
  admin: string,
  method: string,
  path: string,
  options: CallOptions,
): Promise<Reply> {
  const token = "token" in options ? options.token : admin;
  const response = await fetch(url + path, {
    method,
    redirect: "manual",
    headers: {
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...(options.json === undefined ? {} : { "content-type": "application/json" }),
      ...options.headers,
    },
    ...(options.json === undefined ? {} : { body: JSON.stringify(options.json) }),
    ...(options.body === undefined ? {} : { body: options.body }),
  });
  const text = await response.text();
  return {
    status: response.status,
    headers: response.headers,
    text,
    get json() {
      return JSON.parse(text) as Body;
    },
  };
}

/** `Authorization: Basic` of a user and a password as they are. */
export function basic(user: string, password: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}` };
}

/** A Thing with an affordance of each kind. */
export const BOILER = {
  id: "boiler",
  title: "Boiler",
  "@type": ["TemperatureSensor", "Actuator"],
  properties: {
    temperature: { type: "number", maximum: 120, readOnly: true },
    target: { type: "number", minimum: 0, maximum: 90 },
    mode: { type: "string", enum: ["on", "off", "auto"] },
    pin: { type: "string", writeOnly: true },
  },
  actions: {
    purge: {
      input: { type: "object", properties: { seconds: { type: "integer" } } },
      output: { type: "integer" },
    },
    reset: {},
  },
  events: { alarm: { data: { type: "string" } }, boot: {} },
} as const;
