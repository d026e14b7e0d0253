import type { Bench, Finding } from "../rounds.ts";

/** Rows that are measured in one interleaved run. */
export type Group = {
  /** The part of a row's id before the slash. */
  readonly name: string;
  readonly measure: (bench: Bench, wanted: ReadonlySet<string>) => Promise<Measured>;
};

export type Measured = {
  /** By the part of a row's id behind the slash, as in `wanted`. */
  readonly findings: Readonly<Record<string, Finding>>;
  /** What was seen on the way, for the reader of the results. */
  readonly details: readonly Detail[];
};

/** One line of the table of details: medians. */
export type Detail = Readonly<Record<string, string | number>> & { readonly who: string };
