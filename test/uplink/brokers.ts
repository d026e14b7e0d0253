import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Test } from "tap";

/** Where Debian keeps brokers. */
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin`;
process.env["PATH"] = PATH;
const READY_MS_MAX = 60_000;
const SAID_MAX = 4_000;

/** A broker as its own process, killed with the test. */
export class Broker {
  readonly #command: readonly string[];
  readonly #env: NodeJS.ProcessEnv;
  readonly #ready: RegExp;
  #child: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(t: Test, command: readonly string[], ready: RegExp, env: NodeJS.ProcessEnv = {}) {
    this.#command = command;
    this.#ready = ready;
    this.#env = env;
    t.teardown(async () => this.stop("SIGKILL"));
  }

  /** Resolves when it says that it is ready; rejects with what it said if it ends before. */
  async start(): Promise<void> {
    const [program = "", ...args] = this.#command;
    const child = spawn(program, args, {
      // A group of its own: RabbitMQ is a script that leaves a child behind.
      detached: true,
      env: { PATH, LANG: "C.UTF-8", ...this.#env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    this.#ended = once(child, "close");
    let said = "";
    await new Promise<void>((resolve, reject) => {
      const fail = (): void => reject(new Error(`${program} is not ready: ${said}`));
      const timer = setTimeout(fail, READY_MS_MAX);
      const hear = (line: string): void => {
        said = `${said}${line}\n`.slice(-SAID_MAX);
        if (!this.#ready.test(line)) return;
        clearTimeout(timer);
        resolve();
      };
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", hear);
      }
      child.once("error", reject);
      child.once("close", () => {
        clearTimeout(timer);
        fail();
      });
    });
  }

  async stop(signal: "SIGTERM" | "SIGKILL" = "SIGTERM"): Promise<void> {
    this.#signal("SIGCONT");
    this.#signal(signal);
    await this.#ended;
  }

  /** It takes connections and bytes, as the kernel does for it, and says nothing. */
  freeze(): void {
    this.#signal("SIGSTOP");
  }

  thaw(): void {
    this.#signal("SIGCONT");
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid, exitCode, signalCode } = this.#child ?? {};
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    process.kill(-pid, signal);
  }
}

export function temporaryFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-upstream-"));
  // Brokers that root starts become another user.
  chmodSync(folder, 0o777);
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A port of the loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no free port");
  return address.port;
}

/** mosquitto with these lines of configuration, which begin with its first listener. */
export async function startMosquitto(
  t: Test,
  lines: (port: number, folder: string) => readonly string[] = (port) => [
    `listener ${port} 127.0.0.1`,
    "allow_anonymous true",
  ],
): Promise<{ readonly port: number; readonly broker: Broker }> {
  const folder = temporaryFolder(t);
  const port = await freePort();
  const file = join(folder, "mosquitto.conf");
  const common = ["per_listener_settings true", `user ${userInfo().username}`, "log_dest stderr"];
  writeFileSync(file, [...common, ...lines(port, folder), ""].join("\n"));
  const broker = new Broker(t, ["mosquitto", "-c", file], /mosquitto version \S+ running/);
  await broker.start();
  return { port, broker };
}

/** RabbitMQ with its MQTT plugin; user and password are guest. */
export async function startRabbitmq(
  t: Test,
): Promise<{ readonly port: number; readonly broker: Broker }> {
  const folder = temporaryFolder(t);
  const [port, distribution, names] = [await freePort(), await freePort(), await freePort()];
  const configuration = [
    "listeners.tcp = none",
    `mqtt.listeners.tcp.1 = 127.0.0.1:${port}`,
    "log.console = true",
    "log.console.level = info",
    "",
  ];
  writeFileSync(join(folder, "rabbitmq.conf"), configuration.join("\n"));
  writeFileSync(join(folder, "enabled_plugins"), "[rabbitmq_mqtt].\n");
  const env = {
    HOME: folder,
    ERL_EPMD_PORT: String(names),
    RABBITMQ_NODENAME: `test${port}@localhost`,
    RABBITMQ_DIST_PORT: String(distribution),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    RABBITMQ_MNESIA_BASE: join(folder, "mnesia"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
  };
  // Erlang would leave a daemon behind for its names: this one is ours to end.
  const epmd = new Broker(t, ["epmd", "-d"], /epmd running/, env);
  await epmd.start();
  // Debian's wrapper would become another user; the script behind it does not.
  const script = "/usr/lib/rabbitmq/bin/rabbitmq-server";
  const broker = new Broker(t, [script], /Server startup complete/, env);
  await broker.start();
  return { port, broker };
}

/** NATS with JetStream and MQTT. */
export async function startNats(
  t: Test,
): Promise<{ readonly port: number; readonly broker: Broker }> {
  const folder = temporaryFolder(t);
  const [port, own] = [await freePort(), await freePort()];
  const file = join(folder, "nats.conf");
  const configuration = [
    'server_name: "test"',
    `listen: "127.0.0.1:${own}"`,
    `jetstream { store_dir: "${folder}" }`,
    `mqtt { listen: "127.0.0.1:${port}" }`,
    "",
  ];
  writeFileSync(file, configuration.join("\n"));
  const broker = new Broker(t, ["nats-server", "-c", file], /Server is ready/);
  await broker.start();
  return { port, broker };
}
