import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type Test } from "tap";
import { systemRandom } from "../../src/clock.ts";
import { deleteAccount } from "../../src/interactions/accounts.ts";
import { CredentialDeadlines } from "../../src/interactions/credential-deadlines.ts";
import {
  changeCredential,
  createCredential,
  deleteCredential,
} from "../../src/interactions/credentials.ts";
import { certificateLogin, isCertificateGood } from "../../src/interactions/certificate-login.ts";
import {
  certificatesOf,
  enrol,
  findCertificate,
  issueCertificate,
  revokeCertificate,
  type CertificateOutcome,
} from "../../src/interactions/certificates.ts";
import type { InteractionDeps } from "../../src/interactions/deps.ts";
import { deleteThing } from "../../src/interactions/provisioning.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { Credential } from "../../src/store/credentials.ts";
import { openAuthority, type Authority } from "../../src/tls/authority.ts";
import { folderOf } from "../tls/kit.ts";
import { KEYS, makeRequest, openssl, opensslOutcome } from "../tls/openssl.ts";
import {
  ACCOUNT,
  ADMIN,
  makeBoiler,
  refusalOf,
  startHarness,
  tokenOf,
  type Harness,
  type HarnessOptions,
} from "./harness.ts";

const YEAR_MS = FIXED_LIMITS.certificateLifeS * 1000;

// Its key takes seconds to make; a test that needs another makes its own.
const made: { authority?: Authority } = {};

type Site = {
  readonly harness: Harness;
  readonly folder: string;
  readonly authority: Authority;
  readonly deps: () => InteractionDeps;
  readonly credential: Credential;
  /** One for the credential, of a new key named so in the folder. */
  readonly issue: (name: string, kind?: keyof typeof KEYS) => CertificateOutcome;
  readonly on: {
    readonly principal: typeof ADMIN;
    readonly account: string;
    readonly ulid: string;
  };
};

async function startSite(t: Test, options: HarnessOptions = {}): Promise<Site> {
  const harness = await startHarness(t, options);
  const folder = folderOf(t);
  made.authority ??= (await openAuthority(join(folder, "ca"), "01JTEST", systemRandom)).authority;
  const { authority } = made;
  writeFileSync(join(folder, "ca.pem"), authority.pem);
  const deps = (): InteractionDeps => ({ ...harness.deps, random: systemRandom, authority });
  makeBoiler(harness);
  const { credential } = await createCredential(deps(), {
    principal: ADMIN,
    account: ACCOUNT,
    request: { user: "boiler-1", resources: [{ entity: "things", id: ["boiler"] }] },
  });
  const on = { principal: ADMIN, account: ACCOUNT, ulid: credential.ulid };
  const issue = (name: string, kind: keyof typeof KEYS = "p256"): CertificateOutcome => {
    const csr = makeRequest(folder, name, { key: KEYS[kind] });
    const outcome = issueCertificate(deps(), { ...on, wanted: { kind: "request", csr } });
    writeFileSync(join(folder, `${name}.pem`), outcome.certificate.toString());
    return outcome;
  };
  return { harness, folder, authority, deps, credential, issue, on };
}

function loginOf({ deps }: Site, certificate: X509Certificate): string {
  const login = certificateLogin(deps(), certificate);
  return "cause" in login ? `${login.kind}: ${login.cause}` : login.kind;
}

await test("a certificate is for a client of the CA, and says for which credential and Thing", async (t) => {
  const site = await startSite(t);
  const { folder, harness, credential } = site;
  const thing = harness.deps.store.things.find(ACCOUNT, "boiler");
  for (const kind of ["rsa", "p256"] as const) {
    const { row, certificate } = site.issue(kind, kind);
    const verified = ["verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "ca.pem"];
    t.match(opensslOutcome(folder, ...verified, `${kind}.pem`), { ok: true }, kind);
    const server = ["verify", "-purpose", "sslserver", "-CAfile", "ca.pem", `${kind}.pem`];
    t.match(opensslOutcome(folder, ...server), { ok: false }, "no server may show it");
    const text = openssl(folder, "x509", "-in", `${kind}.pem`, "-noout", "-text").toString();
    t.match(text, /Subject: O = site, CN = boiler-1\n/);
    t.match(text, /Signature Algorithm: sha256WithRSAEncryption/);
    t.match(text, /Basic Constraints: critical\s+CA:FALSE/);
    t.match(text, /Extended Key Usage:\s*TLS Web Client Authentication\n/);
    const uris = [credential.ulid, thing?.uid].map((of) => `URI:urn:sluice:site:${of}`).join(", ");
    t.match(text, new RegExp(`Subject Alternative Name:\\s*${uris}\\n`));
    t.equal(certificate.serialNumber, row.serial);
    t.match(row.serial, /^[4-7][0-9A-F]{31}$/);
    const key = openssl(folder, "pkey", "-in", `${kind}.key`, "-pubout").toString();
    const signed = openssl(folder, "x509", "-in", `${kind}.pem`, "-noout", "-pubkey").toString();
    t.equal(signed, key, "of the key that was asked for");
    t.equal(loginOf(site, certificate), "good");
  }
  t.match(
    harness.deps.store.certificates.ofCredential(credential.ulid),
    [{ key: "rsa", subject: "O=site, CN=boiler-1", thing: thing?.uid }, { key: "p256" }],
    "in the order of issue",
  );
});

await test("what a request asks for besides is not in the certificate", async (t) => {
  const { folder, deps, on } = await startSite(t);
  const csr = makeRequest(folder, "greedy", {
    req: [
      ...["-subj", "/CN=admin/O=another"],
      ...["-addext", "basicConstraints=critical,CA:TRUE,pathlen:3"],
      ...["-addext", "keyUsage=critical,keyCertSign,cRLSign"],
      ...["-addext", "extendedKeyUsage=serverAuth,codeSigning"],
      ...["-addext", "subjectAltName=DNS:gateway.local,IP:192.0.2.1,URI:urn:sluice:another:x"],
    ],
  });
  t.match(openssl(folder, "req", "-in", "greedy.csr", "-text", "-noout").toString(), /CA:TRUE/);
  const { certificate } = issueCertificate(deps(), { ...on, wanted: { kind: "request", csr } });
  writeFileSync(join(folder, "greedy.pem"), certificate.toString());
  const text = openssl(folder, "x509", "-in", "greedy.pem", "-noout", "-text").toString();
  for (const greed of [
    "CA:TRUE",
    "Sign, CRL",
    "Server Auth",
    "gateway.local",
    "another",
    "admin",
  ]) {
    t.notOk(text.includes(greed), greed);
  }
  t.equal(certificate.ca, false);
});

await test("a request whose signature is not that of its key gets nothing", async (t) => {
  const { folder, deps, on } = await startSite(t);
  const der = Buffer.from(
    makeRequest(folder, "one")
      .toString()
      .replaceAll(/-----[^-]+-----|\s/g, ""),
    "base64",
  );
  der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
  const wanted = { kind: "request", csr: Buffer.from(der.toString("base64")) } as const;
  t.equal(refusalOf(() => issueCertificate(deps(), { ...on, wanted })).code, "malformed");
  t.equal(deps().store.certificates.count, 0);
});

await test("who cannot make a request gets key, certificate and CA in one file", async (t) => {
  const site = await startSite(t);
  const { folder, deps, on } = site;
  const password = "blue otter 73 lantern";
  const outcome = issueCertificate(deps(), { ...on, wanted: { kind: "pkcs12", password } });
  writeFileSync(join(folder, "device.p12"), outcome.pkcs12 ?? "");
  const read = ["pkcs12", "-in", "device.p12", "-noenc", "-passin", `pass:${password}`];
  writeFileSync(join(folder, "device.pem"), openssl(folder, ...read));
  const verified = opensslOutcome(folder, "verify", "-CAfile", "ca.pem", "device.pem");
  t.match(verified, { ok: true });
  const [own] =
    readFileSync(join(folder, "device.pem"), "utf8").match(/-----BEGIN C[^]+?END C[^\n]+/g) ?? [];
  t.equal(loginOf(site, new X509Certificate(own ?? "")), "good");
  for (const [bad, code] of [
    ["short", "weak-password"],
    ["password123", "weak-password"],
    ["bl\u00fce otter 73 lantern", "malformed"],
    ["blue otter 73 lantern\n", "malformed"],
  ] as const) {
    const wanted = { kind: "pkcs12", password: bad } as const;
    t.equal(refusalOf(() => issueCertificate(deps(), { ...on, wanted })).code, code, bad);
  }
  t.equal(deps().store.certificates.count, 1);
});

await test("revoked is revoked at once, and is still so after a restart", async (t) => {
  const site = await startSite(t);
  const { harness, deps, on } = site;
  const [first, second] = [site.issue("first"), site.issue("second")];
  const { serial } = first.row;
  const stale = (): never => {
    throw new Error("changed");
  };
  t.throws(() => revokeCertificate(deps(), { ...on, serial, precondition: stale }), /changed/);
  t.equal(loginOf(site, first.certificate), "good");
  revokeCertificate(deps(), { ...on, serial, precondition: () => undefined });
  t.strictSame(harness.credentialChanges.at(-1), [on.ulid, "certificates"]);
  t.equal(isCertificateGood(deps(), serial), false);
  const login = certificateLogin(deps(), first.certificate);
  t.match(login, { kind: "refused", cause: "revoked-certificate" });
  t.equal(loginOf(site, second.certificate), "good");
  const told = harness.credentialChanges.length;
  revokeCertificate(deps(), { ...on, serial, precondition: () => undefined });
  t.equal(harness.credentialChanges.length, told, "once is enough");
  await harness.restart();
  t.equal(loginOf(site, first.certificate), "refused: revoked-certificate");
  t.equal(loginOf(site, second.certificate), "good");
  t.equal(findCertificate(deps(), { ...on, serial }).revoked, harness.clock.wall);
});

await test("a certificate that has ended is good for its renewal only, and no clock brings it back", async (t) => {
  const site = await startSite(t);
  const { harness, deps } = site;
  const deadlines = new CredentialDeadlines(deps());
  deadlines.look();
  const { certificate, row } = site.issue("aged");
  t.equal(row.notAfter, harness.clock.wall + YEAR_MS, "a year");
  harness.clock.advance(YEAR_MS - 1000);
  deadlines.look();
  t.equal(loginOf(site, certificate), "good");
  harness.credentialChanges.length = 0;
  harness.clock.advance(1000);
  t.equal(loginOf(site, certificate), "expired");
  deadlines.look();
  t.strictSame(harness.credentialChanges, [[row.credential, "certificates"]]);
  deadlines.look();
  t.equal(harness.credentialChanges.length, 1, "told once");
  await harness.deps.store.commit.flushed();
  const entries = await harness.store.audit.read({
    limit: 5,
    matches: ({ action }) => action === "certificate.expire",
  });
  t.match(entries.items, [{ target: new RegExp(`/certificates/${row.serial}$`) }]);
  harness.clock.wall -= YEAR_MS;
  harness.clock.synced = false;
  await harness.restart();
  t.equal(loginOf(site, certificate), "expired");
});

await test("while the time is not known a certificate lasts as long as the CA", async (t) => {
  const site = await startSite(t);
  site.harness.clock.synced = false;
  t.equal(site.issue("timeless").row.notAfter, site.authority.notAfterMs);
});

await test("a certificate of another CA, or of none, says nothing about who it is", async (t) => {
  const site = await startSite(t);
  const { folder, authority, issue } = site;
  const { row } = issue("mine");
  openssl(folder, "genpkey", ...KEYS.p256, "-out", "other.key");
  const ca = authority.certificate.subject
    .split("\n")
    .map((part) => `/${part}`)
    .join("");
  openssl(
    folder,
    ...["req", "-new", "-x509", "-key", "other.key", "-subj", ca, "-out", "other.pem"],
  );
  const by = ["-CA", "other.pem", "-CAkey", "other.key", "-set_serial", `0x${row.serial}`];
  const forged = openssl(folder, "x509", "-req", "-in", "mine.csr", ...by);
  const certificate = new X509Certificate(forged);
  t.equal(
    certificate.serialNumber,
    row.serial,
    "of the same name, the same key and the same serial",
  );
  t.equal(certificate.issuer, authority.certificate.subject);
  t.equal(loginOf(site, certificate), "unknown: unknown-certificate");
  t.equal(loginOf(site, authority.certificate), "unknown: unknown-certificate", "the CA itself");
  const unlisted = authority.issue({
    subject: { commonName: "nobody" },
    publicKey: certificate.publicKey.export({ format: "der", type: "spki" }),
    use: "client",
    notAfterMs: authority.notAfterMs,
  });
  t.equal(
    loginOf(site, unlisted),
    "unknown: unknown-certificate",
    "of ours, and not known any more",
  );
});

await test("neither a new CA nor another certificate's row makes one good", async (t) => {
  const site = await startSite(t);
  const { deps } = site;
  const { certificate, row } = site.issue("mine");
  const { authority } = await openAuthority(folderOf(t), "01JNEW", systemRandom);
  const login = certificateLogin({ ...deps(), authority }, certificate);
  t.match(login, { kind: "unknown", cause: "unknown-certificate" }, "the CA before is another's");
  deps().store.certificates.put({ ...row, fingerprint: "00" });
  t.equal(loginOf(site, certificate), "unknown: unknown-certificate", "a serial is only a number");
});

await test("a certificate is worth what its credential is", async (t) => {
  const site = await startSite(t);
  const { harness, deps, on } = site;
  const { certificate, row } = site.issue("bound");
  const change = async (
    request: Parameters<typeof changeCredential>[1]["request"],
  ): Promise<void> => {
    await changeCredential(deps(), { ...on, request });
  };
  await change({ enabled: false });
  t.equal(loginOf(site, certificate), "refused: disabled-credential");
  await change({ enabled: true, expiresAt: harness.clock.wall + 1000 });
  t.equal(loginOf(site, certificate), "good");
  harness.clock.advance(1000);
  t.equal(loginOf(site, certificate), "refused: expired-credential");
  await change({ expiresAt: null, password: "" });
  t.equal(loginOf(site, certificate), "good", "a new password is no reason");
  deleteCredential(deps(), on);
  t.equal(loginOf(site, certificate), "unknown: unknown-certificate");
  await deps().store.commit.flushed();
  t.equal((await harness.rows("i:")).size, 0, "nothing is left on disk");
  t.equal(deps().store.certificates.get(row.serial), undefined);
});

await test("a certificate ends with its Thing, and with its account", async (t) => {
  const site = await startSite(t);
  const { harness, deps, on } = site;
  const { store } = deps();
  const all = await createCredential(deps(), {
    ...on,
    request: { resources: [{ entity: "things", id: ["*"] }] },
  });
  const ofAll = enrol(deps(), all.credential, makeRequest(site.folder, "all"));
  t.equal(ofAll.row.thing, undefined);
  const { certificate } = site.issue("one");
  deleteThing(deps(), { ...on, thing: "boiler" });
  t.equal(loginOf(site, certificate), "unknown: unknown-certificate");
  t.equal(loginOf(site, ofAll.certificate), "good");
  deleteAccount(deps(), ACCOUNT, { force: true });
  t.equal(store.certificates.count, 0);
  await store.commit.flushed();
  t.equal((await harness.rows("i:")).size, 0);
});

await test("only who may make credentials may issue, see and revoke", async (t) => {
  const site = await startSite(t);
  const { deps, on } = site;
  const { row } = site.issue("one");
  for (const [principal, code] of [
    [tokenOf(undefined, "thing.manage", "gateway.read"), "forbidden"],
    [tokenOf("another", "mqtt.credentials"), "forbidden"],
  ] as const) {
    const by = { ...on, principal, serial: row.serial };
    const wanted = { kind: "pkcs12", password: "blue otter 73 lantern" } as const;
    t.equal(refusalOf(() => issueCertificate(deps(), { ...by, wanted })).code, code);
    t.equal(refusalOf(() => certificatesOf(deps(), by)).code, code);
    const precondition = (): void => undefined;
    t.equal(refusalOf(() => revokeCertificate(deps(), { ...by, precondition })).code, code);
  }
  const other = await createCredential(deps(), {
    ...on,
    request: { resources: [{ entity: "things", id: ["*"] }] },
  });
  const elsewhere = { ...on, ulid: other.credential.ulid, serial: row.serial };
  t.equal(refusalOf(() => findCertificate(deps(), elsewhere)).code, "not-found");
  const { authority: _, ...without } = deps();
  const wanted = { kind: "request", csr: makeRequest(site.folder, "two") } as const;
  t.equal(refusalOf(() => issueCertificate(without, { ...on, wanted })).code, "conflict");
});

await test("certificates are bounded, and what is good for nothing makes room", async (t) => {
  const site = await startSite(t, { limits: { certificates: 3 } });
  const { harness, deps, on } = site;
  const { certificates } = deps().store;
  const csr = makeRequest(site.folder, "same");
  const issue = () => issueCertificate(deps(), { ...on, wanted: { kind: "request", csr } }).row;
  const [first, second] = [issue(), issue(), issue()];
  t.match(refusalOf(issue), { code: "limit-reached", message: /limits.certificates/ });
  revokeCertificate(deps(), { ...on, serial: second.serial, precondition: () => undefined });
  issue();
  t.equal(certificates.get(second.serial), undefined, "a revoked one");
  harness.clock.advance(YEAR_MS);
  issue();
  t.equal(certificates.get(first.serial), undefined, "the one that has expired longest");
  t.equal(certificates.count, 3);
});

await test("a device that asks again and again is stopped before it takes all the room", async (t) => {
  const site = await startSite(t);
  const { deps, credential } = site;
  const csr = makeRequest(site.folder, "loop");
  const { certificatesPerCredentialMax: most } = FIXED_LIMITS;
  for (let count = 0; count < most; count += 1) enrol(deps(), credential, csr);
  t.match(
    refusalOf(() => enrol(deps(), credential, csr)),
    { code: "limit-reached" },
  );
  t.equal(deps().store.certificates.count, most);
});
