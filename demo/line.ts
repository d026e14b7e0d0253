import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "mqtt";
import { z } from "zod";
import type { GatewayProcess } from "./gateway-process.ts";
import type { Narrator } from "./narrator.ts";

/** What everybody on the production line shares. */
export type Line = Narrator & {
  /** One HTTP call as the admin; counts what it writes. @throws Error if the answer is not 2xx. */
  readonly call: (method: string, path: string, body?: unknown) => Promise<unknown>;
  readonly mqttPort: number;
  /** Aborted when the demo is over. */
  readonly signal: AbortSignal;
  readonly tally: Tally;
};

/** What was counted at the clients: the gateway's own counters have to agree with it. */
export type Tally = {
  /** Publishes that were acknowledged. */
  acknowledged: number;
  /** Values and action requests written by HTTP. */
  writtenByHttp: number;
  /** ms from each publish to its acknowledgement. */
  readonly latenciesMs: number[];
};

export function makeLine(
  gateway: Pick<GatewayProcess, "mqttPort" | "httpPort" | "token">,
  narrator: Narrator,
  signal: AbortSignal,
): Line {
  const tally: Tally = { acknowledged: 0, writtenByHttp: 0, latenciesMs: [] };
  const call: Line["call"] = async (method, path, body) => {
    const response = await fetch(`http://127.0.0.1:${gateway.httpPort}${path}`, {
      method,
      headers: { authorization: `Bearer ${gateway.token}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path} was answered ${response.status}: ${text}`);
    const answer: unknown = JSON.parse(text);
    return answer;
  };
  return { ...narrator, call, signal, tally, mqttPort: gateway.mqttPort };
}

/** An MQTT client with a credential of its own. */
export type Client = {
  /** Resolves when it is acknowledged. Text goes as it is, all else as JSON. */
  readonly publish: (topic: string, payload: unknown, qos?: 1 | 2) => Promise<void>;
  /** Waits for its answers that are under way, then disconnects; the session stays. */
  readonly end: () => Promise<void>;
};

export type Credential = { readonly username: string; readonly password: string };

const credentialAnswer = z.object({ username: z.string(), password: z.string() });

/** For one Thing, or `*` for all. */
export async function makeCredential(
  line: Pick<Line, "call">,
  thing: string,
  role: "device" | "consumer",
): Promise<Credential> {
  const resources = [{ entity: "things", id: [thing], role }];
  return credentialAnswer.parse(await line.call("POST", "/site/mqtt", { resources }));
}

/** Connects with a persistent session under this client id, and subscribes. */
export async function connectClient(
  line: Line,
  options: Credential & {
    readonly clientId: string;
    readonly filters?: readonly string[];
    /** Gets each payload as JSON; the first ones may come before the call returns. */
    readonly onMessage?: (
      topic: string,
      message: unknown,
      client: Client,
    ) => Promise<void> | undefined;
  },
): Promise<Client> {
  const { username, password, clientId, filters = [], onMessage } = options;
  const at = { host: "127.0.0.1", port: line.mqttPort, clean: false, reconnectPeriod: 0 };
  const client = connect({ ...at, username, password, clientId });
  const underWay = new Set<Promise<void>>();
  const itself: Client = {
    publish: async (topic, payload, qos = 1) => {
      const text = typeof payload === "string" ? payload : JSON.stringify(payload);
      const startedMs = performance.now();
      await client.publishAsync(topic, text, { qos });
      line.tally.latenciesMs.push(performance.now() - startedMs);
      line.tally.acknowledged += 1;
    },
    end: async () => {
      await Promise.all(underWay);
      await client.endAsync();
    },
  };
  client.on("message", (topic, payload) => {
    // Once it disconnects nothing is answered: a request then stays pending.
    if (client.disconnecting) return;
    const answer = onMessage?.(topic, JSON.parse(payload.toString()), itself);
    if (answer === undefined) return;
    const work = answer.finally(() => underWay.delete(work));
    underWay.add(work);
  });
  await new Promise<void>((resolve, reject) => {
    client.once("connect", () => resolve());
    client.once("error", reject);
  });
  if (filters.length > 0) await client.subscribeAsync([...filters], { qos: 1 });
  return itself;
}

/** Takes the step every so often until the demo is over; a step that has begun is finished. */
export async function every(
  periodMs: number,
  { signal }: Pick<Line, "signal">,
  step: (round: number) => Promise<void>,
): Promise<void> {
  for (let round = 0; !signal.aborted; round += 1) {
    await step(round);
    await pause(periodMs, signal);
  }
}

/** Ends early, and without an error, when the signal is aborted. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}
