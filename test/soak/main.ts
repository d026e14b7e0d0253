import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { LEAKS } from "./inside.ts";
import { jsonPrinter, tablePrinter } from "./print.ts";
import { runSoak, type SoakOptions } from "./soak.ts";

const USAGE = `Usage: npm run soak -- [--minutes N] [--seed N] [--every S] [--json] [--leak KIND]

  --minutes N   how long the gateway is used, up to a week of them; default 10; Ctrl-C ends it before
  --seed N      decides what its clients do; default: one is drawn
  --every S     seconds between two samples; default: a sixtieth of the time, from 1 to 30
  --json        one JSON object a line; the last one holds the verdict
  --leak KIND   plants a leak in the gateway, which has to be found: ${LEAKS.join(", ")}

Ends with 0, with 1 if a bound is exceeded, with 64 for bad usage.
`;

const WEEK_MINUTES = 10_080;

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const parsed = parseOptions(args);
  if (parsed === undefined) {
    process.stderr.write(USAGE);
    return 64;
  }
  const { asJson, ...options } = parsed;
  const over = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => over.abort());
  const write = (text: string): void => void process.stdout.write(text);
  const table = tablePrinter(write, process.stdout.isTTY);
  const printer = asJson ? jsonPrinter(write) : table;
  try {
    const report = await runSoak(
      options,
      {
        onStart: ({ pid }) => printer.started(options, pid),
        onSample: (sample) => printer.sample(sample),
      },
      over.signal,
    );
    printer.report(report);
    return report.verdict.ok ? 0 : 1;
  } catch (error) {
    table.stop();
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function parseOptions(
  args: readonly string[],
): (SoakOptions & { readonly asJson: boolean }) | undefined {
  const text = { type: "string" } as const;
  const json = { type: "boolean", default: false } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { minutes: text, seed: text, every: text, leak: text, json },
    });
    const seconds = Number(values.minutes ?? 10) * 60;
    const seed = Number(values.seed ?? randomInt(2 ** 31));
    const everySeconds = Number(values.every ?? Math.min(30, Math.max(1, seconds / 60)));
    const leak = LEAKS.find((name) => name === values.leak);
    const isGood =
      seconds > 0 && seconds <= WEEK_MINUTES * 60 && Number.isSafeInteger(seed) && everySeconds > 0;
    if (!isGood || leak !== values.leak) return undefined;
    return { seconds, seed, everySeconds, leak, asJson: values.json };
  } catch {
    return undefined;
  }
}
