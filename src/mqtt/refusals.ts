import type { ErrorCode, GatewayError } from "../errors.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { refusalReport } from "../interactions/refusal-report.ts";
import type { Peer } from "../channel.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { refusalOfPublish } from "./refusal-reasons.ts";
import { touchesThing, type Principal } from "../thing/access.ts";
import type { RefusalLog } from "../refusal-log.ts";
import { errorsTopic, parseInboundTopic } from "../thing/topics.ts";

const MINUTE_MS = 60_000;

type Refused = {
  readonly principal: Principal;
  readonly clientId: string;
  readonly peer?: Peer;
  readonly topic: string;
};

/**
 * Publishes that were refused: acknowledged, dropped, counted by reason, and told on the Thing's
 * `errors` topic, so many a minute and publisher, to whoever may read it.
 */
export class Refusals {
  readonly #deps: InteractionDeps;
  readonly #log: RefusalLog;
  readonly #counts = new Map<ErrorCode, number>();
  readonly #reported = new Map<string, { minute: number; count: number }>();

  constructor(deps: InteractionDeps, log: RefusalLog) {
    this.#deps = deps;
    this.#log = log;
  }

  /** How many publishes were refused since the start, by reason. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  refuse(publish: Refused, error: GatewayError): void {
    const { principal, clientId, topic } = publish;
    this.#log.note(refusalOfPublish(publish, error));
    this.#counts.set(error.code, (this.#counts.get(error.code) ?? 0) + 1);
    if (!this.#mayReport(principal.name)) return;
    const { code } = error;
    this.#deps.log.info("mqtt.publish_refused", { clientId, principal: principal.name, code });
    this.#report(principal, topic, error);
  }

  /** Says on `errors` why, if the publisher holds a grant on the Thing. */
  #report(principal: Principal, topic: string, error: GatewayError): void {
    const parsed = parseInboundTopic(topic) ?? parseInboundTopic(thingPart(topic));
    if (parsed === undefined) return;
    const thing = this.#deps.store.things.find(parsed.account, parsed.thing);
    if (thing === undefined || !touchesThing(principal, thing)) return;
    this.#deps.publish({
      topic: errorsTopic(thing),
      payload: JSON.stringify(refusalReport(this.#deps.clock, topic, error)),
      thing,
      about: "errors",
    });
  }

  #mayReport(publisher: string): boolean {
    const minute = Math.floor(this.#deps.clock.monotonicMs() / MINUTE_MS);
    const row = this.#reported.get(publisher);
    if (row?.minute === minute) {
      row.count += 1;
      return row.count <= FIXED_LIMITS.errorReportsPerMinute;
    }
    // They all begin a new minute.
    if (this.#reported.size >= FIXED_LIMITS.errorReportersMax) this.#reported.clear();
    this.#reported.set(publisher, { minute, count: 1 });
    return true;
  }
}

/** `set/{account}/things/{thing}` of a topic that goes on in an unknown way. */
function thingPart(topic: string): string {
  return topic.split("/", 4).join("/");
}
