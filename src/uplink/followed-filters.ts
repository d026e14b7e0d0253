import { FIXED_LIMITS } from "../limits.ts";
import type { UplinkMemory } from "../store/uplink-memory.ts";
import { reasonWords } from "./line-reasons.ts";
import type { Line } from "./line.ts";
import type { UpstreamSubscription } from "./topic-mapping.ts";

/** The note of what our session upstream is subscribed to. */
const NOTE = "subscribed";

/**
 * What our session upstream is subscribed to is what the uplink wants: of accounts that have gone, and
 * of settings from before, nothing is left.
 */
export class FollowedFilters {
  readonly #line: Pick<Line, "subscribe" | "unsubscribe">;
  readonly #memory: Pick<UplinkMemory, "note" | "setNote">;
  readonly #wanted: () => readonly UpstreamSubscription[];
  readonly #onRefused: (filter: string, why: string) => void;
  /** Asked for on this line. */
  #asked: ReadonlySet<string> = new Set();

  constructor(options: {
    readonly line: Pick<Line, "subscribe" | "unsubscribe">;
    readonly memory: Pick<UplinkMemory, "note" | "setNote">;
    readonly wanted: () => readonly UpstreamSubscription[];
    /** One that the uplink cannot do without. */
    readonly onRefused: (filter: string, why: string) => void;
  }) {
    this.#line = options.line;
    this.#memory = options.memory;
    this.#wanted = options.wanted;
    this.#onRefused = options.onRefused;
  }

  /**
   * Subscribes to what is wanted and not yet asked for on this line, and unsubscribes from what is
   * not wanted. What is sent is sent before it returns. @throws LineFailure.
   */
  async follow(): Promise<void> {
    const wanted = this.#wanted();
    const names = new Set(wanted.map(({ filter }) => filter));
    const added = wanted.filter(({ filter }) => !this.#asked.has(filter));
    const noted = this.#noted();
    const gone = [...new Set([...noted, ...this.#asked])].filter((filter) => !names.has(filter));
    if (added.length === 0 && gone.length === 0) return;
    this.#asked = names;
    this.#memory.setNote(NOTE, names.size === 0 ? undefined : [...names]);
    const { uplinkFiltersPerPacketMax: most } = FIXED_LIMITS;
    await Promise.all([
      ...inParts(gone, most).map(async (part) => this.#line.unsubscribe(part)),
      ...inParts(added, most).map(async (part) => this.#subscribe(part)),
    ]);
  }

  async #subscribe(part: readonly UpstreamSubscription[]): Promise<void> {
    const codes = await this.#line.subscribe(part.map(({ filter }) => ({ filter, qos: 1 })));
    for (const [nth, { filter, isOptional }] of part.entries()) {
      const code = codes[nth] ?? 0x80;
      if (code >= 0x80 && !isOptional) this.#onRefused(filter, reasonWords(code, undefined));
    }
  }

  #noted(): readonly string[] {
    const note = this.#memory.note(NOTE);
    return Array.isArray(note) ? note.filter((filter) => typeof filter === "string") : [];
  }
}

function inParts<Item>(all: readonly Item[], most: number): readonly (readonly Item[])[] {
  const count = Math.ceil(all.length / most);
  return Array.from({ length: count }, (_, nth) => all.slice(nth * most, (nth + 1) * most));
}
