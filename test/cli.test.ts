import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, statSync } from "node:fs";
import { request, type IncomingMessage } from "node:http";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "tap";
import type { Test } from "tap";
import { CLI_EXIT } from "../src/cli/exit.ts";
import { Daemon, daemonEnvironment } from "./daemon.ts";
import { tableRows } from "./documents.ts";

const CLI = fileURLToPath(new URL("../src/cli/main.js", import.meta.url));
const PASSWORD = "kettle orbit 41";
const CODE = /^[A-Z2-7]{4}-[A-Z2-7]{4}-[A-Z2-7]{4}$/;

type Run = { readonly code: number | null; readonly stdout: string; readonly stderr: string };

async function sluice(env: NodeJS.ProcessEnv, ...args: readonly string[]): Promise<Run> {
  return sluiceReading(env, "", ...args);
}

/** With this on its standard input. */
async function sluiceReading(
  env: NodeJS.ProcessEnv,
  input: string,
  ...args: readonly string[]
): Promise<Run> {
  const child = spawn(process.execPath, [CLI, ...args], { env });
  child.stdin.end(input);
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

function unclaimed(t: Test): NodeJS.ProcessEnv & { readonly SLUICE_STORE__PATH: string } {
  return { ...daemonEnvironment(t), SLUICE_HTTP__HOST: "0.0.0.0" };
}

function socketOf(env: { readonly SLUICE_STORE__PATH: string }): string {
  return join(env.SLUICE_STORE__PATH, "admin.sock");
}

async function post(socketPath: string, path: string, body: object): Promise<number> {
  const asked = request({ socketPath, path, method: "POST" });
  asked.end(JSON.stringify(body));
  const [response] = (await once(asked, "response")) as [IncomingMessage];
  response.resume();
  return response.statusCode ?? 0;
}

async function end(daemon: Daemon): Promise<string> {
  daemon.signal("SIGTERM");
  return (await daemon.ended).stdout;
}

await test("claim shows the code that the console shows, as text, JSON and QR code; reset makes another", async (t) => {
  const env = unclaimed(t);
  const daemon = new Daemon(t, [], env);
  const { httpPort } = await daemon.ready;
  const code = await daemon.printed(/^claim code: (\S+)$/m);
  const url = `http://127.0.0.1:${httpPort}/ui/claim`;
  for (const args of [["claim"], ["claim", "--show"]]) {
    const shown = await sluice(env, ...args);
    t.match(shown, { code: 0, stderr: "", stdout: `claim code: ${code}\nclaim at:   ${url}\n` });
  }
  const json = await sluice(env, "claim", "--json");
  t.same(JSON.parse(json.stdout), { claimed: false, code, urls: [url], ca_sha256: null });
  const qr = await sluice(env, "claim", "--qr");
  t.match(qr.stdout, /^claim code: .*\n\n(?:[█▀▄ ]+\n){15,}\nclaim at:/);

  const reset = await sluice(env, "claim", "--reset", "--json");
  const { code: renewed } = JSON.parse(reset.stdout) as { code: string };
  t.match(renewed, CODE);
  t.not(renewed, code);
  const claim = { password: PASSWORD };
  t.equal(await post(socketOf(env), "/gateway/claim", { ...claim, code }), 403, "the old one");
  t.equal(await post(socketOf(env), "/gateway/claim", { ...claim, code: renewed }), 201);
  t.match(await end(daemon), `claim code: ${renewed}\n`, "the console has the new one, too");
});

await test("a claimed box shows no code, and reset changes nothing", async (t) => {
  const env = { ...unclaimed(t), SLUICE_CLAIM__PASSWORD: PASSWORD };
  const daemon = new Daemon(t, [], env);
  await daemon.ready;
  for (const args of [["claim"], ["claim", "--qr"], ["claim", "--reset"]]) {
    const run = await sluice(env, ...args);
    t.match(run, { code: 1, stdout: "", stderr: /^sluice: the gateway has been claimed/ });
  }
  const state = JSON.parse((await sluice(env, "claim", "--json")).stdout) as unknown;
  t.same(state, { claimed: true, code: null, urls: [], ca_sha256: null });
});

await test("status says how the gateway is, claimed or not", async (t) => {
  const env = unclaimed(t);
  const daemon = new Daemon(t, [], env);
  await daemon.ready;
  t.match(await sluice(env, "status"), { code: 0, stdout: /^unclaimed: .*sluice claim --show/ });
  t.same(JSON.parse((await sluice(env, "status", "--json")).stdout), { claimed: false });
  const code = await daemon.printed(/^claim code: (\S+)$/m);
  t.equal(await post(socketOf(env), "/gateway/claim", { code, password: PASSWORD }), 201);
  const text = await sluice(env, "status");
  t.equal(text.code, 0);
  t.match(text.stdout, /^sluice \d\S*, up \d+ s\nstore: ok, 0 Things, \d+ changes\nbroker: 0 /);
  t.match(text.stdout, /^not encrypted, and open to the network: http on 0\.0\.0\.0:\d+$/m);
  const json = JSON.parse((await sluice(env, "status", "--json")).stdout) as object;
  t.match(json, { name: "sluice", store: { state: "ok" } });
});

await test("a wrong command line ends with 64, and help with 0", async (t) => {
  for (const args of [
    ["clam"],
    ["claim", "--sho"],
    ["claim", "--show", "--qr"],
    ["claim", "now"],
    ["status", "now"],
    ["status", "--socket"],
  ]) {
    const run = await sluice({}, ...args);
    t.match(
      run,
      { code: 64, stdout: "", stderr: /^sluice: .+\nSee: sluice --help\n$/ },
      args.join(" "),
    );
  }
  for (const args of [[], ["--help"], ["help"], ["claim", "--help"], ["status", "--help"]]) {
    t.match(await sluice({}, ...args), { code: 0, stderr: "", stdout: /^Usage:/ }, args.join(" "));
  }
  t.match(await sluice({}, "--version"), { code: 0, stdout: /^sluice \d/ });
});

await test("where no gateway answers it ends with 69 and says on which socket", async (t) => {
  const env = daemonEnvironment(t);
  const path = `${env.SLUICE_STORE__PATH}.sock`;
  const none = await sluice(env, "status", "--socket", path);
  t.match(none, { code: 69, stdout: "", stderr: new RegExp(`^sluice: ${path}: is the gateway`) });
  const mute = createServer((socket) => socket.end("SSH-2.0\r\n")).listen(path);
  await once(mute, "listening");
  t.equal((await sluice(env, "status", "--socket", path)).code, 69);
  mute.close();
  const daemon = new Daemon(t, [], env);
  await daemon.ready;
  t.equal((await sluice(env, "status")).code, 0);
  daemon.signal("SIGKILL");
  await daemon.ended;
  t.ok(existsSync(socketOf(env)), "killed, it leaves its socket behind");
  t.match(await sluice(env, "status"), { code: 69, stderr: /the gateway does not run/ });
});

await test("the socket is its user's, a killed gateway's is replaced, and a stop removes it", async (t) => {
  const env = daemonEnvironment(t);
  const socket = socketOf(env);
  const daemon = new Daemon(t, [], env);
  await daemon.ready;
  t.equal(statSync(socket).mode & 0o777, 0o600);
  daemon.signal("SIGKILL");
  await daemon.ended;
  const again = new Daemon(t, [], env);
  await again.ready;
  t.equal((await sluice(env, "status")).code, 0);
  const thief = new Daemon(t, [], { ...daemonEnvironment(t), SLUICE_ADMIN__SOCKET: socket });
  t.match(
    await thief.ended,
    { code: 75, stderr: /EADDRINUSE/ },
    "one that is answered is not taken",
  );
  t.equal((await sluice(env, "status")).code, 0);
  await end(again);
  t.notOk(existsSync(socket));
});

await test("admin.socket says where it is; a path that is too long costs only the command line", async (t) => {
  const env = daemonEnvironment(t);
  const folder = dirname(env.SLUICE_STORE__PATH);
  const elsewhere = { ...env, SLUICE_ADMIN__SOCKET: join(folder, "elsewhere.sock") };
  const daemon = new Daemon(t, [], elsewhere);
  await daemon.ready;
  t.equal((await sluice(elsewhere, "status")).code, 0);
  await end(daemon);
  const long = new Daemon(t, [], { ...env, SLUICE_ADMIN__SOCKET: join(folder, "x".repeat(100)) });
  await long.ready;
  t.match(await end(long), /"event":"admin.no_socket"/);
});

await test("docs/cli.md has a row for each exit code, and no other", (t) => {
  const rows = tableRows("docs/cli.md", ["code", "meaning"]).map(([code]) => Number(code));
  t.same(rows, Object.values(CLI_EXIT));
  t.end();
});

await test("people are made, listed, given another password and removed at the box", async (t) => {
  const env = { ...unclaimed(t), SLUICE_CLAIM__PASSWORD: PASSWORD };
  const daemon = new Daemon(t, [], env);
  const { httpPort } = await daemon.ready;
  const canLogIn = async (name: string, password: string): Promise<boolean> => {
    const basic = Buffer.from(`${name}:${password}`).toString("base64");
    const headers = { authorization: `Basic ${basic}` };
    return (await fetch(`http://127.0.0.1:${httpPort}/gateway`, { headers })).ok;
  };
  const lost = await sluiceReading(env, "a new one at last\n", "user", "password", "admin");
  t.match(lost, { code: 0, stderr: "" });
  t.notOk(await canLogIn("admin", PASSWORD));
  t.ok(await canLogIn("admin", "a new one at last"));
  const added = await sluiceReading(env, `${PASSWORD}\n`, "user", "add", "anna", "--viewer");
  t.match(added, { code: 0, stdout: "anna may log in as viewer\n" });
  t.ok(await canLogIn("anna", PASSWORD));
  const again = await sluiceReading(env, "other words 77\n", "user", "add", "anna", "--admin");
  t.equal(again.code, 1, "whoever is there stays as he is");
  t.match((await sluice(env, "user")).stdout, "admin     admin\nviewer    anna\n");
  const weak = await sluiceReading(env, "short\n", "user", "add", "bert", "--viewer");
  t.match(weak, { code: 1, stderr: /at least 10 characters/ });
  t.equal((await sluice(env, "user", "remove", "anna")).code, 0);
  t.notOk(await canLogIn("anna", PASSWORD));
  t.equal((await sluice(env, "user", "remove", "admin")).code, 1, "the last admin stays");
  for (const args of [["add", "x"], ["add", "x", "--admin", "--viewer"], ["remove"], ["what"]]) {
    t.equal((await sluice(env, "user", ...args)).code, CLI_EXIT.usage, args.join(" "));
  }
  t.notMatch(await end(daemon), /a new one at last/, "no password is in the log");
});
