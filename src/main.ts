#!/usr/bin/env node
import { parseArgs } from "node:util";
import { announceAdminToken } from "./admin-token.ts";
import { systemClock, systemRandom } from "./clock.ts";
import { adminSocketOf, runtimeDirectory } from "./config-admin.ts";
import { loadConfig, processEnvironment } from "./config.ts";
import type { Config } from "./config.ts";
import { startGateway } from "./gateway.ts";
import type { Gateway } from "./gateway.ts";
import { showClaim } from "./gateway-claim-notice.ts";
import { openLog } from "./journal.ts";
import { FIXED_LIMITS } from "./limits.ts";
import type { Log } from "./log.ts";
import { EXIT, exitCodeOf, explain } from "./start-error.ts";
import type { ExitCode } from "./start-error.ts";
import { isJournalStream, runsAsService } from "./systemd/invocation.ts";
import { openNotifier } from "./systemd/notify.ts";
import type { Notifier } from "./systemd/notify.ts";
import { packageVersion } from "./version.ts";

// The process: command line, signals and exit codes, and nothing else. UV_THREADPOOL_SIZE cannot be
// set here: loading this very module has started libuv's pool. `npm start` and the unit set it.

const USAGE = `Usage: node build/src/main.js [--config FILE] [--check-config]

  --config FILE    read the configuration from FILE (TOML)
  --check-config   say whether the configuration is valid, and end
  --version        print the version, and end
  --help           print this, and end

Every key is also an environment variable: SLUICE_<SECTION>__<KEY>, as SLUICE_MQTT__PORT=1884.
Ends with 0 stopped, 64 usage, 74 storage, 75 try again, 78 configuration.
`;

process.exit(await main(process.argv.slice(2)));

async function main(args: readonly string[]): Promise<ExitCode> {
  const command = parseCommand(args);
  if (command === undefined) return EXIT.usage;
  if (command.help || command.version) {
    process.stdout.write(command.help ? USAGE : `sluice ${packageVersion()}\n`);
    return EXIT.stopped;
  }
  const env = processEnvironment();
  const { file } = command;
  const loaded = loadConfig({ ...(file === undefined ? {} : { file }), env });
  if (!loaded.ok) {
    for (const fault of loaded.faults) complain(fault);
    return EXIT.configuration;
  }
  if (command.checkConfig) {
    process.stdout.write("sluice: the configuration is valid\n");
    return EXIT.stopped;
  }
  return run(loaded, env);
}

type Command = {
  readonly file: string | undefined;
  readonly checkConfig: boolean;
  readonly version: boolean;
  readonly help: boolean;
};

function parseCommand(args: readonly string[]): Command | undefined {
  const flag = { type: "boolean", default: false } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: { config: { type: "string" }, "check-config": flag, version: flag, help: flag },
    });
    const { config: file, "check-config": checkConfig, version, help } = values;
    return { file, checkConfig, version, help };
  } catch (error) {
    complain(error instanceof Error ? error.message : String(error));
    process.stderr.write(`\n${USAGE}`);
    return undefined;
  }
}

/** Runs the gateway until something ends it; resolves after the ordered stop. */
async function run(
  { config, exposedFile }: { readonly config: Config; readonly exposedFile?: string },
  env: NodeJS.ProcessEnv,
): Promise<ExitCode> {
  const clock = systemClock(config.clock.trust);
  const to = { clock, forJournal: isJournalStream(env, 1) };
  const log = openLog({ ...to, level: config.log.level });
  if (exposedFile !== undefined) log.warn("config.readable_by_all", { path: exposedFile });
  const end = awaitEnd(log);
  const isService = runsAsService(env, process.pid);
  const notifier = openNotifier({ env, pid: process.pid, clock, log });
  // The timers of the clock keep no process alive: without a listener yet it would just end.
  const alive = setInterval(() => undefined, 3_600_000);
  try {
    await notifier.starting();
    const gateway = await startGateway(config, {
      clock,
      random: systemRandom,
      log,
      announceToken: (token) =>
        announceAdminToken({
          token,
          storePath: config.store.path,
          asFile: isService,
          log,
          print: (line) => process.stdout.write(line),
        }),
      adminSocket: adminSocketOf(config, env),
      showClaim: (notice) =>
        showClaim(notice, {
          directory: isService ? (runtimeDirectory(env) ?? config.store.path) : undefined,
          log,
          print: (text) => process.stdout.write(text),
        }),
      onFatal: (error) => {
        log.error("gateway.failed", { error });
        end.because(exitCodeOf(error), explain(error));
      },
    });
    // Whoever started us waits for this record, whatever is to be logged besides.
    announceReady(gateway, openLog({ ...to, level: "info" }), env);
    await notifier.ready(gateway);
    return await stop(gateway, notifier, log, await end.reason);
  } catch (error) {
    log.error("gateway.start_failed", { error });
    await notifier.stopping(explain(error));
    complain(explain(error));
    return exitCodeOf(error);
  } finally {
    clearInterval(alive);
  }
}

function announceReady(gateway: Gateway, log: Log, env: NodeJS.ProcessEnv): void {
  const { mqttPort, httpPort, mqttsPort, httpsPort } = gateway;
  const ports = { mqttPort, httpPort, mqttsPort, httpsPort };
  const threads = Number(env["UV_THREADPOOL_SIZE"] ?? "4");
  log.info("gateway.ready", { ...ports, version: packageVersion(), threads });
}

/** What the process ends with, and, if something failed, one line about it. */
type Reason = { readonly code: ExitCode; readonly why?: string };

type End = {
  /** Resolves with the first reason given; later ones, a second signal among them, change nothing. */
  readonly reason: Promise<Reason>;
  readonly because: (code: ExitCode, why?: string) => void;
};

function awaitEnd(log: Log): End {
  let because: End["because"] = () => undefined;
  const reason = new Promise<Reason>((resolve) => {
    because = (code, why) => {
      resolve(why === undefined ? { code } : { code, why });
      const { stopMsMax } = FIXED_LIMITS;
      // Counts from the first reason, also while the gateway still starts.
      setTimeout(() => {
        log.error("gateway.stop_hangs", { stopMsMax });
        process.exit(EXIT.tryAgain);
      }, stopMsMax);
    };
  });
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      log.info("gateway.signal", { signal });
      because(EXIT.stopped);
    });
  }
  // A broken invariant, a rejection nobody took: nothing in memory can be believed any more. What
  // was acknowledged is on disk, and the next start recovers it.
  process.on("uncaughtException", (error, origin) => {
    log.error("gateway.crashed", { error, origin });
    process.exit(EXIT.tryAgain);
  });
  return { reason, because };
}

async function stop(
  gateway: Gateway,
  notifier: Notifier,
  log: Log,
  { code, why }: Reason,
): Promise<ExitCode> {
  log.info("gateway.stopping");
  const told = notifier.stopping(why);
  try {
    await gateway.stop();
    await told;
    log.info("gateway.stopped");
    return code;
  } catch (error) {
    log.error("gateway.stop_failed", { error });
    return code === EXIT.stopped ? exitCodeOf(error) : code;
  }
}

/** For the person at the terminal, or the journal of a service that did not start. */
function complain(text: string): void {
  const priority = isJournalStream(processEnvironment(), 2) ? "<3>" : "";
  process.stderr.write(`${priority}sluice: ${text}\n`);
}
