import type { Test } from "tap";
import { ActionDeadlines } from "../../src/interactions/action-deadlines.ts";
import { putAccount } from "../../src/interactions/accounts.ts";
import { principalOf } from "../../src/interactions/authentication.ts";
import type { InteractionDeps } from "../../src/interactions/deps.ts";
import type { Publication } from "../../src/interactions/publication.ts";
import { putThing } from "../../src/interactions/provisioning.ts";
import { defaultLimits, type Limits } from "../../src/limits.ts";
import type { LogFields } from "../../src/log.ts";
import type { Qos } from "../../src/mqtt/frame-kinds.ts";
import { filterById } from "../../src/mqtt/grants.ts";
import { takePublish, type InboundDeps } from "../../src/mqtt/inbound.ts";
import { OnlineThings } from "../../src/mqtt/online-things.ts";
import { Outbound } from "../../src/mqtt/outbound.ts";
import { Refusals } from "../../src/mqtt/refusals.ts";
import { RetainedMessages } from "../../src/mqtt/retained.ts";
import { readMqttRows } from "../../src/mqtt/session-rows.ts";
import { Sessions, type Session } from "../../src/mqtt/sessions.ts";
import { Wills } from "../../src/mqtt/wills.ts";
import { RefusalLog } from "../../src/refusal-log.ts";
import { hashGenerated } from "../../src/secrets.ts";
import type { Credential } from "../../src/store/credentials.ts";
import { SCOPES, type Grant, type Principal } from "../../src/thing/access.ts";
import type { Json, JsonObject } from "../../src/thing/json.ts";
import type { Thing } from "../../src/thing/thing.ts";
import { topicLevels } from "../../src/thing/topics.ts";
import { openTemporaryStore, type Opened } from "../store/open-store.ts";
import { Outbox } from "./outbox.ts";
import { LoginNames } from "../../src/login-names.ts";

/** Holds the box: what an installer's token may. */
export const ADMIN: Principal = {
  kind: "token",
  name: "token admin",
  account: undefined,
  scopes: new Set(SCOPES),
};

export const PASSWORD = "correct horse";

/** A Thing with an affordance of each kind. */
export const BOILER: JsonObject = {
  title: "Boiler",
  properties: {
    temperature: { type: "number", maximum: 120, readOnly: true },
    target: { type: "number", minimum: 0, maximum: 90 },
    mode: { type: "string", enum: ["on", "off"] },
    pin: { type: "string", writeOnly: true },
  },
  actions: { purge: { input: { type: "object" } }, reset: {} },
  events: { alarm: { data: { type: "string" } }, boot: {} },
};

/** The parts behind the listener, as `openMqtt` puts them together, without sockets. */
export type Edge = {
  readonly opened: Opened;
  readonly limits: Limits;
  readonly deps: InteractionDeps;
  readonly sessions: Sessions;
  readonly retained: RetainedMessages;
  readonly online: OnlineThings;
  readonly outbound: Outbound;
  readonly refusals: Refusals;
  readonly refusalLog: RefusalLog;
  readonly inbound: InboundDeps;
  readonly wills: Wills;
  readonly deadlines: ActionDeadlines;
  readonly published: Publication[];
  readonly dropped: string[];
  readonly logged: (readonly [event: string, fields: LogFields])[];
};

/** On a store of its own, with the accounts `A` and `B`. */
export async function openEdge(t: Test, limits: Partial<Limits> = {}): Promise<Edge> {
  const opened = await openTemporaryStore(t);
  const edge = await edgeOn(opened, limits);
  putAccount(edge.deps, "A", {});
  putAccount(edge.deps, "B", {});
  return edge;
}

/** As after a restart on the same disk; `crash` leaves out nothing but the stop. */
export async function reopenEdge(edge: Edge): Promise<Edge> {
  await edge.opened.reopen();
  return edgeOn(edge.opened, edge.limits);
}

async function edgeOn(opened: Opened, given: Partial<Limits>): Promise<Edge> {
  const { store, random } = opened;
  const { clock } = store;
  const limits = defaultLimits(given);
  const published: Publication[] = [];
  const dropped: string[] = [];
  const logged: (readonly [string, LogFields])[] = [];
  const log = (event: string, fields: LogFields = {}): void => void logged.push([event, fields]);
  const late: { outbound?: Outbound } = {};
  const deps: InteractionDeps = {
    store,
    clock,
    random,
    limits,
    log: { error: log, warn: log, info: log, debug: log },
    publish: (publication) => {
      published.push(publication);
      late.outbound?.publish(publication);
    },
    credentialChanged: () => undefined,
    loginNames: new LoginNames(10, clock),
    freeTopics: true,
  };
  const deadlines = new ActionDeadlines(deps, () => undefined);
  const rows = await readMqttRows(store.database, store.commit);
  const sessions = new Sessions(
    {
      store,
      commit: store.commit,
      clock,
      limits,
      deliverability: ({ thing, name, moment }) => deadlines.deliverability(thing, name, moment),
      onDropped: (cause) => dropped.push(cause),
    },
    rows,
  );
  const retained = new RetainedMessages({ commit: store.commit, limits }, rows.retained);
  const online = new OnlineThings(deps);
  const outbound = new Outbound({ interactions: deps, sessions, retained, online });
  late.outbound = outbound;
  outbound.start(deps);
  const refusalLog = new RefusalLog(clock);
  const refusals = new Refusals(deps, refusalLog);
  const inbound: InboundDeps = { interactions: deps, outbound, retained, refusals };
  const wills = new Wills(inbound, clock, rows.wills);
  const parts = {
    sessions,
    retained,
    online,
    outbound,
    refusals,
    refusalLog,
    inbound,
    wills,
    deadlines,
  };
  return { opened, limits, deps, ...parts, published, dropped, logged };
}

export function makeBoiler(edge: Edge, account = "A", thing = "boiler"): Thing {
  const request = { principal: ADMIN, account, thing, description: BOILER };
  return putThing(edge.deps, request).thing;
}

/** Things by name, or all of them. */
export function grantOn(
  things: readonly Thing[] | "*",
  options: { readonly role?: "device" | "consumer"; readonly definition?: boolean } = {},
): Grant {
  return {
    entity: "things",
    things: granted(things),
    role: options.role ?? "device",
    definition: options.definition ?? false,
  };
}

export function dataGrantOn(things: readonly Thing[] | "*"): Grant {
  return { entity: "data", things: granted(things) };
}

export function topicsGrant(pub: string, sub: string): Grant {
  return { entity: "topics", patterns: [{ pub, sub }] };
}

function granted(things: readonly Thing[] | "*") {
  if (things === "*") return { all: true } as const;
  return { all: false, uids: new Set(things.map(({ uid }) => uid)) } as const;
}

/** A credential in account `A` whose password is `PASSWORD`. */
export function makeCredential(
  edge: Edge,
  username: string,
  grants: readonly Grant[],
  more: Partial<Credential> = {},
): Credential {
  const { store, clock, random } = edge.deps;
  const credential: Credential = {
    ulid: store.ids.next(),
    account: "A",
    username,
    secret: hashGenerated(PASSWORD, random),
    grants,
    enabled: true,
    created: clock.wallMs(),
    revision: 1,
    ...more,
  };
  store.credentials.put(credential);
  return credential;
}

/** What one client publishes, on its way behind the gate. */
export function publishAs(
  edge: Edge,
  credential: Credential,
  topic: string,
  payload: Json | Buffer | undefined,
  options: { readonly qos?: Qos; readonly retain?: boolean; readonly clientId?: string } = {},
): void {
  const bytes =
    payload === undefined || Buffer.isBuffer(payload)
      ? payload
      : Buffer.from(JSON.stringify(payload));
  takePublish(edge.inbound, {
    principal: principalOf(credential),
    clientId: options.clientId ?? credential.username,
    topic,
    levels: topicLevels(topic),
    payload: bytes,
    qos: options.qos ?? 1,
    retain: options.retain ?? false,
  });
}

/** A session with a connection, subscribed. */
export function subscriberOf(
  edge: Edge,
  credential: Credential,
  filters: Readonly<Record<string, Qos>>,
  options: { readonly clientId?: string; readonly clean?: boolean } = {},
): { readonly session: Session; readonly outbox: Outbox } {
  const clientId = options.clientId ?? `${credential.username}-client`;
  const session = edge.sessions.open(clientId, credential.ulid, options.clean ?? false);
  const granted = Object.entries(filters).map(([filter, qos]) => {
    return { filter, matching: filterById(edge.deps.store, filter), qos };
  });
  edge.sessions.subscribe(session, granted);
  const outbox = new Outbox();
  session.queue.attach(outbox);
  return { session, outbox };
}

export async function flushed(edge: Edge): Promise<void> {
  await edge.deps.store.commit.flushed();
}

/** What was refused so far, by reason, as told on `errors`. */
export function toldErrors(edge: Edge): readonly string[] {
  return edge.published
    .filter(({ about }) => about === "errors")
    .map(({ payload }) => (JSON.parse(payload) as { code: string }).code);
}
