import { FIXED_LIMITS } from "../limits.ts";

/**
 * Remembers what was made of topic names: devices publish to the same few again and again. When it is
 * full it begins anew, so that whoever publishes to ever new ones costs no more than without it.
 */
export class TopicMemo<Made> {
  readonly #made = new Map<string, Made>();

  /** What `make` made of this topic name since the last `clear`. */
  of(topic: string, make: (topic: string) => Made): Made {
    const known = this.#made.get(topic);
    if (known !== undefined) return known;
    const made = make(topic);
    if (topic.length > FIXED_LIMITS.memoTopicCharactersMax) return made;
    if (this.#made.size >= FIXED_LIMITS.memoTopicsMax) this.#made.clear();
    this.#made.set(topic, made);
    return made;
  }

  /** What was made does not hold any more. */
  clear(): void {
    this.#made.clear();
  }
}
