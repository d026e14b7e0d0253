import { generateKeyPairSync, sign } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "tap";
import { Daemon, daemonEnvironment } from "../daemon.ts";
import { needs } from "../systemd/programs.ts";
import { receiveAt } from "../systemd/receiver.ts";

/** Secrets of people, and what is typed where one belongs. */
const CANARY = {
  wrongCode: "CANARYCANARY",
  claimPassword: "canary claims the box",
  refusedClaimPassword: "canary2canary\u0007",
  wrongPassword: "canary wrong password",
  otherPassword: "canary other password",
  refusedPassword: "canary",
  p12Password: "canary keeps a key 73",
  strangeCookie: "slu_canaryCanaryCanaryCanaryCanary12",
  strangePoll: "slu_canaryPollCanaryPollCanaryPoll12",
  strangeSignature: "Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5",
} as const;

type Sent = { readonly status: number; readonly text: string; readonly cookie: string };

await test(
  "what a box keeps to itself from its first start on is in no log, status, answer or file",
  needs("systemd-notify", "python3"),
  async (t) => {
    const env = daemonEnvironment(t);
    const root = dirname(env.SLUICE_STORE__PATH);
    const runtime = join(root, "run");
    mkdirSync(runtime);
    const receiver = await receiveAt(t, join(root, "notify"));
    const told: string[] = [];
    const listening = (async (): Promise<void> => {
      for (let last = ""; !last.includes("STOPPING=1"); told.push(last)) {
        last = (await receiver.next()).join("\n");
      }
    })();
    const daemon = new Daemon(t, [], {
      ...{ ...env, SLUICE_LOG__LEVEL: "debug", SLUICE_TLS__HOST: "0.0.0.0" },
      ...{ SLUICE_TLS__MQTT_PORT: "0", SLUICE_TLS__HTTPS_PORT: "0" },
      ...{ RUNTIME_DIRECTORY: runtime, INVOCATION_ID: "0123456789abcdef" },
      ...{ NOTIFY_SOCKET: join(root, "notify"), WATCHDOG_USEC: "400000" },
    });
    const { httpPort } = await daemon.ready;
    const origin = `http://127.0.0.1:${httpPort}`;
    const secrets = new Map<string, string>(Object.entries(CANARY));
    const answers: string[] = [];
    let headers: Readonly<Record<string, string>> = {};
    const send = async (
      method: string,
      path: string,
      json?: unknown,
      more: Readonly<Record<string, string>> = {},
    ): Promise<Sent> => {
      const reply = await fetch(origin + path, {
        method,
        headers: { "content-type": "application/json", ...headers, ...more },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      });
      const text = await reply.text();
      answers.push([method, path.replace(/slu_.*/, ""), ...reply.headers, text].join("\n"));
      const cookie = /slu_[^;]+/.exec(reply.headers.get("set-cookie") ?? "")?.[0] ?? "";
      return { status: reply.status, text, cookie };
    };
    /** As `send`, where the answer is meant to hold a secret: this one and no other. */
    const given = async (name: string, pattern: RegExp, ...request: Parameters<typeof send>) => {
      const { text, cookie } = await send(...request);
      const whole = answers.pop() ?? "";
      const secret = pattern.exec(whole)?.[1] ?? "";
      t.ok(secret.length >= 6, `${name}: ${whole}`);
      secrets.set(name, secret);
      return { text, cookie, secret };
    };

    // Unclaimed.
    const code = /(?:[A-Z2-7]{4}-){2}[A-Z2-7]{4}/.exec(
      readFileSync(join(runtime, "claim"), "utf8"),
    )?.[0];
    secrets.set("claim code", code ?? t.fail("no code").toString());
    secrets.set("claim code, ungrouped", (code ?? "").replaceAll("-", ""));
    const claim = async (said: object) => send("POST", "/gateway/claim", said);
    await claim({ code: CANARY.wrongCode, password: CANARY.claimPassword });
    await claim({ code, password: CANARY.refusedClaimPassword });
    await claim({ code, password: CANARY.claimPassword, secret: CANARY.otherPassword });
    await send("GET", "/ui/claim");
    t.equal((await claim({ code, password: CANARY.claimPassword })).status, 201);
    await claim({ code, password: CANARY.claimPassword });

    // People.
    const user = "admin";
    await send("POST", "/gateway/sessions", { user, password: CANARY.wrongPassword });
    await send("GET", "/gateway", undefined, { cookie: `__Host-sluice=${CANARY.strangeCookie}` });
    const right = { user, password: CANARY.claimPassword };
    const session = await given(
      "session cookie",
      /(slu_[^;]+)/,
      "POST",
      "/gateway/sessions",
      right,
    );
    headers = { cookie: `__Host-sluice=${session.cookie}`, origin };
    t.equal((await send("GET", "/gateway")).status, 200, "the cookie lets in");
    await send("PUT", "/gateway/users/anna", { role: "viewer", password: CANARY.otherPassword });
    await send("PUT", "/gateway/users/bert", { role: "viewer", password: CANARY.refusedPassword });
    const change = { password: CANARY.otherPassword, current: CANARY.wrongPassword };
    await send("PUT", "/gateway/users/admin/password", change);

    // Devices.
    await send("PUT", "/gateway/joining", { seconds: 600, account: "site" });
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const public_key = publicKey.export({ type: "spki", format: "pem" });
    const wish = { name: "pump", thing: { id: "pump" }, public_key };
    const asked = await given("poll token", /"poll":"([^"]+)/, "POST", "/join", wish);
    const { id = "" } = JSON.parse(asked.text) as { id?: string };
    const by = (token: string) => ({ authorization: `Bearer ${token}` });
    await send("GET", `/join/${id}`, undefined, by(CANARY.strangePoll));
    const approve = `/gateway/joining/requests/${id}/approve`;
    t.match(await send("POST", approve, {}), { status: 200 });
    const [path, ofDevice] = [`/join/${id}`, by(asked.secret)];
    await given("device password", /"password":"([^"]+)/, "GET", path, undefined, ofDevice);
    await send("GET", path, undefined, ofDevice);
    const prove = async (name: string, signed: (challenge: string) => string) => {
      const known = await given(name, /"challenge":"([^"]+)/, "POST", "/join", wish);
      const { id: of = "" } = JSON.parse(known.text) as { id?: string };
      const signature = signed(known.secret);
      secrets.set(`${name}: proof`, signature);
      return { path: `/join/${of}/proof`, json: { signature } };
    };
    const bad = await prove("challenge", () => CANARY.strangeSignature);
    t.equal((await send("POST", bad.path, bad.json)).status, 401);
    const good = await prove("other challenge", (text) =>
      sign("sha256", Buffer.from(text), privateKey).toString("base64"),
    );
    await given("new password", /"password":"([^"]+)/, "POST", good.path, good.json);
    const { text: list } = await send("GET", "/site/mqtt");
    const ulid = /"ulid":"([0-9A-Z]{26})"/.exec(list)?.[1] ?? "";
    const certificates = `/site/mqtt/${ulid}/certificates`;
    await send("POST", certificates, { p12_password: CANARY.p12Password, csr: "both" });
    await given("PKCS #12", /"p12":"([^"]{100})/, "POST", certificates, {
      p12_password: CANARY.p12Password,
    });

    // What the gateway shows of all that.
    const shown = new Map<string, string>();
    for (const at of [
      ...["", "/audit?limit=1000", "/refusals?limit=1000", "/users", "/users/admin", "/sessions"],
      ...["/accounts", "/tokens", "/joining", "/joining/requests", "/uplinks", "/claim"],
    ]) {
      shown.set(at, (await send("GET", `/gateway${at}`)).text);
    }
    for (const at of [
      certificates,
      "/site/mqtt",
      "/site/things",
      "/healthz",
      "/readyz",
      "/ca.crt",
    ]) {
      t.equal((await send("GET", at)).status, 200, at);
    }
    t.match(
      shown.get("/audit?limit=1000"),
      /joining\.prove[^]*certificate\.issue|certificate\.issue/,
    );
    t.match(shown.get("/refusals?limit=1000"), /wrong-password/);
    daemon.signal("SIGTERM");
    const { stdout, stderr } = await daemon.ended;
    await listening;
    t.match(stdout, /http\.request/, "everything was logged");
    t.match(told.join("\n"), /READY=1[^]*STATUS=[^]*STOPPING=1/, "systemd was told");

    const files = filesBelow(root).map((file) => [file, readFileSync(file, "latin1")] as const);
    const keys = files.flatMap(([file, text]) =>
      [...text.matchAll(/BEGIN [A-Z ]*PRIVATE KEY-----\n.+\n(.+)\n/g)].map(([, line = ""]) => [
        file,
        line,
      ]),
    );
    t.equal(keys.length, 2, "the CA's key and the server's are there, each once");
    for (const [file = "", line = ""] of keys) secrets.set(`key of ${file}`, line);
    for (const [name, secret] of secrets) {
      t.same(
        answers.filter((text) => text.includes(secret)).map((text) => text.slice(0, 200)),
        [],
        `${name} is in no answer`,
      );
      t.notOk(stdout.includes(secret), `${name} is not in the log`);
      t.notOk(stderr.includes(secret), `${name} is not on standard error`);
      t.notOk(
        told.some((message) => message.includes(secret)),
        `${name} is not told to systemd`,
      );
      const found = files.filter(
        ([file, text]) => text.includes(secret) && name !== `key of ${file}`,
      );
      t.same(
        found.map(([file]) => file),
        [],
        `${name} is in no file`,
      );
    }
  },
);

function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
