import { setTimeout as sleep } from "node:timers/promises";
import { connectAsync, type IClientOptions, type MqttClient } from "mqtt";
import type { Dice } from "../crash/dice.ts";
import type { HttpClient } from "./http.ts";
import type { SoakedGateway } from "./gateway.ts";

export const ACCOUNT = "site";
/** Things that stay; each has a device. */
export const THINGS = ["boiler", "press", "mixer", "valve"] as const;
/** Free topics. */
export const FREE_TREE = "line";

const number = { type: "number" };
export const DESCRIPTION = {
  title: "soaked",
  properties: { a: number, b: number, note: { type: "string" } },
  events: { alarm: { data: number } },
  actions: { open: { input: number, output: number } },
};

export type Login = { readonly username: string; readonly password: string };

/** What everybody who uses the gateway shares. */
export type Stage = {
  readonly gateway: Pick<SoakedGateway, "mqttPort" | "httpPort">;
  readonly http: HttpClient;
  readonly logins: Readonly<Record<LoginName, Login>>;
  /** Aborted when the run is over. */
  readonly over: AbortSignal;
  readonly tally: Tally;
};

export type Tally = {
  /** Writes that were acknowledged. */
  written: number;
  delivered: number;
  /** What should not have been. */
  readonly complaints: string[];
};

/** One who uses the gateway, until the run is over. What it does its dice decide. */
export type Role = (stage: Stage, dice: Dice) => Promise<void>;

const GRANTS = {
  ...Object.fromEntries(THINGS.map((thing) => [thing, onThings(thing)])),
  watcher: onThings("*"),
  free: [{ entity: "topics", patterns: [{ pub: `${FREE_TREE}/#`, sub: `${FREE_TREE}/#` }] }],
} as const;
export type LoginName = (typeof THINGS)[number] | "watcher" | "free";

export function onThings(id: string) {
  return [
    { entity: "things", id: [id] },
    { entity: "data", id: [id] },
  ];
}

/** The Things that stay, and a credential for each who uses them. */
export async function provision(http: HttpClient): Promise<Stage["logins"]> {
  for (const thing of THINGS) await make(http, "PUT", `/${ACCOUNT}/things/${thing}`, DESCRIPTION);
  const logins: [string, Login][] = [];
  for (const [name, resources] of Object.entries(GRANTS)) {
    logins.push([name, (await make(http, "POST", `/${ACCOUNT}/mqtt`, { resources })) as Login]);
  }
  return Object.fromEntries(logins) as Stage["logins"];
}

async function make(http: HttpClient, method: string, path: string, body: unknown) {
  const answer = await http.call(method, path, body);
  if (answer.status !== 201) throw new Error(`${method} ${path}: ${JSON.stringify(answer.body)}`);
  return answer.body;
}

/** Waits, unless the run is over before. */
export async function pause(ms: number, over: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal: over }).catch(() => undefined);
}

/** A call that has to be answered so; counts as written if it writes. @returns the body. */
export async function expect(
  { http, tally, over }: Stage,
  statuses: readonly number[],
  ...call: Parameters<HttpClient["call"]>
): Promise<unknown> {
  const [method, path] = call;
  try {
    const { status, body } = await http.call(...call);
    if (!statuses.includes(status)) {
      complain(tally, `${method} ${path}: ${status} ${JSON.stringify(body)}`);
    } else if (method !== "GET" && status < 300) tally.written += 1;
    return body;
  } catch (error) {
    if (!over.aborted) complain(tally, `${method} ${path}: ${String(error)}`);
    return undefined;
  }
}

const COMPLAINTS_MAX = 20;

export function complain({ complaints }: Tally, what: string): void {
  if (complaints.length < COMPLAINTS_MAX) complaints.push(what.slice(0, 300));
}

/** A connection that does not come back by itself. `undefined`: it was refused, which is a fault. */
export async function enter(
  { gateway, tally, over }: Stage,
  login: Login,
  options: Pick<IClientOptions, "clientId" | "clean" | "will">,
): Promise<MqttClient | undefined> {
  try {
    const fixed = { protocolVersion: 4, reconnectPeriod: 0, connectTimeout: 10_000 } as const;
    const url = `mqtt://127.0.0.1:${gateway.mqttPort}`;
    const client = await connectAsync(url, { ...fixed, ...login, ...options }, false);
    // A connection that is cut off says so; its role goes on with another.
    client.on("error", () => undefined);
    client.on("message", () => void (tally.delivered += 1));
    return client;
  } catch (error) {
    if (!over.aborted) complain(tally, `CONNECT of ${login.username}: ${String(error)}`);
    await pause(200, over);
    return undefined;
  }
}

/** In order, by a cut line, or by another connection with its client id. */
export async function leave(
  stage: Stage,
  dice: Dice,
  client: MqttClient,
  login: Login,
): Promise<void> {
  const { clientId } = client.options;
  if (dice.chance(0.2) && clientId !== undefined) {
    const next = await enter(stage, login, { clientId, clean: false });
    await next?.endAsync();
  } else if (dice.chance(0.4)) client.stream.destroy();
  await client.endAsync(true);
}

export type Publish = {
  readonly topic: string;
  readonly payload: unknown;
  readonly qos: 0 | 1 | 2;
  readonly retain?: boolean;
};

/** Resolves when all of them are acknowledged, or the connection is gone. Text goes as it is. */
export async function publish(
  { tally }: Stage,
  client: MqttClient,
  publishes: readonly Publish[],
): Promise<void> {
  const answered = publishes.map(async ({ topic, payload, qos, retain = false }) => {
    const text = typeof payload === "string" ? payload : JSON.stringify(payload);
    await client.publishAsync(topic, text, { qos, retain });
    tally.written += 1;
  });
  await whileOpen(client, Promise.all(answered));
}

export async function subscribe(
  client: MqttClient,
  filters: string | string[],
  qos: 0 | 1 | 2,
): Promise<void> {
  await whileOpen(client, client.subscribeAsync(filters, { qos }));
}

/** Waits for answers as long as the connection is there that they would come by. */
export async function whileOpen(client: MqttClient, answers: Promise<unknown>): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      client.off("close", done);
      resolve();
    };
    if (client.connected) client.on("close", done);
    else done();
    answers.then(done, done);
  });
}
