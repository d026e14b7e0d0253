#!/usr/bin/env node
import { packageVersion } from "../version.ts";
import { claimVerb } from "./claim.ts";
import { daemonAt } from "./daemon-socket.ts";
import { CLI_EXIT, CliError, type CliExit } from "./exit.ts";
import { readSecret } from "./secret.ts";
import { socketPath } from "./socket-path.ts";
import { statusVerb } from "./status.ts";
import { userVerb } from "./user.ts";
import { parseLine, type Verb } from "./verb.ts";

const VERBS: ReadonlyMap<string, Verb> = new Map([
  ["claim", claimVerb],
  ["status", statusVerb],
  ["user", userVerb],
]);

/** Options that every verb takes. */
const COMMON = ["json", "help"] as const;

const COMMON_USAGE = `  --json          one JSON object instead of text
  --socket PATH   the gateway's Unix socket; found by itself for the service and in a checkout
  --config FILE   the gateway's configuration, which says where its socket is
  --help          print this, and end
Ends with 0 done, 1 refused, 64 usage, 69 no gateway answers.
`;

process.exit(await main(process.argv.slice(2)));

async function main([word = "--help", ...args]: readonly string[]): Promise<CliExit> {
  try {
    if (word === "--help" || word === "help") return print(usage());
    if (word === "--version") return print(`sluice ${packageVersion()}\n`);
    const verb = VERBS.get(word);
    if (verb === undefined) {
      const known = [...VERBS.keys()].join(", ");
      throw new CliError(CLI_EXIT.usage, `unknown command ${word} (known: ${known})`);
    }
    const line = parseLine(args, [...verb.flags, ...COMMON]);
    if (line.flags.has("help")) return print(`Usage: ${verb.usage}\n${COMMON_USAGE}`);
    await verb.run(line, {
      ask: daemonAt(socketPath(line)),
      print: (text) => process.stdout.write(`${text}\n`),
      readSecret,
    });
    return CLI_EXIT.done;
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    process.stderr.write(`sluice: ${error.message}\n`);
    if (error.exitCode === CLI_EXIT.usage) process.stderr.write("See: sluice --help\n");
    return error.exitCode;
  }
}

function print(text: string): CliExit {
  process.stdout.write(text);
  return CLI_EXIT.done;
}

function usage(): string {
  const verbs = [...VERBS.values()].map((verb) => verb.usage).join("\n\n");
  return `Usage:\n\n${verbs}\n\n${COMMON_USAGE}`;
}
