import { spawnSync } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { request as secureRequest } from "node:https";
import { networkInterfaces } from "node:os";
import { dirname, join } from "node:path";
import { test } from "tap";
import type { Test } from "tap";
import { FIXED_LIMITS } from "../src/limits.ts";
import { Daemon, daemonEnvironment, type Ended } from "./daemon.ts";
import { seededRandom } from "./store/random.ts";
import { RawClient } from "./wire/raw-client.ts";

const PASSWORD = "kettle orbit 41";
const CODE = /[A-Z2-7]{4}-[A-Z2-7]{4}-[A-Z2-7]{4}/;

/** A listener on the network, so that the box is somebody's only once he has claimed it. */
function lanEnvironment(t: Test) {
  return { ...daemonEnvironment(t), SLUICE_HTTP__HOST: "0.0.0.0", SLUICE_LOG__LEVEL: "debug" };
}

type Answer = { readonly status: number; readonly text: string };

/** From `localAddress`, so that a test can be several peers. */
async function post(port: number, body: object, localAddress = "127.0.0.1"): Promise<Answer> {
  return call({ port, method: "POST", path: "/gateway/claim", localAddress }, JSON.stringify(body));
}

async function call(
  target: Readonly<Record<string, string | number | object>>,
  body = "",
): Promise<Answer> {
  const asked = request({ host: "127.0.0.1", agent: false, ...target });
  asked.end(body);
  const [response] = (await once(asked, "response")) as [
    AsyncIterable<Buffer> & { statusCode: number },
  ];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return { status: response.statusCode, text: Buffer.concat(chunks).toString() };
}

async function end(daemon: Daemon): Promise<Ended> {
  daemon.signal("SIGTERM");
  return daemon.ended;
}

function codeIn(stdout: string): string {
  return /^claim code: (\S+)$/m.exec(stdout)?.[1] ?? "";
}

async function isServing(port: number): Promise<boolean> {
  const { status } = await call({ port, path: "/gateway" });
  return status === 401;
}

await test("a box with a listener on the network is unclaimed, and its code is new at each start", async (t) => {
  const env = lanEnvironment(t);
  const codes: string[] = [];
  for (let start = 0; start < 3; start += 1) {
    const daemon = new Daemon(t, [], env);
    const { httpPort, mqttPort } = await daemon.ready;
    t.match(await call({ port: httpPort, path: "/site/things" }), {
      status: 403,
      text: /"type":"\/problems\/unclaimed"/,
    });
    const device = await RawClient.open(t, { mqttPort });
    device.send({
      ...{ cmd: "connect", protocolId: "MQTT", protocolVersion: 4, clean: true, keepalive: 0 },
      ...{ clientId: "c", username: "u", password: Buffer.from("p") },
    });
    t.match(await device.next(), { cmd: "connack", returnCode: 5 });
    const { code, stdout } = await end(daemon);
    t.equal(code, 0);
    t.match(codeIn(stdout), CODE);
    t.ok(stdout.indexOf("claim code: ") < stdout.indexOf("gateway.ready"));
    t.notMatch(stdout, /admin token/);
    codes.push(codeIn(stdout));
  }
  t.equal(new Set(codes).size, 3);
  t.same(
    readFolder(env.SLUICE_STORE__PATH).filter((text) => codes.some((c) => text.includes(c))),
    [],
  );
});

/** The contents of all files below a folder. */
function readFolder(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), "latin1"));
}

await test("who claims it on loopback owns it, over restarts too, and no secret is in the log", async (t) => {
  const env = lanEnvironment(t);
  const daemon = new Daemon(t, [], env);
  const { httpPort } = await daemon.ready;
  const code = await daemon.printed(/^claim code: (\S+)$/m);
  t.match(await post(httpPort, { code: "AAAA-AAAA-AAAA", password: PASSWORD }), { status: 403 });
  t.match(await post(httpPort, { code, password: "password123" }), { status: 400 });
  t.match(await post(httpPort, { code, password: PASSWORD }), { status: 201 });
  t.ok(await isServing(httpPort));
  const first = await end(daemon);
  const log = first.stdout.replaceAll(/^claim (code|at): .*\n/gm, "");
  t.match(log, /"event":"claim.done"/);
  for (const secret of [code, code.replaceAll("-", ""), PASSWORD, "password123", "AAAA-AAAA"]) {
    t.notOk(`${log}${first.stderr}`.includes(secret), "no secret in the log");
  }

  const again = new Daemon(t, [], env);
  const { httpPort: port } = await again.ready;
  t.ok(await isServing(port));
  t.match(await post(port, { code, password: PASSWORD }), { status: 409 });
  t.notMatch((await end(again)).stdout, /claim code/);
});

/** An address of this machine that is not on loopback. */
function lanAddress(): string | undefined {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return all.find(({ internal, family }) => !internal && family === "IPv4")?.address;
}

await test(
  "without TLS nobody claims it from the network, whatever code he has",
  lanAddress() === undefined ? { skip: "the machine has loopback only" } : {},
  async (t) => {
    const daemon = new Daemon(t, [], lanEnvironment(t));
    const { httpPort: port } = await daemon.ready;
    const code = await daemon.printed(/^claim code: (\S+)$/m);
    const host = lanAddress() ?? "";
    const target = { host, port, method: "POST", path: "/gateway/claim", localAddress: host };
    const body = JSON.stringify({ code, password: PASSWORD });
    t.match(await call(target, body), { status: 403, text: /insecure-channel/ });
    t.notOk(await isServing(port));
    t.match(await post(port, { code, password: PASSWORD }), { status: 201 });
  },
);

await test("over TLS it is claimed from the network, at the address and with the CA that the console shows", async (t) => {
  const { SLUICE_STORE__PATH, SLUICE_MQTT__PORT, SLUICE_HTTP__PORT } = daemonEnvironment(t);
  const daemon = new Daemon(t, [], {
    ...{ SLUICE_STORE__PATH, SLUICE_MQTT__PORT, SLUICE_HTTP__PORT },
    ...{ SLUICE_TLS__HOST: "0.0.0.0", SLUICE_TLS__MQTT_PORT: "0", SLUICE_TLS__HTTPS_PORT: "0" },
  });
  const { httpPort } = await daemon.ready;
  const code = await daemon.printed(/^claim code: (\S+)$/m);
  const shown = new URL(await daemon.printed(/^claim at: (https:\S+)$/m));
  t.equal(shown.pathname, "/ui/claim");
  t.equal(shown.hash, `#${code}`);
  const { text: ca } = await call({ port: httpPort, path: "/ca.crt" });
  const fingerprint = await daemon.printed(/^CA SHA-256: (\S+)$/m);
  t.equal(new X509Certificate(ca).fingerprint256, fingerprint);
  const host = lanAddress() ?? "127.0.0.1";
  const asked = secureRequest({
    ...{ host, port: shown.port, method: "POST", path: "/gateway/claim", ca, agent: false },
  });
  asked.end(JSON.stringify({ code, password: PASSWORD }));
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.resume();
  t.equal(response.statusCode, 201);
  t.ok(await isServing(httpPort));
});

await test("brute force is slowed down for its address, and a colleague with the code is not", async (t) => {
  const daemon = new Daemon(t, [], lanEnvironment(t));
  const { httpPort } = await daemon.ready;
  const code = await daemon.printed(/^claim code: (\S+)$/m);
  const random = seededRandom(5);
  const statuses = new Map<number, number>();
  for (let round = 0; round < 20; round += 1) {
    const guesses = Array.from({ length: 20 }, async () => {
      const guess = Buffer.from(random.bytes(12)).toString("hex").slice(0, 12);
      return post(httpPort, { code: guess, password: PASSWORD }, "127.0.0.66");
    });
    for (const { status } of await Promise.all(guesses)) {
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  }
  const tried = statuses.get(403) ?? 0;
  const most = FIXED_LIMITS.claimAttemptsPerMinutePerAddress;
  t.ok(tried >= most && tried <= 2 * most, `${tried} of 400 were compared`);
  t.equal(statuses.get(429), 400 - tried);
  t.match(await post(httpPort, { code, password: PASSWORD }, "127.0.0.66"), { status: 429 });
  t.match(await post(httpPort, { code, password: PASSWORD }, "127.0.0.7"), { status: 201 });
});

await test("killed while it is claimed, it is claimed or not, and never half", async (t) => {
  const random = seededRandom(17);
  const outcomes = new Set<string>();
  for (let round = 0; round < 6; round += 1) {
    const env = lanEnvironment(t);
    const daemon = new Daemon(t, [], env);
    const { httpPort } = await daemon.ready;
    const code = await daemon.printed(/^claim code: (\S+)$/m);
    const answered = post(httpPort, { code, password: PASSWORD }).catch(() => undefined);
    const [roll = 0] = random.bytes(1);
    // Hashing takes some 100 ms: the kill comes before, after, or in between.
    await Promise.race([answered, new Promise((resolve) => setTimeout(resolve, roll))]);
    daemon.signal("SIGKILL");
    const answer = await answered;
    await daemon.ended;

    const again = new Daemon(t, [], env);
    const { httpPort: port } = await again.ready;
    const isClaimed = await isServing(port);
    outcomes.add(`answered ${String(answer?.status)}, claimed ${String(isClaimed)}`);
    t.ok(isClaimed || answer?.status !== 201, "an answered claim is kept");
    if (isClaimed) {
      const auth = `admin:${PASSWORD}`;
      t.match(await call({ port, path: "/gateway/accounts", auth }), {
        status: 200,
        text: /"site"/,
      });
    } else {
      const fresh = await again.printed(/^claim code: (\S+)$/m);
      t.match(await post(port, { code: fresh, password: PASSWORD }), { status: 201 });
    }
    again.signal("SIGKILL");
    await again.ended;
  }
  t.comment([...outcomes].join("; "));
});

await test("SLUICE_CLAIM__PASSWORD claims the box at its start, with nobody there", async (t) => {
  const env = { ...lanEnvironment(t), SLUICE_CLAIM__PASSWORD: PASSWORD };
  for (const start of ["first", "second"]) {
    const daemon = new Daemon(t, [], env);
    const { httpPort: port } = await daemon.ready;
    const auth = `admin:${PASSWORD}`;
    t.equal((await call({ port, path: "/gateway", auth })).status, 200, start);
    const { stdout, stderr } = await end(daemon);
    t.notMatch(stdout + stderr, /claim code|admin token/);
    t.notOk((stdout + stderr).includes(PASSWORD));
  }
  const local = { ...daemonEnvironment(t), SLUICE_CLAIM__PASSWORD: PASSWORD };
  const { stdout } = await readyAndEnded(t, local);
  t.notMatch(stdout, /admin token/, "on loopback, too, it stands for the token");
});

async function readyAndEnded(t: Test, env: NodeJS.ProcessEnv): Promise<Ended> {
  const daemon = new Daemon(t, [], env);
  await daemon.ready;
  return end(daemon);
}

await test("a claim.password that is refused ends the start with 78 and is not shown", async (t) => {
  for (const password of ["short", "password123", "site-2024-2024"]) {
    const env = { ...lanEnvironment(t), SLUICE_CLAIM__PASSWORD: password };
    const { code, stdout, stderr } = await new Daemon(t, [], env).ended;
    t.equal(code, 78, password);
    t.match(stderr, /claim\.password/);
    t.notOk((stdout + stderr).includes(password));
  }
});

await test("a factory-drop file claims the box once, and its password is not left on the disk", async (t) => {
  const env = lanEnvironment(t);
  const file = join(dirname(env.SLUICE_STORE__PATH), "claim.json");
  const drop = { password: PASSWORD, user: "factory", account: "line-4" };
  writeFileSync(file, JSON.stringify(drop));
  const withFile = { ...env, SLUICE_CLAIM__FILE: file };
  const daemon = new Daemon(t, [], withFile);
  const { httpPort: port } = await daemon.ready;
  const auth = `factory:${PASSWORD}`;
  t.match(await call({ port, path: "/gateway/accounts", auth }), { status: 200, text: /"line-4"/ });
  t.notOk(existsSync(file));
  t.match(JSON.parse(readFileSync(`${file}.done`, "utf8")), {
    ...{ claimed: true, user: "factory", account: "line-4" },
  });
  const { stdout, stderr } = await end(daemon);
  const left = [stdout, stderr, ...readFolder(dirname(file))];
  t.same(
    left.filter((text) => text.includes(PASSWORD)),
    [],
  );

  writeFileSync(file, JSON.stringify({ ...drop, password: "another orbit 99" }));
  const again = new Daemon(t, [], withFile);
  const second = await again.ready;
  t.equal((await call({ port: second.httpPort, path: "/gateway", auth })).status, 200);
  t.notOk(existsSync(file), "on a claimed box it is moved aside unread");
  t.match(JSON.parse(readFileSync(`${file}.done`, "utf8")), { claimed: false });
});

await test("a drop file that is no claim is told of, without what stands in it, and the box waits for a person", async (t) => {
  const env = lanEnvironment(t);
  const file = join(dirname(env.SLUICE_STORE__PATH), "claim.json");
  const secret = "orbit-99-kettle";
  for (const [text, reason] of [
    [`{"password": "${secret}"`, /is not JSON/],
    [`"${secret}"`, /is not a JSON object/],
    [`{"passwort": "${secret}"}`, /another member/],
    [`{"password": ["${secret}"]}`, /no string/],
    [`{"user": "${secret}"}`, /has no password/],
    [`{"password": "${secret}", "user": "a b"}`, /user|name/],
    [`{"password": "password123"}`, /commonest/],
    [`{"password": "${secret}", "user": "${"x".repeat(5_000)}"}`, /more than 4096 bytes/],
  ] as const) {
    writeFileSync(file, text);
    const { code, stdout, stderr } = await readyAndEnded(t, { ...env, SLUICE_CLAIM__FILE: file });
    t.equal(code, 0);
    t.match(codeIn(stdout), CODE);
    const told = stdout.split("\n").find((line) => line.includes("claim.file_refused")) ?? "{}";
    t.match(JSON.parse(told), { level: "error", path: file, reason }, text.slice(0, 40));
    t.notOk((stdout + stderr).includes(secret));
    t.equal(readFileSync(file, "utf8"), text, "it stays, for whoever mends it");
  }
  const target = `${file}.elsewhere`;
  writeFileSync(target, `{"password": "${secret}"}`);
  for (const make of [() => symlinkSync(target, file), () => spawnSync("mkfifo", [file])]) {
    rmSync(file);
    make();
    const { stdout } = await readyAndEnded(t, { ...env, SLUICE_CLAIM__FILE: file });
    t.match(stdout, /is a link, no file/, "its password could not be deleted, or never comes");
    t.match(codeIn(stdout), CODE);
  }
  rmSync(file);
  writeFileSync(file, `{"password": "${secret}"}`);
  chmodSync(file, 0o000);
  if (process.getuid?.() === 0) return;
  const { stdout } = await readyAndEnded(t, { ...env, SLUICE_CLAIM__FILE: file });
  t.match(stdout, /cannot be read \(EACCES\)/);
});

await test("as a service it writes the code to its runtime directory, and the journal has only the path", async (t) => {
  const env = lanEnvironment(t);
  const runtime = join(dirname(env.SLUICE_STORE__PATH), "run");
  mkdirSync(runtime);
  const service = { ...env, RUNTIME_DIRECTORY: runtime, INVOCATION_ID: "0123456789abcdef" };
  const daemon = new Daemon(t, [], service);
  const { httpPort } = await daemon.ready;
  const file = join(runtime, "claim");
  t.equal(statSync(file).mode & 0o777, 0o640);
  const code = codeIn(readFileSync(file, "utf8"));
  t.match(code, CODE);
  t.match(await post(httpPort, { code, password: PASSWORD }), { status: 201 });
  t.notOk(existsSync(file), "it is gone once it is of no use");
  const { stdout, stderr } = await end(daemon);
  t.notOk((stdout + stderr).includes(code));
  t.match(stdout, JSON.stringify(file));
});
