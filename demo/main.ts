import { parseArgs } from "node:util";
import { openUpstreamLine } from "./cut.ts";
import { runConveyor, runMisfit, runOven, runPress, runValve } from "./devices.ts";
import { startGatewayProcess } from "./gateway-process.ts";
import { makeLine, pause, type Line } from "./line.ts";
import { makeNarrator } from "./narrator.ts";
import { openPanel } from "./panel.ts";
import { renderSummary, summarise, type Summary } from "./summary.ts";
import { THINGS } from "./things.ts";
import { openUplink, type Uplink } from "./uplink.ts";
import { startUpstream } from "./upstream.ts";

// A gateway, a small production line and a broker above, through the real ports: npm run demo

const USAGE = `Usage: npm run demo -- [--seconds N] [--cut-seconds N] [--json]

  --seconds N      how long it runs with its line upstream, half of it before the line is cut,
                   1 to 3600; default 20; Ctrl-C ends it before
  --cut-seconds N  how long the line upstream is cut, 0 to 3600; default 60
  --json           one JSON object a line; the last one holds the summary
`;

type Options = { readonly seconds: number; readonly cutSeconds: number; readonly json: boolean };

process.exitCode = await main(process.argv.slice(2));

/**
 * @returns 0; 1 if something that was accepted is missing from the history, or upstream does not
 * have just what the history has; 64 for bad usage.
 */
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
    const summary = await runBelowUpstream(line, options, over);
    write(options.json ? `${JSON.stringify({ summary })}\n` : renderSummary(summary));
    return summary.missing === 0 && summary.uplink.isEqual ? 0 : 1;
  } finally {
    over.abort();
    await gateway.stop();
  }
}

async function runBelowUpstream(
  line: Line,
  options: Options,
  over: AbortController,
): Promise<Summary> {
  for (const [id, description] of Object.entries(THINGS)) {
    await line.call("PUT", `/site/things/${id}`, description);
  }
  const upstream = await startUpstream();
  const wire = await openUpstreamLine(upstream.port);
  const uplink = await openUplink(line, upstream, wire);
  try {
    await runLine(line, uplink, options, over);
    return await summarise(line, uplink);
  } finally {
    await uplink.end();
    await wire.stop();
    await upstream.stop();
  }
}

/** Until the line has been cut and is back, a device fails, or somebody ends it. */
async function runLine(
  line: Line,
  uplink: Uplink,
  { seconds, cutSeconds }: Options,
  over: AbortController,
): Promise<void> {
  const panel = await openPanel(line);
  const devices = [runOven, runConveyor, runPress, runValve, runMisfit];
  // A device that fails ends the demo, with its reason.
  const runs = Promise.all(devices.map(async (run) => run(line).finally(() => over.abort())));
  const loseLine = async (): Promise<void> => {
    await pause(seconds * 500, line.signal);
    if (cutSeconds > 0 && !line.signal.aborted) await uplink.loseLine(cutSeconds);
    await pause(seconds * 500, line.signal);
  };
  await Promise.all([runs, loseLine().finally(() => over.abort())]);
  await panel.end();
}

function parseOptions(args: readonly string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: "string", default: "20" },
        "cut-seconds": { type: "string", default: "60" },
        json: { type: "boolean", default: false },
      },
    });
    const [seconds, cutSeconds] = [Number(values.seconds), Number(values["cut-seconds"])];
    const isInRange = seconds >= 1 && seconds <= 3_600 && cutSeconds >= 0 && cutSeconds <= 3_600;
    return isInRange ? { seconds, cutSeconds, json: values.json } : undefined;
  } catch {
    return undefined;
  }
}
