import { ERRORS, GatewayError } from "../errors.ts";
import type { CancelTimer } from "../clock.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import { parsePayload } from "../interactions/thing-message.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Outbox } from "../store/outbox.ts";
import type { Owed } from "../store/outbox-items.ts";
import type { Principal } from "../thing/access.ts";
import { isJsonObject, type Json } from "../thing/json.ts";
import { parseTime } from "../thing/time.ts";
import type { UplinkSettings } from "../uplink-settings.ts";
import { CommandAges, type OpenedLine } from "./command-ages.ts";
import { applyCommand, type Said } from "./down-command.ts";
import { DownRefusals } from "./down-refusals.ts";
import { followRequest } from "./down-requests.ts";
import { DownStatus } from "./down-status.ts";
import { KnownUpstream } from "./known-upstream.ts";
import type { DownMessage, UpMessage } from "./message.ts";
import { Redeliveries } from "./redeliveries.ts";
import type { DownTopic, TopicMapping } from "./topic-mapping.ts";

export type DownDeps = {
  readonly interactions: InteractionDeps;
  readonly outbox: Pick<Outbox, "uplink" | "memory" | "owes">;
  readonly settings: Pick<UplinkSettings, "shape" | "envelope" | "window">;
  readonly mapping: TopicMapping;
  /** Publishes upstream if the line is open; else it is lost. */
  readonly tell: (message: UpMessage) => void;
};

/** What has come down since the start. */
export type DownCounts = {
  readonly applied: number;
  /** Our own values that came back, and values that were there already. */
  readonly unchanged: number;
  /** Values that a local change stood against. */
  readonly lost: number;
  /** Came again. */
  readonly repeated: number;
  readonly refused: Readonly<Record<string, number>>;
};

type Held = { readonly message: DownMessage; readonly acknowledge: () => void };

const LOOK_EVERY_MS = 1_000;

/**
 * What comes from upstream becomes interactions, once each, in the order in which it came; it is
 * acknowledged when what it changed is on disk. What is refused changes nothing, is told, and is
 * acknowledged all the same.
 *
 * Lives as long as its uplink, over all its lines.
 */
export class Down {
  readonly #deps: DownDeps;
  readonly #principal: Principal;
  readonly #ages: CommandAges;
  readonly #redeliveries: Redeliveries;
  readonly #known = new KnownUpstream();
  readonly #status: DownStatus;
  readonly #refusals: DownRefusals;
  readonly #counts = { applied: 0, unchanged: 0, lost: 0, repeated: 0 };
  /** While the store takes nothing new. The line takes only so many at a time, the rest waits upstream. */
  #held: Held[] = [];
  /** Counts lines: what came on an old one cannot be acknowledged any more. */
  #line = 0;
  #isOpen = false;
  #acknowledged = 0;
  #cancelLook: CancelTimer | undefined;
  readonly #unlisten: () => void;
  #isStopped = false;

  constructor(deps: DownDeps) {
    this.#deps = deps;
    const { interactions, outbox, settings, mapping, tell } = deps;
    const { memory, uplink } = outbox;
    this.#principal = principalOfUplink(uplink);
    this.#ages = new CommandAges(interactions.clock, memory);
    this.#redeliveries = new Redeliveries(memory);
    this.#refusals = new DownRefusals({
      interactions,
      uplink: uplink.name,
      mapping,
      tell: settings.shape === "mirror" ? tell : undefined,
    });
    this.#status = new DownStatus({
      interactions,
      outbox,
      principal: this.#principal,
      window: settings.window,
      onRefused: (error) => this.#refusals.refuse("", undefined, error),
    });
    this.#unlisten = interactions.store.writability.onChange((refusal) => {
      if (refusal === undefined) this.#takeHeld();
    });
  }

  get counts(): DownCounts {
    return { ...this.#counts, refused: this.#refusals.counts };
  }

  /** For the tests and the curious: values that wait for their echo, and values that lost. */
  get conflicts(): { readonly awaited: number; readonly lost: number } {
    return this.#status.counts;
  }

  /** Once, before the first line: reads what a start has to know of what went up before. */
  async start(): Promise<void> {
    if (this.#isPeer) await this.#status.recover();
  }

  lineOpened(line: OpenedLine): void {
    this.#line += 1;
    this.#isOpen = true;
    this.#ages.lineOpened(line);
    this.#redeliveries.lineOpened(line.sessionPresent);
    this.#status.lineOpened();
    this.#look();
    this.#takeHeld();
  }

  /** What was not acknowledged comes again on the next line. */
  lineClosed(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#line += 1;
    this.#held = [];
    this.#cancelLook?.();
    this.#ages.lineClosed();
    this.#status.lineClosed();
  }

  stop(): void {
    this.lineClosed();
    this.#unlisten();
    this.#isStopped = true;
  }

  /** An item was given to the line; each time, if it is given again. */
  sent(owed: Owed): void {
    this.#redeliveries.sent(owed.seq, this.#acknowledged);
    if (this.#isPeer) this.#status.sent(owed);
  }

  /** Upstream has it, or never will; the outbox knows. */
  acknowledged(owed: Owed): void {
    this.#redeliveries.acknowledged(owed.seq);
    this.#ages.heard();
    if (this.#isPeer) this.#status.acknowledged(owed);
    else this.#known.acknowledged(owed);
  }

  /** Takes a message of the line. `acknowledge` is called once, or never. */
  take(message: DownMessage, acknowledge: () => void): void {
    if (this.#isStopped) return;
    // The first ones may come with the answer to the CONNECT, before the line is called open.
    if (this.#isOpen) this.#ages.taken();
    const mustWait = !this.#isOpen || this.#held.length > 0;
    if (mustWait || this.#deps.interactions.store.writability.refusal !== undefined) {
      this.#held.push({ message, acknowledge });
    } else {
      this.#takeNow({ message, acknowledge });
    }
  }

  get #isPeer(): boolean {
    return this.#deps.settings.shape === "peer";
  }

  /** False: the store took nothing after all. */
  #takeNow({ message, acknowledge }: Held): boolean {
    const { mapping, interactions } = this.#deps;
    let applied: number | undefined;
    if (this.#redeliveries.isRepeated(message)) {
      this.#counts.repeated += 1;
    } else {
      const about = mapping.down(message.topic);
      try {
        applied = this.#apply(message, about);
      } catch (error) {
        if (!(error instanceof GatewayError)) throw error;
        if (ERRORS[error.code].mqtt === "withheld") {
          this.#held.unshift({ message, acknowledge });
          return false;
        }
        this.#refusals.refuse(message.topic, about, error);
      }
    }
    const line = this.#line;
    interactions.store.commit.settled((failure) => {
      if (failure !== undefined || line !== this.#line) return;
      acknowledge();
      this.#acknowledged = applied ?? this.#acknowledged;
    });
    return true;
  }

  #takeHeld(): void {
    while (this.#isOpen && this.#deps.interactions.store.writability.refusal === undefined) {
      const next = this.#held.shift();
      if (next === undefined || !this.#takeNow(next)) return;
    }
  }

  /** @returns the number of this message among those that are remembered as applied. */
  #apply(message: DownMessage, about: DownTopic | undefined): number | undefined {
    if (about === undefined) {
      throw new GatewayError("unknown-topic", "upstream sent a topic that was not asked for");
    }
    const { memory } = this.#deps.outbox;
    const { body, at, id } = this.#open(message);
    if (id !== undefined && memory.seen(id)) {
      this.#counts.repeated += 1;
      return undefined;
    }
    if (about.tree === "set") {
      const { ignored } = applyCommand(this.#commandDeps(), message, about.topic, { body, at });
      this.#counts.applied += 1;
      if (ignored.length > 0) this.#refuseMembers(message, about, ignored);
    } else {
      this.#follow(message, about, body);
    }
    if (id === undefined) return this.#redeliveries.remember(message);
    memory.remember(id);
    return undefined;
  }

  #follow(
    message: DownMessage,
    { topic }: Extract<DownTopic, { tree: "status" }>,
    body: Json,
  ): void {
    switch (topic.kind) {
      case "property":
      case "description": {
        const outcome = this.#status.take(message, topic, body);
        this.#counts[outcome === "echo" ? "unchanged" : outcome] += 1;
        return;
      }
      case "action": {
        const { interactions, outbox, mapping, tell } = this.#deps;
        const principal = this.#principal;
        const deps = { interactions, outbox, mapping, tell, principal, ages: this.#ages };
        this.#counts[followRequest(deps, message, topic, body)] += 1;
        return;
      }
      case "event":
      case "data":
      case "errors":
      case "connection":
        throw new GatewayError("unknown-topic", `the ${topic.kind} of a Thing are not followed`);
    }
  }

  #commandDeps() {
    const { interactions, outbox } = this.#deps;
    const uplink = outbox.uplink.number;
    const principal = this.#principal;
    return { interactions, outbox, uplink, principal, ages: this.#ages, known: this.#known };
  }

  /** Out of the CloudEvents envelope, if it is in one (CloudEvents 1.0, JSON format §3). */
  #open(message: DownMessage): Said & { readonly id: string | undefined } {
    const { userProperties } = message.properties;
    const id = idOf(userProperties?.["id"]);
    const body = parsePayload(message.payload);
    const isEvent = this.#deps.settings.envelope === "cloudevents" && isJsonObject(body);
    if (!isEvent || typeof body["specversion"] !== "string" || body["data"] === undefined) {
      return { body, at: undefined, id };
    }
    const { time, data } = body;
    const at = typeof time === "string" ? parseTime(time) : undefined;
    return { body: data, at, id: id ?? idOf(body["id"]) };
  }

  #refuseMembers(message: DownMessage, about: DownTopic, ignored: readonly string[]): void {
    const detail = `only the named property was taken; left aside: ${ignored.join(", ")}`;
    this.#refusals.refuse(message.topic, about, new GatewayError("unknown-member", detail));
  }

  #look(): void {
    this.#cancelLook?.();
    const { clock, store } = this.#deps.interactions;
    this.#cancelLook = clock.after(LOOK_EVERY_MS, () => {
      this.#ages.look();
      if (this.#isPeer && store.writability.refusal === undefined) this.#status.look();
      if (this.#isOpen) this.#look();
    });
  }
}

/** Who speaks when upstream does: it may do everything on Things, and nothing with the box. */
export function principalOfUplink(uplink: {
  readonly name: string;
  readonly number: number;
}): Principal {
  return {
    kind: "token",
    name: `uplink ${uplink.name}`,
    account: undefined,
    scopes: new Set([
      ...(["thing.read", "thing.write", "thing.report", "thing.manage"] as const),
      ...(["data.read", "data.write"] as const),
    ]),
    via: uplink.number,
  };
}

function idOf(given: Json | undefined): string | undefined {
  return typeof given === "string" && given !== "" && given.length <= FIXED_LIMITS.uplinkIdLengthMax
    ? given
    : undefined;
}
