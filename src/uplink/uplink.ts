import type { CancelTimer } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import type { DeviceConnections } from "../interactions/device-connection.ts";
import { makeUplinkFilter } from "../interactions/uplink-filter.ts";
import type { UplinkLine } from "../interactions/uplinks.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Outbox } from "../store/outbox.ts";
import type { UplinkSettings } from "../uplink-settings.ts";
import { backoffMs } from "./backoff.ts";
import { ConnectionNews } from "./connection-news.ts";
import { Down, type DownCounts } from "./down.ts";
import { lineSettingsOf } from "./line-choice.ts";
import { LineFailure, lineFailureOf } from "./line-failure.ts";
import { InboundSession } from "./line-inbound.ts";
import { LineState } from "./line-state.ts";
import { LineWork } from "./line-work.ts";
import { openLine, type Line } from "./line.ts";
import type { UpMessage } from "./message.ts";
import { Presence } from "./presence.ts";
import { Rate } from "./rate.ts";
import { SentBefore } from "./sent-before.ts";
import { upMessages } from "./shapes.ts";
import { gatewayTopics, makeTopicMapping, upstreamSubscriptions } from "./topic-mapping.ts";
import { windowOf } from "./window.ts";

type GatewayTopics = ReturnType<typeof gatewayTopics>;

export type UplinkRunDeps = {
  readonly interactions: InteractionDeps;
  readonly outbox: Outbox;
  readonly settings: UplinkSettings;
  /** Of the gateway, for its presence upstream. */
  readonly version: string;
  /** Of the next line, likewise. */
  readonly nextEpoch: () => number;
  /** Which Things have a device connected; absent: nobody knows. */
  readonly connections: DeviceConnections | undefined;
};

/** Keeps a line to one upstream, for as long as it is not paused or stopped. */
export class UplinkRun {
  readonly #deps: UplinkRunDeps;
  readonly #state: LineState;
  readonly #rate: Rate;
  readonly #mapping: ReturnType<typeof makeTopicMapping>;
  readonly #filter: ReturnType<typeof makeUplinkFilter>;
  readonly #down: Down;
  readonly #presence: Presence;
  readonly #session = new InboundSession();
  readonly #sentBefore: SentBefore;
  /** Lines that failed one after the other without any use. */
  #failed = 0;
  /** Of them those that stalled. */
  #stalled = 0;
  /** The number at which the lines end, and how many have. */
  #stuck = { seq: 0, times: 0 };
  #lacks: ReadonlySet<"retain" | "qos"> = new Set();
  #isPaused: boolean;
  #isStopped = false;
  /** Something changed since the loop last looked. */
  #isInterrupted = false;
  #work: LineWork | undefined;
  #news: ConnectionNews | undefined;
  #try = new AbortController();
  #wake: () => void = () => undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(deps: UplinkRunDeps) {
    this.#deps = deps;
    const { interactions, outbox, settings, version, nextEpoch } = deps;
    const { clock, log } = interactions;
    const { name, isPaused } = outbox.uplink;
    this.#isPaused = isPaused;
    this.#state = new LineState(name, isPaused, clock, log);
    this.#rate = new Rate(settings.rate, clock);
    this.#mapping = makeTopicMapping(settings);
    this.#filter = makeUplinkFilter(settings);
    this.#presence = new Presence({ clock, version, nextEpoch, outbox });
    this.#sentBefore = new SentBefore(outbox.state.ackedSeq + settings.window);
    const tell = (message: Parameters<LineWork["tell"]>[0]): void => this.#work?.tell(message);
    this.#down = new Down({ interactions, outbox, settings, mapping: this.#mapping, tell });
  }

  get line(): UplinkLine {
    return this.#state.shown;
  }

  /** What has come down. */
  get counts(): DownCounts {
    return this.#down.counts;
  }

  start(): void {
    this.#ended = this.#keep();
  }

  /** Closes the line, or lets it open again; what is owed stays owed. */
  setPaused(isPaused: boolean): void {
    if (isPaused === this.#isPaused) return;
    this.#isPaused = isPaused;
    this.#failed = 0;
    this.#interrupt();
  }

  /** Resolves when the line is closed and nothing goes on. Idempotent. */
  async stop(): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      this.#interrupt();
    }
    await this.#ended;
  }

  #interrupt(): void {
    this.#isInterrupted = true;
    this.#wake();
    this.#try.abort();
    void this.#work?.leave();
  }

  async #keep(): Promise<void> {
    await this.#startDown();
    while (!this.#isOver()) {
      this.#isInterrupted = false;
      if (this.#isPaused) {
        this.#state.paused();
        await this.#sleep();
      } else {
        const failure = await this.#runLine();
        if (failure.kind !== "ended") await this.#sleep(this.#backOff(failure));
      }
    }
    this.#down.stop();
  }

  /** It reads the store, which may not be able to just now. */
  async #startDown(): Promise<void> {
    while (!this.#isOver()) {
      try {
        await this.#down.start();
        return;
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        this.#state.noteError(error.message);
        await this.#sleep(FIXED_LIMITS.uplinkLookMs);
      }
    }
  }

  /** It changes while others run. */
  #isOver(): boolean {
    return this.#isStopped;
  }

  /** One line from its first packet to its end. Returns why it ended, or did not come about. */
  async #runLine(): Promise<LineFailure> {
    const { interactions, outbox } = this.#deps;
    const { clock, log } = interactions;
    this.#state.trying();
    this.#try = new AbortController();
    let onClosed: (failure: LineFailure) => void = () => undefined;
    const closed = new Promise<LineFailure>((resolve) => (onClosed = resolve));
    const topics = this.#topics();
    const will = topics === undefined ? undefined : this.#presence.will(topics.status);
    const lineSettings = lineSettingsOf(this.#deps, {
      will,
      lacks: this.#lacks,
      stallMs: this.#stallMs,
    });
    let line: Line;
    try {
      line = await openLine(
        lineSettings,
        {
          onMessage: (message, acknowledge) => this.#down.take(message, acknowledge),
          onTooLarge: (topic, bytes) => {
            log.warn("uplink.message_too_large", { uplink: outbox.uplink.name, topic, bytes });
          },
          onClosed: (failure) => onClosed(failure),
        },
        { clock, session: this.#session },
        this.#try.signal,
      );
    } catch (error) {
      return this.#judge(lineFailureOf(error, new URL(this.#deps.settings.url).host), undefined);
    }
    const openedMs = clock.monotonicMs();
    const work = this.#begin(line, topics);
    const failure = await closed;
    this.#work = undefined;
    this.#deps.outbox.lineEnded();
    this.#news?.end();
    work.ended();
    if (clock.monotonicMs() - openedMs >= this.#deps.settings.retry.max_s * 1_000) this.#failed = 0;
    return this.#judge(work.refusal ?? failure, work);
  }

  #begin(line: Line, topics: GatewayTopics): LineWork {
    const { interactions, outbox, settings } = this.#deps;
    const { clock, store } = interactions;
    if (!line.sessionPresent) this.#sentBefore.sessionLost();
    outbox.rewind();
    const full = windowOf(settings.window, line.receiveMax);
    const one = windowOf(1, line.receiveMax);
    const shape = {
      settings,
      mapping: this.#mapping,
      store,
      memory: outbox.memory,
      gapsTopic: topics?.gaps,
    };
    const work = new LineWork({
      line,
      clock,
      outbox,
      window: () => (this.#isCautious ? one : full),
      streams: settings.order === "strict" ? ["strict"] : ["live", "backlog"],
      rate: this.#rate,
      toMessages: (owed) => upMessages(shape, owed),
      sentBefore: this.#sentBefore,
      onSent: (owed) => this.#down.sent(owed),
      down: this.#down,
      presence: this.#presence,
      presenceTopic: topics?.status,
      memory: outbox.memory,
      wanted: () =>
        upstreamSubscriptions(
          settings,
          this.#mapping,
          this.#filter,
          store.accounts.all().map(({ name }) => name),
        ),
      onConnected: () => {
        if (this.#work === work) this.#state.connected();
      },
      onFault: (detail) => this.#state.noteError(detail),
    });
    this.#work = work;
    work.start();
    this.#news = this.#tellConnections(work);
    return work;
  }

  /** To a `peer` there is nothing to say: it sees the devices that it has. */
  #tellConnections(work: LineWork): ConnectionNews | undefined {
    const { interactions, settings, connections } = this.#deps;
    if (connections === undefined || settings.shape === "peer") return undefined;
    const { clock, store } = interactions;
    const tell = (message: UpMessage): void => work.tell(message);
    const [filter, mapping] = [this.#filter, this.#mapping];
    return new ConnectionNews({ clock, store, connections, filter, mapping, tell });
  }

  #topics(): GatewayTopics {
    const { store } = this.#deps.interactions;
    const gateway = { id: store.gatewayId, accounts: store.accounts.all() };
    return gatewayTopics(this.#deps.settings, this.#mapping, this.#filter, gateway);
  }

  /** What the end of a line says about the next one. */
  #judge(failure: LineFailure, work: LineWork | undefined): LineFailure {
    const { kind, code } = failure;
    if (kind === "ended") return failure;
    const hasProgressed = work?.hasProgressed === true;
    if (hasProgressed && kind !== "refused") this.#failed = 0;
    this.#failed += 1;
    if (hasProgressed) this.#stalled = 0;
    else if (kind === "stalled") this.#stalled += 1;
    if (code === 0x9a) this.#lacks = new Set([...this.#lacks, "retain"]);
    if (code === 0x9b) this.#lacks = new Set([...this.#lacks, "qos"]);
    this.#state.failed(this.#blame(failure, work));
    return failure;
  }

  /** Lines that end again and again over the same message: it is named. */
  #blame(failure: LineFailure, work: LineWork | undefined): LineFailure {
    const first = work?.first;
    if (first === undefined) return failure;
    const { seq, bytes } = first.owed;
    const wasCautious = this.#isCautious;
    this.#stuck = { seq, times: seq === this.#stuck.seq ? this.#stuck.times + 1 : 1 };
    if (!wasCautious || failure.kind === "refused") return failure;
    const words = `each time message ${seq} is sent (${first.topic}, about ${bytes} bytes)`;
    return new LineFailure(failure.kind, `${failure.message}, ${words}`, { cause: failure });
  }

  /** One message at a time, to know which of them it is. */
  get #isCautious(): boolean {
    return this.#stuck.times >= 2 && this.#stuck.seq > this.#deps.outbox.state.ackedSeq;
  }

  /** A slow line gets more time before it is called dead, or it would never get a large message through. */
  get #stallMs(): number {
    const { uplinkStallMs, uplinkStallMsMax } = FIXED_LIMITS;
    return Math.min(uplinkStallMs * 2 ** Math.min(this.#stalled, 10), uplinkStallMsMax);
  }

  #backOff(failure: LineFailure): number {
    const { settings, interactions, outbox } = this.#deps;
    const delayMs = backoffMs(settings.retry, this.#failed, interactions.random);
    const { kind, message } = failure;
    const { name } = outbox.uplink;
    interactions.log.debug("uplink.back_off", { uplink: name, kind, message, delayMs });
    return delayMs;
  }

  /** Until so long from now, or until something changes. */
  async #sleep(ms?: number): Promise<void> {
    if (this.#isInterrupted) return;
    await new Promise<void>((resolve) => {
      const { clock } = this.#deps.interactions;
      const cancel: CancelTimer = ms === undefined ? () => undefined : clock.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
    this.#wake = () => undefined;
  }
}
