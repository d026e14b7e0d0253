/** One bucket a microsecond up to this; above, each power of two in half as many: exact to 3 %. */
const STEPS = 64;
/** Of 31 bits of microseconds, 35 minutes, six are in the first steps. */
const POWERS = 27;

/** Counts durations, ms in and out, at a fixed cost and size. */
export class Histogram {
  readonly #buckets = new Uint32Array((STEPS / 2) * (POWERS + 1));
  #count = 0;
  #maxMs = 0;

  get count(): number {
    return this.#count;
  }

  get maxMs(): number {
    return this.#maxMs;
  }

  add(durationMs: number): void {
    this.#count += 1;
    if (durationMs > this.#maxMs) this.#maxMs = durationMs;
    const bucket = bucketOf(Math.max(0, Math.round(durationMs * 1_000)));
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
  }

  reset(): void {
    this.#buckets.fill(0);
    this.#count = 0;
    this.#maxMs = 0;
  }

  /** The duration that this part (0 to 1) of all stayed at or below; 0 if there are none. */
  quantile(part: number): number {
    const wanted = Math.ceil(part * this.#count);
    let seen = 0;
    for (const [bucket, count] of this.#buckets.entries()) {
      seen += count;
      if (seen >= wanted && seen > 0) return Math.min(topOf(bucket) / 1_000, this.#maxMs);
    }
    return 0;
  }
}

function bucketOf(us: number): number {
  if (us < STEPS) return us;
  const power = 31 - Math.clz32(Math.min(us, 0x7fff_ffff)) - 5;
  return power * (STEPS / 2) + Math.floor(us / 2 ** power);
}

function topOf(bucket: number): number {
  if (bucket < STEPS) return bucket;
  const power = Math.floor(bucket / (STEPS / 2)) - 1;
  return (bucket - power * (STEPS / 2) + 1) * 2 ** power - 1;
}
