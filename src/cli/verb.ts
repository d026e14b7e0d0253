import { parseArgs } from "node:util";
import type { Ask } from "./daemon-socket.ts";
import { CLI_EXIT, CliError } from "./exit.ts";

/** What a verb may use. */
export type Cli = {
  readonly ask: Ask;
  /** A line on standard output. */
  readonly print: (line: string) => void;
  /** Asks the person for a secret: not shown where there is a terminal, else the next line. */
  readonly readSecret: (prompt: string) => Promise<string>;
};

/** One word of the command line. */
export type Verb = {
  readonly usage: string;
  /** The options without a value that it takes. */
  readonly flags: readonly string[];
  /** @throws CliError. */
  readonly run: (line: Line, cli: Cli) => Promise<void>;
};

/** What stands behind the verb. */
export type Line = {
  readonly flags: ReadonlySet<string>;
  /** What is no option. */
  readonly words: readonly string[];
  readonly socket: string | undefined;
  readonly config: string | undefined;
};

/** @throws CliError `usage`. */
export function parseLine(args: readonly string[], flags: readonly string[]): Line {
  const options = {
    socket: { type: "string" },
    config: { type: "string" },
    ...Object.fromEntries(flags.map((name) => [name, { type: "boolean" } as const])),
  } as const;
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const given = new Map<string, unknown>(Object.entries(values));
    const text = (name: string): string | undefined => {
      const value = given.get(name);
      return typeof value === "string" ? value : undefined;
    };
    return {
      flags: new Set(flags.filter((name) => given.get(name) === true)),
      words: positionals,
      socket: text("socket"),
      config: text("config"),
    };
  } catch (error) {
    throw new CliError(CLI_EXIT.usage, error instanceof Error ? error.message : String(error));
  }
}
