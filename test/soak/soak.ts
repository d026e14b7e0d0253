import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { makeDice, type Dice } from "../crash/dice.ts";
import { startSoaked, type SoakedGateway } from "./gateway.ts";
import { HttpClient } from "./http.ts";
import type { Leak } from "./inside.ts";
import { passing } from "./passing.ts";
import { diskUseOf, lookAt } from "./probe.ts";
import { device, freeTopics, operator, reader, rude, slowReader, valve, watcher } from "./roles.ts";
import { pause, provision, THINGS, type Role, type Stage, type Tally } from "./stage.ts";
import { judge, type Remains, type Sample, type Verdict } from "./verdict.ts";

export type SoakOptions = {
  readonly seconds: number;
  /** Between two samples. */
  readonly everySeconds: number;
  readonly seed: number;
  /** Planted in the gateway: the run has to find it. */
  readonly leak?: Leak | undefined;
};

export type SoakReport = {
  readonly samples: readonly Sample[];
  readonly remains: Remains;
  readonly verdict: Verdict;
};

export type Observer = {
  readonly onStart: (gateway: Pick<SoakedGateway, "pid" | "mqttPort" | "httpPort">) => void;
  readonly onSample: (sample: Sample) => void;
};

const ROLES: Readonly<Record<string, Role>> = {
  ...{ boiler: device("boiler"), press: device("press"), mixer: device("mixer"), valve, operator },
  ...{ watcher, freeTopics, slowReader, passing, reader, rude },
};
/** Client ids of persistent sessions that stay: of the devices, of who watches, of `free`. */
const LASTING_SESSIONS = THINGS.length + 2;
/** Each role listens for the end while it waits. */
const LISTENERS_MAX = 2 * Object.keys(ROLES).length;
/** The gateway may take so long to notice that everybody has gone. */
const GONE_MS_MAX = 4_000;

/**
 * Uses a gateway of its own in every way at once until the time is over or `signal` says so, looks at
 * it now and then, and judges what was seen. The gateway has ended when this resolves or rejects.
 */
export async function runSoak(
  options: SoakOptions,
  observer: Observer,
  signal: AbortSignal,
): Promise<SoakReport> {
  const gateway = await startSoaked(options.leak);
  const http = new HttpClient(gateway.httpPort, gateway.token);
  const over = new AbortController();
  setMaxListeners(LISTENERS_MAX, over.signal);
  const end = (): void => over.abort();
  signal.addEventListener("abort", end);
  const timer = setTimeout(end, options.seconds * 1_000);
  // Whatever ends it early ends the load, too.
  void gateway.ended.then(end);
  try {
    const before = lookAt(gateway.pid);
    const tally: Tally = { written: 0, delivered: 0, complaints: [] };
    const logins = await provision(http);
    const stage: Stage = { gateway, http, logins, over: over.signal, tally };
    observer.onStart(gateway);
    const sampler = new Sampler(gateway, stage);
    const load = runLoad(stage, makeDice(options.seed)).finally(end);
    const samples: Sample[] = [];
    for (;;) {
      await pause(options.everySeconds * 1_000, over.signal);
      if (over.signal.aborted) break;
      const sample = await sampler.sample();
      samples.push(sample);
      observer.onSample(sample);
    }
    await load;
    const left = await whatIsLeft(gateway, http, before.sockets);
    const exitCode = await gateway.stop();
    const complaints = [...tally.complaints, ...gateway.errors];
    const remains = { ...left, complaints, exitCode };
    return { samples, remains, verdict: judge(samples, remains) };
  } catch (cause) {
    if (!gateway.hasEnded()) throw cause;
    throw new Error(["the gateway ended under load", ...gateway.errors].join("\n"), { cause });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    end();
    http.close();
    await gateway.stop();
  }
}

/** Resolves when all have left; rejects if one fails. */
async function runLoad(stage: Stage, dice: Dice): Promise<void> {
  await Promise.all(
    Object.entries(ROLES).map(async ([name, role]) => role(stage, dice.fork(name))),
  );
}

type Described = {
  readonly store: { readonly sequence: number; readonly batches: number; readonly things: number };
  readonly broker: { readonly connections: number; readonly sessions: { readonly all: number } };
};

async function describe(http: HttpClient): Promise<Described> {
  const { status, body } = await http.call("GET", "/gateway");
  if (status !== 200) throw new Error(`GET /gateway gave ${status}`);
  return body as Described;
}

/** Looks at the gateway from outside, and asks it what it knows of itself. */
class Sampler {
  readonly #gateway: SoakedGateway;
  readonly #stage: Stage;
  readonly #begunMs = performance.now();

  constructor(gateway: SoakedGateway, stage: Stage) {
    this.#gateway = gateway;
    this.#stage = stage;
  }

  async sample(): Promise<Sample> {
    const { pid, storePath } = this.#gateway;
    const memory = await this.#gateway.memory();
    const { store, broker } = await describe(this.#stage.http);
    const disk = diskUseOf(storePath);
    const { written, delivered } = this.#stage.tally;
    return {
      seconds: (performance.now() - this.#begunMs) / 1_000,
      ...lookAt(pid),
      ...memory,
      diskBytes: disk.bytes,
      diskFiles: disk.files,
      connections: broker.connections,
      sessions: broker.sessions.all,
      things: store.things,
      changes: store.sequence,
      batches: store.batches,
      written,
      delivered,
    };
  }
}

type Left = Omit<Remains, "complaints" | "exitCode">;

/** When all clients have gone: what the gateway still holds beyond what stays. */
async function whatIsLeft(
  gateway: SoakedGateway,
  http: HttpClient,
  socketsBefore: number,
): Promise<Left> {
  const deadlineMs = performance.now() + GONE_MS_MAX;
  for (;;) {
    const { store, broker } = await describe(http);
    http.close();
    await sleep(200); // A close is noticed at the other end a moment later.
    const left: Left = {
      socketsLeft: Math.max(0, lookAt(gateway.pid).sockets - socketsBefore),
      connectionsLeft: broker.connections,
      sessionsLeft: Math.max(0, broker.sessions.all - LASTING_SESSIONS),
      thingsLeft: store.things - THINGS.length,
    };
    const isClean = Object.values(left).every((count) => count === 0);
    if (isClean || performance.now() > deadlineMs) return left;
  }
}
