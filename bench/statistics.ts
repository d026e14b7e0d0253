/** The middle of several measurements, and how far they lie apart. */
export type Spread = { readonly median: number; readonly min: number; readonly max: number };

/** @throws Error if there is nothing to summarise. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.floor((sorted.length - 1) / 2)];
  if (min === undefined || max === undefined || upper === undefined || lower === undefined) {
    throw new Error("no round was measured");
  }
  return { median: (lower + upper) / 2, min, max };
}
