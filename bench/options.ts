import { parseArgs } from "node:util";
import { ROWS } from "./rows/table.ts";

export type Options = {
  /** Rows, or groups of rows, to measure; empty: all. */
  readonly only: readonly string[];
  readonly rounds: number;
  readonly seconds: number;
  /** JSON on standard output instead of the table. */
  readonly json: boolean;
  /** Where RESULTS.md and results.json are kept. */
  readonly out: string;
  readonly profile: boolean;
  readonly help: boolean;
};

export const USAGE = `Usage: npm run bench [-- OPTIONS]

  --only ROW     measure this row, or this group of rows; may be given more than once
  --rounds N     rounds, interleaved; their median counts (3)
  --seconds S    how long each is measured, after a warm-up of half as long, 3 s at most (5)
  --out DIR      where RESULTS.md and results.json are written (bench); what is not measured stays
  --json         print JSON instead of the table
  --profile      do not measure: show where the gateway's time goes on the durable path
  --help         print this

Rows: ${ROWS.map(({ id }) => id).join(", ")}
`;

/** @throws Error that says what is wrong with the arguments. */
export function parseOptions(args: readonly string[]): Options {
  const flag = { type: "boolean", default: false } as const;
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: "string", multiple: true, default: [] },
      rounds: { type: "string", default: "3" },
      seconds: { type: "string", default: "5" },
      out: { type: "string", default: "bench" },
      json: flag,
      profile: flag,
      help: flag,
    },
  });
  const unknown = values.only.find((name) => !ROWS.some(({ id }) => isPartOf(id, name)));
  if (unknown !== undefined) throw new Error(`no row or group is called ${unknown}`);
  const rounds = Number(values.rounds);
  const seconds = Number(values.seconds);
  if (!(Number.isInteger(rounds) && rounds > 0)) throw new Error("--rounds takes a whole number");
  if (!(seconds > 0)) throw new Error("--seconds takes a number");
  return { ...values, rounds, seconds };
}

/** Is this row, or its group, meant by this name? */
export function isPartOf(id: string, name: string): boolean {
  return id === name || id.startsWith(`${name}/`);
}
