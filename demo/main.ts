import { parseArgs } from "node:util";
import { runConveyor, runMisfit, runOven, runPress, runValve } from "./devices.ts";
import { startGatewayProcess } from "./gateway-process.ts";
import { makeLine, pause, type Line } from "./line.ts";
import { makeNarrator } from "./narrator.ts";
import { openPanel } from "./panel.ts";
import { renderSummary, summarise, type Summary } from "./summary.ts";
import { THINGS } from "./things.ts";

// A gateway and a small production line, through the real ports: npm run demo -- --seconds 60

const USAGE = `Usage: npm run demo -- [--seconds N] [--json]

  --seconds N   how long it runs, 1 to 3600; default 20; Ctrl-C ends it before
  --json        one JSON object a line; the last one holds the summary
`;

process.exitCode = await main(process.argv.slice(2));

/** @returns 0; 1 if something that was accepted is missing from the history; 64 for bad usage. */
async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === undefined) {
    process.stderr.write(USAGE);
    return 64;
  }
  const write = (text: string): void => void process.stdout.write(text);
  const over = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => over.abort());
  const gateway = await startGatewayProcess();
  try {
    const narrator = makeNarrator({ asJson: options.json, write });
    const line = makeLine(gateway, narrator, over.signal);
    line.say("gateway", `is ready: MQTT on ${gateway.mqttPort}, HTTP on ${gateway.httpPort}`);
    const summary = await runLine(line, options.seconds, over);
    write(options.json ? `${JSON.stringify({ summary })}\n` : renderSummary(summary));
    return summary.missing === 0 ? 0 : 1;
  } finally {
    over.abort();
    await gateway.stop();
  }
}

async function runLine(line: Line, seconds: number, over: AbortController): Promise<Summary> {
  for (const [id, description] of Object.entries(THINGS)) {
    await line.call("PUT", `/site/things/${id}`, description);
  }
  const panel = await openPanel(line);
  const devices = [runOven, runConveyor, runPress, runValve, runMisfit];
  // A device that fails ends the demo, with its reason.
  const runs = Promise.all(devices.map(async (run) => run(line).finally(() => over.abort())));
  await Promise.race([runs, pause(seconds * 1_000, line.signal)]);
  over.abort();
  await runs;
  await panel.end();
  return summarise(line);
}

function parseOptions(
  args: readonly string[],
): { readonly seconds: number; readonly json: boolean } | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: "string", default: "20" },
        json: { type: "boolean", default: false },
      },
    });
    const seconds = Number(values.seconds);
    return seconds >= 1 && seconds <= 3_600 ? { seconds, json: values.json } : undefined;
  } catch {
    return undefined;
  }
}
