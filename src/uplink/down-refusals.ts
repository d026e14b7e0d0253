import type { ErrorCode, GatewayError } from "../errors.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { refusalReport } from "../interactions/refusal-report.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { errorsTopic } from "../thing/topics.ts";
import type { UpMessage } from "./message.ts";
import type { DownTopic, TopicMapping } from "./topic-mapping.ts";

const MINUTE_MS = 60_000;

type RefusalDeps = {
  readonly interactions: Pick<InteractionDeps, "clock" | "log">;
  readonly uplink: string;
  readonly mapping: TopicMapping;
  /** Publishes upstream if the line is open; else it is lost. `undefined`: nobody there listens. */
  readonly tell: ((message: UpMessage) => void) | undefined;
};

/**
 * Messages from upstream that were refused: counted by reason, logged, and told on the Thing's
 * `errors` topic upstream, so many a minute.
 */
export class DownRefusals {
  readonly #deps: RefusalDeps;
  readonly #counts = new Map<ErrorCode, number>();
  #minute = 0;
  #reported = 0;

  constructor(deps: RefusalDeps) {
    this.#deps = deps;
  }

  /** Since the start, by reason. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  /** `topic`: as upstream wrote it; `about`: what it means here, if anything. */
  refuse(topic: string, about: DownTopic | undefined, error: GatewayError): void {
    const { code } = error;
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
    if (!this.#mayReport()) return;
    const { interactions, uplink, mapping, tell } = this.#deps;
    interactions.log.info("uplink.message_refused", { uplink, code });
    const account = about === undefined ? undefined : mapping.upstreamAccount(about.topic.account);
    if (account === undefined || about === undefined || tell === undefined) return;
    const report = refusalReport(interactions.clock, topic, error);
    tell({
      topic: mapping.up(errorsTopic({ account, id: about.topic.thing })),
      payload: Buffer.from(JSON.stringify(report)),
      retain: false,
    });
  }

  #mayReport(): boolean {
    const minute = Math.floor(this.#deps.interactions.clock.monotonicMs() / MINUTE_MS);
    if (minute !== this.#minute) this.#reported = 0;
    this.#minute = minute;
    this.#reported += 1;
    return this.#reported <= FIXED_LIMITS.errorReportsPerMinute;
  }
}
