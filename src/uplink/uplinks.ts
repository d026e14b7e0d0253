import { isDeepStrictEqual } from "node:util";
import type { InteractionDeps } from "../interactions/deps.ts";
import type { DeviceConnections } from "../interactions/device-connection.ts";
import { settingsOf, type FileUplinks } from "../interactions/kept-uplinks.ts";
import type { UplinkDeps, UplinkTest } from "../interactions/uplinks.ts";
import type { Outbox } from "../store/outbox.ts";
import type { UplinkSettings } from "../uplink-settings.ts";
import { testSettingsOf } from "./line-choice.ts";
import { lineFailureOf } from "./line-failure.ts";
import { InboundSession } from "./line-inbound.ts";
import { openLine } from "./line.ts";
import { makeEpochs } from "./presence.ts";
import { UplinkRun } from "./uplink.ts";

export type UplinkEdgeDeps = {
  readonly interactions: InteractionDeps;
  readonly fileUplinks: FileUplinks;
  readonly version: string;
  /** A broken invariant: only a restart mends it. */
  readonly onFatal: (error: unknown) => void;
};

type Running = {
  readonly outbox: Outbox;
  readonly settings: UplinkSettings;
  run: UplinkRun | undefined;
};

/** The lines of all uplinks. */
export class UplinkEdge {
  readonly #deps: UplinkEdgeDeps;
  readonly #running = new Map<string, Running>();
  /** What is stopped comes to its end before what takes its place begins. */
  readonly #turns = new Map<string, Promise<void>>();
  readonly #nextEpoch: () => number;
  #isStarted = false;
  #connections: DeviceConnections | undefined;

  constructor(deps: UplinkEdgeDeps) {
    this.#deps = deps;
    this.#nextEpoch = makeEpochs(deps.interactions.store.boot);
  }

  /** What the interactions call. */
  get calls(): Pick<UplinkDeps, "uplinkChanged" | "uplinkLine" | "uplinkCounts" | "testUplink"> {
    return {
      uplinkChanged: (name) => this.#changed(name),
      uplinkLine: (name) => this.#running.get(name)?.run?.line,
      uplinkCounts: (name) => this.#running.get(name)?.run?.counts,
      testUplink: async (name) => this.#test(name),
    };
  }

  /** Opens the lines of all uplinks there are. Does not wait for any. */
  start(connections?: DeviceConnections): void {
    this.#isStarted = true;
    this.#connections = connections;
    for (const { uplink } of this.#deps.interactions.store.outboxes.list())
      this.#changed(uplink.name);
  }

  /** Closes all lines; nothing goes on after it. Idempotent. */
  async stop(): Promise<void> {
    this.#isStarted = false;
    const all = [...this.#running.values()];
    this.#running.clear();
    await Promise.all([...all.map(async ({ run }) => run?.stop()), ...this.#turns.values()]);
  }

  /** An uplink was made, changed, paused, resumed or deleted. Never fails. */
  #changed(name: string): void {
    if (!this.#isStarted) return;
    const { store } = this.#deps.interactions;
    const before = this.#running.get(name);
    const outbox = store.outboxes.get(name);
    const known = outbox && settingsOf(this.#deps.fileUplinks, outbox.uplink);
    const settings = known?.isUsable === true ? known.settings : undefined;
    if (before !== undefined && before.outbox === outbox) {
      if (isDeepStrictEqual(before.settings, settings)) {
        before.run?.setPaused(outbox.uplink.isPaused);
        return;
      }
    }
    this.#running.delete(name);
    const next =
      outbox === undefined || settings === undefined
        ? undefined
        : { outbox, settings, run: undefined };
    if (next !== undefined) this.#running.set(name, next);
    this.#turn(name, before, next);
  }

  /** Connects once, beside the line. Never rejects. */
  async #test(name: string): Promise<UplinkTest> {
    const { interactions } = this.#deps;
    const { clock } = interactions;
    const running = this.#running.get(name);
    if (running === undefined) return { isReached: false, detail: "there is no line", tookMs: 0 };
    const startMs = clock.monotonicMs();
    const tookMs = (): number => Math.round(clock.monotonicMs() - startMs);
    const { outbox, settings } = running;
    const none = { onMessage: ignore, onTooLarge: ignore, onClosed: ignore };
    try {
      const line = await openLine(
        testSettingsOf({ interactions, outbox, settings }),
        none,
        { clock, session: new InboundSession() },
        new AbortController().signal,
      );
      const result = {
        isReached: true,
        detail: wordsOf(settings, line.receiveMax),
        tookMs: tookMs(),
      };
      await line.close();
      return result;
    } catch (error) {
      const { message } = lineFailureOf(error, new URL(settings.url).host);
      return { isReached: false, detail: message, tookMs: tookMs() };
    }
  }

  #turn(name: string, before: Running | undefined, next: Running | undefined): void {
    const turn = async (): Promise<void> => {
      await before?.run?.stop();
      // Something newer may have taken its place by now.
      if (next === undefined || this.#running.get(name) !== next) return;
      const { interactions, version } = this.#deps;
      const { outbox, settings } = next;
      const ofAll = { interactions, version, connections: this.#connections };
      next.run = new UplinkRun({ ...ofAll, outbox, settings, nextEpoch: this.#nextEpoch });
      next.run.start();
    };
    const turned = (this.#turns.get(name) ?? Promise.resolve()).then(turn);
    this.#turns.set(name, turned);
    turned.catch(this.#deps.onFatal).finally(() => {
      if (this.#turns.get(name) === turned) this.#turns.delete(name);
    });
  }
}

function wordsOf({ protocol }: UplinkSettings, receiveMax: number): string {
  const version = protocol === 5 ? "MQTT 5" : "MQTT 3.1.1";
  return `connected with ${version}; the broker takes ${receiveMax} publishes at once`;
}

function ignore(): void {
  return;
}
