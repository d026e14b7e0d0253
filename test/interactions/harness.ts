import type { Test } from "tap";
import { GatewayError, type ErrorCode, type Fault } from "../../src/errors.ts";
import type { CredentialChange, InteractionDeps } from "../../src/interactions/deps.ts";
import { createThing } from "../../src/interactions/provisioning.ts";
import type { Publication } from "../../src/interactions/publication.ts";
import { defaultLimits, type Limits } from "../../src/limits.ts";
import type { HistoryBounds } from "../../src/store/retention.ts";
import { SCOPES, type Grant, type Principal, type Scope } from "../../src/thing/access.ts";
import type { JsonObject } from "../../src/thing/json.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { AMPLE, openTemporaryStore, type Opened } from "../store/open-store.ts";
import { LoginNames } from "../../src/login-names.ts";

export const ACCOUNT = "site";

/** The interactions on a real store, with what they told the edges written down. */
export type Harness = Opened & {
  /** Changes with each reopening. */
  deps: InteractionDeps;
  readonly published: Publication[];
  readonly credentialChanges: (readonly [ulid: string, change: CredentialChange])[];
  /** Closes and opens the store; what was told to the edges is kept. */
  readonly restart: () => Promise<InteractionDeps>;
};

export type HarnessOptions = {
  readonly limits?: Partial<Limits>;
  readonly history?: HistoryBounds;
  readonly freeTopics?: boolean;
};

export async function startHarness(t: Test, options: HarnessOptions = {}): Promise<Harness> {
  const opened = await openTemporaryStore(t, options.history ?? AMPLE);
  const published: Publication[] = [];
  const credentialChanges: (readonly [string, CredentialChange])[] = [];
  const silent = (): void => undefined;
  const makeDeps = (): InteractionDeps => ({
    store: opened.store,
    clock: opened.store.clock,
    random: opened.random,
    limits: defaultLimits(options.limits),
    log: { error: silent, warn: silent, info: silent, debug: silent },
    publish: (publication) => published.push(publication),
    credentialChanged: (ulid, change) => credentialChanges.push([ulid, change]),
    loginNames: new LoginNames(10, opened.store.clock),
    freeTopics: options.freeTopics ?? false,
  });
  const harness: Harness = Object.assign(opened, {
    deps: makeDeps(),
    published,
    credentialChanges,
    restart: async () => {
      await opened.reopen();
      harness.deps = makeDeps();
      return harness.deps;
    },
  });
  opened.store.accounts.put({ name: ACCOUNT, created: 1, revision: 1 });
  return harness;
}

/** A token of the box with every scope. */
export const ADMIN: Principal = {
  kind: "token",
  name: "token admin",
  account: undefined,
  scopes: new Set(SCOPES),
};

export function tokenOf(account: string | undefined, ...scopes: readonly Scope[]): Principal {
  return { kind: "token", name: "token test", account, scopes: new Set(scopes) };
}

export function credentialOf(account: string, ...grants: readonly Grant[]): Principal {
  return { kind: "credential", name: "credential test", id: "01TEST", account, grants };
}

/** A credential with a grant on these Things. */
export function deviceOf(...things: readonly Thing[]): Principal {
  return credentialOf(ACCOUNT, grantOn(things, "device"));
}

export function consumerOf(...things: readonly Thing[]): Principal {
  return credentialOf(ACCOUNT, grantOn(things, "consumer"));
}

function grantOn(things: readonly Thing[], role: "device" | "consumer"): Grant {
  const uids = new Set(things.map(({ uid }) => uid));
  return { entity: "things", things: { all: false, uids }, role, definition: false };
}

/** One property of each kind, one action, one event. */
export const BOILER = {
  id: "boiler",
  properties: {
    target: { type: "number", minimum: 0, maximum: 90 },
    mode: { type: "string", enum: ["eco", "boost"] },
    temperature: { type: "number", readOnly: true },
    pin: { type: "string", writeOnly: true },
    lenient: { type: "integer", "sluice:coerce": true },
  },
  actions: {
    heat: {
      input: { type: "object", properties: { until: { type: "number" } }, required: ["until"] },
      output: { type: "string" },
    },
    stop: {},
  },
  events: { alarm: { data: { type: "string" } }, ping: {} },
} as const satisfies JsonObject;

export function makeBoiler(harness: Harness, description: JsonObject = BOILER): Thing {
  const thing = createThing(harness.deps, { principal: ADMIN, account: ACCOUNT, description });
  harness.published.length = 0;
  return thing;
}

/** What a call throws, as the edges see it; fails the test if it throws nothing or something else. */
export function refusalOf(call: () => unknown): {
  readonly code: ErrorCode;
  readonly pointers: readonly string[];
  readonly faults: readonly Fault[];
  readonly message: string;
} {
  try {
    call();
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const { code, faults, message } = error;
    return { code, faults, message, pointers: faults.map(({ pointer }) => pointer) };
  }
  throw new Error("nothing was refused");
}

/** What was published since the last time it was asked: topic and parsed payload. */
export function takePublished(harness: Harness): readonly (readonly [string, unknown])[] {
  const taken = harness.published.map(
    ({ topic, payload }) => [topic, JSON.parse(payload) as unknown] as const,
  );
  harness.published.length = 0;
  return taken;
}
