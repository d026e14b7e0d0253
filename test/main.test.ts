import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, fstatSync, openSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "tap";
import { Daemon, MAIN, daemonEnvironment } from "./daemon.ts";
import { needs } from "./systemd/programs.ts";
import { receiveAt } from "./systemd/receiver.ts";

const TOKEN = "slu_0123456789abcdefghij";

function runOnce(...args: readonly string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8", env: {} });
}

await test("help and version are answered, and end with 0", (t) => {
  const help = runOnce("--help");
  t.match(help, { status: 0, stderr: "", stdout: /^Usage: node build\/src\/main\.js/ });
  const { version } = JSON.parse(readFileSync("package.json", "utf8")) as { version: string };
  t.match(runOnce("--version"), { status: 0, stderr: "", stdout: `sluice ${version}\n` });
  t.end();
});

await test("a wrong command line ends with 64 and shows the right one", (t) => {
  for (const args of [["--prot", "1"], ["start"], ["--config"], ["--check-config=yes"]]) {
    const run = runOnce(...args);
    t.match(run, { status: 64, stdout: "", stderr: /^sluice: .*\n[^]*Usage:/ }, args.join(" "));
  }
  t.end();
});

await test("a configuration is checked without a start", (t) => {
  const env = daemonEnvironment(t);
  const good = runOnce("--check-config", "--config", "config/sluice.toml");
  t.match(good, { status: 0, stderr: "", stdout: "sluice: the configuration is valid\n" });
  const file = `${env.SLUICE_STORE__PATH}.toml`;
  writeFileSync(file, `[mqtt]\nport = "a"\nprot = 1\n[bootstrap]\nadmin_token = "slu_secret"\n`);
  for (const args of [["--check-config"], []]) {
    const bad = runOnce("--config", file, ...args);
    t.match(bad, { status: 78, stdout: "" });
    t.match(bad.stderr, /^sluice: mqtt\.port: expected an integer/m);
    t.match(bad.stderr, /^sluice: mqtt\.prot: expected one of/m);
    t.match(bad.stderr, /^sluice: bootstrap\.admin_token: expected slu_/m);
    t.notMatch(bad.stderr, /slu_secret/);
  }
  t.end();
});

await test("a first start prints the admin token once, then is ready, and SIGTERM ends it with 0", async (t) => {
  const env = daemonEnvironment(t);
  const daemon = new Daemon(t, [], env);
  const { mqttPort, httpPort } = await daemon.ready;
  t.ok(mqttPort > 0 && httpPort > 0 && mqttPort !== httpPort);
  daemon.signal("SIGTERM");
  daemon.signal("SIGINT");
  daemon.signal("SIGTERM");
  const { code, stdout } = await daemon.ended;
  t.equal(code, 0, "further signals do not break the ordered stop");
  const lines = stdout.trimEnd().split("\n");
  const token = lines.findIndex((line) => /^admin token: slu_[A-Za-z0-9_-]{20,}$/.test(line));
  const ready = lines.findIndex((line) => line.includes("gateway.ready"));
  t.ok(token >= 0 && token < ready, "the token stands before the ready record");
  t.equal(stdout.match(/slu_/g)?.length, 1, "and nowhere else");
  for (const line of lines.filter((_, index) => index !== token)) {
    t.match(JSON.parse(line), { event: String, level: String, time: String });
  }

  const again = new Daemon(t, [], env);
  await again.ready;
  again.signal("SIGINT");
  const second = await again.ended;
  t.equal(second.code, 0);
  t.notMatch(second.stdout, /slu_/, "the second start makes none");
});

await test("a token that was given is not shown", async (t) => {
  const env = { ...daemonEnvironment(t), SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN };
  const daemon = new Daemon(t, [], env);
  await daemon.ready;
  daemon.signal("SIGTERM");
  const { code, stdout, stderr } = await daemon.ended;
  t.equal(code, 0);
  t.notMatch(stdout + stderr, /slu_/);
});

await test("the ready record is written whatever log.level is, and nothing else below it", async (t) => {
  const env = { ...daemonEnvironment(t), SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN };
  const daemon = new Daemon(t, [], { ...env, SLUICE_LOG__LEVEL: "error" });
  await daemon.ready;
  daemon.signal("SIGTERM");
  const { code, stdout } = await daemon.ended;
  t.equal(code, 0);
  t.equal(stdout.trimEnd().split("\n").length, 1);
});

await test("a port in use ends the start with 75", async (t) => {
  const other = createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.teardown(() => other.close());
  const port = String((other.address() as AddressInfo).port);
  for (const variable of ["SLUICE_MQTT__PORT", "SLUICE_HTTP__PORT"]) {
    const daemon = new Daemon(t, [], { ...daemonEnvironment(t), [variable]: port });
    const { code, stdout, stderr } = await daemon.ended;
    t.equal(code, 75, variable);
    t.match(stdout, /"event":"gateway\.start_failed"/);
    t.match(stderr, /^sluice: .*EADDRINUSE/m);
  }
});

await test("a store that another process holds ends the start with 75", async (t) => {
  const env = daemonEnvironment(t);
  const first = new Daemon(t, [], env);
  await first.ready;
  const second = new Daemon(t, [], env);
  t.equal((await second.ended).code, 75);
  first.signal("SIGTERM");
  t.equal((await first.ended).code, 0, "the first is not disturbed");
});

await test("a store that cannot be made ends the start with 74", async (t) => {
  const env = daemonEnvironment(t);
  writeFileSync(env.SLUICE_STORE__PATH, "a file where the directory should be");
  t.equal((await new Daemon(t, [], env).ended).code, 74);
});

await test("a listener on the network makes no admin token: the box is claimed, or has been given one", async (t) => {
  for (const variable of ["SLUICE_MQTT__HOST", "SLUICE_HTTP__HOST"]) {
    const env = { ...daemonEnvironment(t), [variable]: "0.0.0.0" };
    const daemon = new Daemon(t, [], env);
    t.match(await daemon.printed(/^(claim code: .*)$/m), /claim code/, variable);
    daemon.signal("SIGTERM");
    const { code, stdout } = await daemon.ended;
    t.equal(code, 0);
    t.notMatch(stdout, /slu_/);
    const given = new Daemon(t, [], { ...env, SLUICE_BOOTSTRAP__ADMIN_TOKEN: TOKEN });
    const { httpPort } = await given.ready;
    const headers = { authorization: `Bearer ${TOKEN}` };
    const { status } = await fetch(`http://127.0.0.1:${httpPort}/gateway`, { headers });
    t.equal(status, 200);
    given.signal("SIGTERM");
    t.notMatch((await given.ended).stdout, /claim code/);
  }
});

await test(
  "a service tells systemd, and keeps the admin token out of the journal",
  needs("systemd-notify", "python3"),
  async (t) => {
    const env = daemonEnvironment(t);
    const socket = `@sluice-main-${String(process.pid)}`;
    const receiver = await receiveAt(t, socket);
    const daemon = new Daemon(t, [], {
      ...env,
      NOTIFY_SOCKET: socket,
      WATCHDOG_USEC: "1000000",
      SYSTEMD_EXEC_PID: "",
    });
    await receiver.until("READY=1");
    const file = join(env.SLUICE_STORE__PATH, "admin-token");
    t.equal(statSync(file).mode & 0o777, 0o600);
    t.match(readFileSync(file, "utf8"), /^slu_[A-Za-z0-9_-]{20,}\n$/);
    await receiver.until("WATCHDOG=1");
    daemon.signal("SIGTERM");
    await receiver.until("STOPPING=1");
    const { code, stdout, stderr } = await daemon.ended;
    t.equal(code, 0);
    t.notMatch(stdout + stderr, /slu_/);
    t.match(stdout, JSON.stringify(file), "its path is said");
  },
);

await test("in the journal each line has its priority", (t) => {
  const env = daemonEnvironment(t);
  const file = `${env.SLUICE_STORE__PATH}.log`;
  const fd = openSync(file, "w");
  const { dev, ino } = fstatSync(fd);
  const run = spawnSync(process.execPath, [MAIN], {
    stdio: ["ignore", fd, "ignore"],
    env: {
      ...{ ...env, SLUICE_HTTP__HOST: "0.0.0.0", SLUICE_CLAIM__PASSWORD: "site-2024-2024" },
      JOURNAL_STREAM: `${String(dev)}:${String(ino)}`,
    },
  });
  closeSync(fd);
  t.equal(run.status, 78);
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  t.ok(lines.every((line) => /^<[3-7]>\{.*\}$/.test(line)));
  t.ok(lines.some((line) => line.startsWith("<3>") && line.includes("gateway.start_failed")));
  t.end();
});
