import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connect as dial, type ConnectionOptions, type TLSSocket } from "node:tls";
import mqtt from "mqtt";
import { test, type Test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { systemRandom } from "../../src/clock.ts";
import { CredentialDeadlines } from "../../src/interactions/credential-deadlines.ts";
import { enrol, revokeCertificate } from "../../src/interactions/certificates.ts";
import { changeCredential, deleteCredential } from "../../src/interactions/credentials.ts";
import type { InteractionDeps } from "../../src/interactions/deps.ts";
import { deleteThing } from "../../src/interactions/provisioning.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { openMqtt, type MqttBroker } from "../../src/mqtt/broker.ts";
import type { Credential } from "../../src/store/credentials.ts";
import { connack, connect } from "../conformance/wire.ts";
import { folderOf, openIdentity } from "../tls/kit.ts";
import { KEYS, makeRequest, openssl } from "../tls/openssl.ts";
import {
  ADMIN,
  flushed,
  grantOn,
  makeBoiler,
  makeCredential,
  openEdge,
  PASSWORD,
  type Edge,
} from "./edge.ts";

type Site = {
  readonly edge: Edge;
  readonly deps: InteractionDeps;
  readonly broker: MqttBroker;
  readonly port: number;
  readonly folder: string;
  readonly credential: Credential;
  readonly on: {
    readonly principal: typeof ADMIN;
    readonly account: string;
    readonly ulid: string;
  };
  /** Makes `<name>.key` and `<name>.pem`; the serial. */
  readonly issue: (name: string, kind?: keyof typeof KEYS) => string;
  /** Options for Node's TLS and for MQTT.js. */
  readonly show: (name: string) => { readonly key: Buffer; readonly cert: Buffer };
};

/** The broker on a TLS port, and the credential `boiler-1` for one Thing. */
async function openSite(t: Test): Promise<Site> {
  const edge = await openEdge(t);
  const folder = folderOf(t);
  const { clock } = edge.opened;
  const identity = await openIdentity(join(folder, "pki"), clock);
  const { authority } = identity;
  writeFileSync(join(folder, "ca.pem"), authority.pem);
  const late: { broker?: MqttBroker } = {};
  const deps: InteractionDeps = {
    ...edge.deps,
    random: systemRandom,
    authority,
    credentialChanged: (ulid, change) => late.broker?.credentialChanged(ulid, change),
  };
  const broker = await openMqtt(deps, {
    refusedFilters: [],
    loginFailures: new AddressRate(0, clock),
    refusals: edge.refusalLog,
    isClaimed: () => true,
    deliverability: () => "deliver",
    onFatal: (error) => t.fail(String(error)),
  });
  late.broker = broker;
  await broker.start();
  const tls = { identity, onRefused: () => undefined };
  const ports = await broker.listen([{ kind: "tls", host: "127.0.0.1", port: 0, tls }]);
  t.teardown(async () => broker.stop());
  const boiler = makeBoiler(edge);
  const credential = makeCredential(edge, "boiler-1", [grantOn([boiler])]);
  await flushed(edge);
  const issue = (name: string, kind: keyof typeof KEYS = "p256"): string => {
    const now = deps.store.credentials.get(credential.ulid) ?? credential;
    const { certificate, row } = enrol(deps, now, makeRequest(folder, name, { key: KEYS[kind] }));
    writeFileSync(join(folder, `${name}.pem`), certificate.toString());
    return row.serial;
  };
  const show = (name: string) => ({
    key: readFileSync(join(folder, `${name}.key`)),
    cert: readFileSync(join(folder, `${name}.pem`)),
  });
  const on = { principal: ADMIN, account: "A", ulid: credential.ulid };
  return { edge, deps, broker, port: ports.tls ?? 0, folder, credential, on, issue, show };
}

type Reply = { readonly socket: TLSSocket; readonly code: number; readonly isResumed: boolean };

/** What CONNECT is answered with, and the connection. */
async function connackOf(
  t: Test,
  { port }: Site,
  options: ConnectionOptions,
  fields: Partial<Parameters<typeof connect>[0]> = {},
): Promise<Reply> {
  const socket = dial({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  t.teardown(() => socket.destroy());
  socket.on("error", () => undefined);
  await once(socket, "secureConnect");
  socket.write(connect({ id: "c", ...fields }));
  const [bytes] = (await once(socket, "data")) as [Buffer];
  return { socket, code: bytes[3] ?? -1, isResumed: socket.isSessionReused() };
}

function lastCause({ edge }: Site): string | undefined {
  return edge.refusalLog.list({}, 1)[0]?.cause;
}

async function run(
  folder: string,
  program: string,
  args: readonly string[],
): Promise<{ readonly ok: boolean; readonly output: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { cwd: folder, timeout: 30_000 }, (error, stdout, stderr) => {
      resolve({ ok: error === null, output: stdout + stderr });
    });
  });
}

await test("mosquitto's clients and MQTT.js log in with a certificate alone, of RSA and of P-256", async (t) => {
  const site = await openSite(t);
  const { folder, port, edge } = site;
  const topic = "properties/temperature";
  for (const kind of ["rsa", "p256"] as const) {
    site.issue(kind, kind);
    for (const version of ["tlsv1.2", "tlsv1.3"]) {
      const at = ["-h", "127.0.0.1", "-p", String(port), "--cafile", "ca.pem", "-q", "1"];
      const as = ["--cert", `${kind}.pem`, "--key", `${kind}.key`, "--tls-version", version];
      const value = ["-t", `set/A/things/boiler/${topic}`, "-m", '{"temperature":21}'];
      t.match(await run(folder, "mosquitto_pub", [...at, ...as, ...value]), { ok: true }, version);
      const read = ["-t", `status/A/things/boiler/${topic}`, "-C", "1", "-W", "20"];
      const read1 = await run(folder, "mosquitto_sub", [...at, ...as, ...read]);
      t.match(read1, { ok: true, output: '{"temperature":21}\n' }, `${kind} ${version}`);
    }
    const ca = readFileSync(join(folder, "ca.pem"));
    const client = await mqtt.connectAsync(`mqtts://127.0.0.1:${port}`, { ca, ...site.show(kind) });
    await client.publishAsync(`set/A/things/boiler/${topic}`, '{"temperature":22}', { qos: 1 });
    await client.endAsync();
  }
  const thing = edge.deps.store.things.find("A", "boiler");
  const number = thing?.number ?? 0;
  t.equal(edge.deps.store.properties.get(number, "temperature")?.value, 22);
  const none = await run(folder, "mosquitto_pub", [
    ...["-h", "127.0.0.1", "-p", String(port), "--cafile", "ca.pem"],
    ...["-t", "set/A/things/boiler/properties/temperature", "-m", "1"],
  ]);
  t.match(none, { ok: false }, "the port asks for one, and takes nobody without");
});

await test("user and password beside a certificate have to be right, and of one credential", async (t) => {
  const site = await openSite(t);
  site.issue("mine");
  makeCredential(site.edge, "other", [grantOn("*")]);
  const shown = site.show("mine");
  for (const [fields, code, cause] of [
    [{}, 0, undefined],
    [{ user: "boiler-1" }, 0, undefined],
    [{ user: "boiler-1", password: PASSWORD }, 0, undefined],
    [{ user: "boiler-1", password: "wrong" }, 4, "wrong-password"],
    [{ user: "other" }, 4, "other-user"],
    [{ user: "other", password: PASSWORD }, 4, "other-user"],
  ] as const) {
    const reply = await connackOf(t, site, shown, fields);
    t.equal(reply.code, code, JSON.stringify(fields));
    if (cause !== undefined) t.equal(lastCause(site), cause);
  }
});

await test("a certificate of another CA is as none", async (t) => {
  const site = await openSite(t);
  const { folder } = site;
  openssl(folder, "genpkey", ...KEYS.p256, "-out", "foreign.key");
  const self = ["req", "-new", "-x509", "-key", "foreign.key", "-subj", "/CN=x"];
  writeFileSync(join(folder, "foreign.pem"), openssl(folder, ...self));
  const foreign = site.show("foreign");
  t.equal((await connackOf(t, site, foreign)).code, 5);
  t.equal(lastCause(site), "unknown-certificate");
  const login = { user: "boiler-1", password: PASSWORD };
  t.equal((await connackOf(t, site, foreign, login)).code, 0, "a password is a password");
});

await test("what is revoked ends its connections at once and leaves the session", async (t) => {
  const site = await openSite(t);
  const { deps, edge, on } = site;
  const [serial] = [site.issue("first"), site.issue("second")];
  const persistent = { id: "keeps", clean: false };
  const first = await connackOf(t, site, site.show("first"), persistent);
  const second = await connackOf(t, site, site.show("second"), { id: "other" });
  const third = await connackOf(t, site, {}, { id: "p", user: "boiler-1", password: PASSWORD });
  t.same([first.code, second.code, third.code], [0, 0, 0]);
  const closed = once(first.socket, "close");
  revokeCertificate(deps, { ...on, serial, precondition: () => undefined });
  await closed;
  t.equal(site.broker.describe().connections, 2, "and no other");
  t.equal((await connackOf(t, site, site.show("first"), persistent)).code, 5);
  t.equal(lastCause(site), "revoked-certificate");
  const login = { user: "boiler-1", password: PASSWORD };
  const both = await connackOf(t, site, site.show("first"), login);
  t.equal(both.code, 5, "a revoked one is refused, whatever else is said");
  const again = dial({
    host: "127.0.0.1",
    port: site.port,
    rejectUnauthorized: false,
    ...site.show("second"),
  });
  t.teardown(() => again.destroy());
  await once(again, "secureConnect");
  again.write(connect(persistent));
  const [answer] = (await once(again, "data")) as [Buffer];
  t.ok(answer.equals(connack(true)), "the session is there");
  await changeCredential(deps, { ...on, request: { password: "" } });
  await once(third.socket, "close");
  t.equal(
    site.broker.describe().connections,
    2,
    "a new password ends what was made with the old one",
  );
  const gone = once(again, "close");
  deleteCredential(deps, on);
  await gone;
  await flushed(edge);
  t.equal(site.broker.describe().connections, 0);
  t.equal((await connackOf(t, site, site.show("second"))).code, 5, "and none comes back");
  t.equal(lastCause(site), "unknown-certificate");
});

await test("a resumed session of TLS logs in by the certificate of the first, as long as that is good", async (t) => {
  const site = await openSite(t);
  for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
    const serial = site.issue(version);
    const of = { ...site.show(version), minVersion: version, maxVersion: version };
    const sessions: Buffer[] = [];
    const socket = dial({ host: "127.0.0.1", port: site.port, rejectUnauthorized: false, ...of });
    socket.on("session", (session: Buffer) => sessions.push(session));
    const ticket = once(socket, "session");
    await once(socket, "secureConnect");
    socket.write(connect({ id: "c" }));
    await Promise.all([once(socket, "data"), ticket]);
    socket.destroy();
    const session = sessions.at(-1);
    // Without key and certificate: only the ticket says who it was.
    const bare = { minVersion: version, maxVersion: version, ...(session && { session }) };
    const resumed = await connackOf(t, site, bare);
    t.match(resumed, { isResumed: true, code: 0 }, version);
    resumed.socket.destroy();
    const { deps, on } = site;
    revokeCertificate(deps, { ...on, serial, precondition: () => undefined });
    t.match(await connackOf(t, site, bare), { isResumed: true, code: 5 }, `${version}, revoked`);
    t.equal(lastCause(site), "revoked-certificate");
  }
});

await test("a certificate ends by the gateway's time, with its connections", async (t) => {
  const site = await openSite(t);
  const { edge, deps } = site;
  site.issue("aged");
  const deadlines = new CredentialDeadlines(deps);
  const { socket, code } = await connackOf(t, site, site.show("aged"), { keepalive: 0 });
  t.equal(code, 0);
  const closed = once(socket, "close");
  edge.opened.clock.advance(FIXED_LIMITS.certificateLifeS * 1000);
  deadlines.look();
  await closed;
  t.equal((await connackOf(t, site, site.show("aged"))).code, 5);
  t.equal(lastCause(site), "expired-certificate");
});

await test("with its Thing a certificate ends", async (t) => {
  const site = await openSite(t);
  site.issue("bound");
  const { socket } = await connackOf(t, site, site.show("bound"));
  const closed = once(socket, "close");
  deleteThing(site.deps, { ...site.on, thing: "boiler" });
  await closed;
  t.equal((await connackOf(t, site, site.show("bound"))).code, 5);
  t.equal(lastCause(site), "unknown-certificate");
});
