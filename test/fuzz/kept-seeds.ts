/** A run that has shown a fault, and what the fault was. */
type KeptSeed = {
  readonly seed: number;
  readonly firstRound: number;
  readonly rounds: number;
  readonly what: string;
};

/** Each is run by `npm test`. A change of the generators makes another run of a seed: keep them few. */
export const KEPT_SEEDS: Readonly<Record<"mqtt" | "http", readonly KeptSeed[]>> = {
  mqtt: [],
  http: [],
};
