import { execFile } from "node:child_process";
import { X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { test, type Test } from "tap";
import { startHttp } from "../../src/http/server.ts";
import { FIXED_LIMITS } from "../../src/limits.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { folderOf, openIdentity } from "../tls/kit.ts";
import { KEYS, makeRequest, openssl, opensslOutcome } from "../tls/openssl.ts";
import { BOILER, startGateway, type Gateway } from "./harness.ts";

type Site = {
  readonly gateway: Gateway;
  readonly folder: string;
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /** Of the certificates of the credential. */
  readonly path: string;
  /** The time goes on. */
  readonly pass: (ms: number) => void;
  /** Issues one by the API: `<name>.key`, `<name>.crt`; the serial. */
  readonly issue: (name: string, kind?: keyof typeof KEYS) => Promise<string>;
  /** Runs curl with the CA; status, and what came. */
  readonly curl: (path: string, ...args: readonly string[]) => Promise<Curled>;
};

type Curled = { readonly status: number; readonly headers: string; readonly body: string };

async function openSite(t: Test): Promise<Site> {
  let aheadMs = 0;
  const gateway = await startGateway(t, { clock: { wallMs: () => Date.now() + aheadMs } });
  const folder = folderOf(t);
  const identity = await openIdentity(join(folder, "pki"), new ManualClock());
  const { authority } = identity;
  writeFileSync(join(folder, "ca.crt"), authority.pem);
  const tls = { identity, onRefused: () => undefined };
  const endpoint = { kind: "tls", host: "127.0.0.1", port: 0, tls } as const;
  const deps = { ...gateway.deps, authority };
  const server = await startHttp(deps, [endpoint]);
  t.teardown(async () => server.stop());
  await gateway.call("POST", "/A/things", { json: BOILER });
  const made = await gateway.call("POST", "/A/mqtt", {
    json: { resources: [{ entity: "things", id: ["boiler"] }] },
  });
  const { ulid, username: user, password } = made.json as unknown as Record<string, string>;
  const url = `https://127.0.0.1:${server.ports.tls}`;
  const curl = async (path: string, ...args: readonly string[]): Promise<Curled> =>
    runCurl(folder, url + path, args);
  const path = `/A/mqtt/${ulid}/certificates`;
  const bearer = ["-H", `Authorization: Bearer ${gateway.admin}`];
  return {
    ...{ gateway, folder, url, path, curl },
    user: user ?? "",
    password: password ?? "",
    pass: (ms) => (aheadMs += ms),
    issue: async (name, kind = "p256") => {
      const csr = makeRequest(folder, name, { key: KEYS[kind] }).toString();
      writeFileSync(join(folder, "body.json"), JSON.stringify({ csr }));
      const { body } = await curl(path, ...bearer, "--data-binary", "@body.json");
      const { serial, certificate } = JSON.parse(body) as Record<string, string>;
      writeFileSync(join(folder, `${name}.crt`), certificate ?? "");
      return serial ?? "";
    },
  };
}

async function runCurl(folder: string, url: string, args: readonly string[]): Promise<Curled> {
  const all = ["-sS", "--cacert", "ca.crt", "-i", "--max-time", "30", ...args, url];
  const { stdout } = await promisify(execFile)("curl", all, { cwd: folder });
  const [headers = "", ...rest] = stdout.split("\r\n\r\n");
  return { status: Number(headers.split(" ")[1]), headers, body: rest.join("\r\n\r\n") };
}

const as = (name: string): readonly string[] => ["--cert", `${name}.crt`, "--key", `${name}.key`];
const PKCS10 = ["-H", "Content-Type: application/pkcs10", "--data-binary", "@est.b64"] as const;

/** Puts a request in base64 into `est.b64`. */
function makeEstBody(folder: string, name: string, kind: keyof typeof KEYS = "p256"): void {
  makeRequest(folder, name, { key: KEYS[kind] });
  const der = openssl(folder, "req", "-in", `${name}.csr`, "-outform", "DER");
  writeFileSync(join(folder, "est.b64"), der.toString("base64").replaceAll(/.{1,76}/g, "$&\r\n"));
}

/** The certificates of an answer, as openssl reads them. */
function certificatesIn(folder: string, { body }: Curled): readonly X509Certificate[] {
  writeFileSync(join(folder, "answer.p7"), Buffer.from(body, "base64"));
  const read = ["pkcs7", "-inform", "DER", "-in", "answer.p7", "-print_certs"];
  const text = openssl(folder, ...read).toString();
  const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return found.map((pem) => new X509Certificate(pem));
}

await test("curl with a certificate has what the credential has, and no more", async (t) => {
  const site = await openSite(t);
  const { curl, gateway } = site;
  for (const kind of ["rsa", "p256"] as const) {
    await site.issue(kind, kind);
    for (const version of [["--tls-max", "1.2"], ["--tlsv1.3"]]) {
      const got = await curl("/A/things/boiler/properties", ...as(kind), ...version);
      t.equal(got.status, 200, `${kind} ${version.join(" ")}`);
    }
  }
  const put = ["-X", "PUT", "-d", '{"temperature":21}', ...as("p256")];
  t.equal(
    (await curl("/A/things/boiler/properties/temperature", ...put)).status,
    200,
    "a device's",
  );
  t.equal((await curl("/A/things/boiler", "-X", "DELETE", ...as("p256"))).status, 403);
  t.equal((await curl(site.path, ...as("p256"))).status, 403, "no credential makes certificates");
  t.equal((await curl("/gateway", ...as("p256"))).status, 403);
  t.equal((await curl("/A/things/boiler")).status, 401, "none is asked for");
  const bearer = ["-H", `Authorization: Bearer ${gateway.admin}`];
  t.equal((await curl("/gateway", ...as("p256"), ...bearer)).status, 200, "the header wins");
});

await test("certificates are listed, read and revoked by the API, and audited", async (t) => {
  const { curl, issue, gateway, path, folder } = await openSite(t);
  const serials = [await issue("one"), await issue("two")];
  const list = await gateway.call("GET", path);
  const shown = list.json.data as unknown as readonly Record<string, unknown>[];
  t.match(
    shown.map(({ serial }) => serial),
    serials,
  );
  const certificate = new X509Certificate(readFileSync(join(folder, "one.crt")));
  const sha256 = certificate.fingerprint256.replaceAll(":", "").toLowerCase();
  t.match(shown[0], { thing: "boiler", key: "p256", sha256, revoked: null });
  const one = `${path}/${serials[0]}`;
  const read = await gateway.call("GET", `${path}/${serials[0]?.toLowerCase() ?? ""}`);
  t.match([read.status, read.headers.get("etag")], [200, '"1"']);
  const stale = { headers: { "If-Match": '"9"' } };
  t.equal((await gateway.call("DELETE", one, stale)).status, 412);
  t.equal((await curl("/A/things/boiler", ...as("one"))).status, 200);
  t.equal((await gateway.call("DELETE", one)).status, 204);
  t.equal((await curl("/A/things/boiler", ...as("one"))).status, 401);
  t.equal((await curl("/A/things/boiler", ...as("two"))).status, 200);
  t.equal((await gateway.call("GET", one)).headers.get("etag"), '"2"');
  t.equal((await gateway.call("DELETE", one)).status, 204, "it is so already");
  t.equal((await gateway.call("DELETE", `${path}/00`)).status, 404);
  const audit = await gateway.call("GET", "/gateway/audit?action=certificate");
  const entries = audit.json.data as unknown as readonly Record<string, string>[];
  const told = entries.map(({ action, target, result }) => `${action} ${target} ${result}`);
  t.ok(told.includes(`certificate.issue ${one} ok`), told.join());
  t.ok(told.includes(`certificate.revoke ${one} ok`));
  const refusals = await gateway.call("GET", "/gateway/refusals");
  t.match(refusals.json.data[0], { cause: "revoked-certificate" });
});

await test("a body asks for one thing, and a private key is not sent in the clear", async (t) => {
  const { curl, gateway, path, folder } = await openSite(t);
  const bearer = ["-H", `Authorization: Bearer ${gateway.admin}`];
  for (const [body, status, code] of [
    ["{}", 400, "malformed"],
    ['{"csr":"x","p12_password":"blue otter 73 lantern"}', 400, "malformed"],
    ['{"csr":"x","subject":"y"}', 400, "unknown-member"],
    ['{"csr":"x"}', 400, "malformed"],
    ['{"p12_password":"short"}', 400, "weak-password"],
  ] as const) {
    const reply = await curl(path, ...bearer, "-d", body);
    t.match([reply.status, JSON.parse(reply.body)], [status, { code }], body);
  }
  const wish = '{"p12_password":"blue otter 73 lantern"}';
  const { status, body } = await curl(path, ...bearer, "-d", wish);
  t.equal(status, 201);
  const { p12 } = JSON.parse(body) as { p12: string };
  writeFileSync(join(folder, "device.p12"), Buffer.from(p12, "base64"));
  const login = ["--cert-type", "P12", "--cert", "device.p12:blue otter 73 lantern"];
  t.equal((await curl("/A/things/boiler", ...login)).status, 200, "curl takes it as it is");
  const plain = await gateway.call("POST", path, { json: JSON.parse(wish) as unknown });
  t.equal(plain.status, 409, "here is no TLS at all");
  t.notOk(JSON.stringify(gateway.logged).includes("otter"), "nothing of it in the log");
});

await test("EST: a device with user and password gets the CA and a certificate", async (t) => {
  const site = await openSite(t);
  const { curl, folder, user, password } = site;
  const ca = await curl("/.well-known/est/cacerts");
  t.match(ca.headers, /^content-type: application\/pkcs7-mime/im);
  t.match(ca.headers, /^content-transfer-encoding: base64/im);
  const own = new X509Certificate(readFileSync(join(folder, "ca.crt")));
  t.match(certificatesIn(folder, ca), [{ fingerprint256: own.fingerprint256 }]);
  for (const kind of ["rsa", "p256"] as const) {
    makeEstBody(folder, kind, kind);
    const to = "/.well-known/est/simpleenroll";
    const none = await curl(to, ...PKCS10);
    t.equal(none.status, 401);
    t.match(none.headers, /^www-authenticate:.*Basic/im);
    t.equal((await curl(to, ...PKCS10, "-u", `${user}:wrong`)).status, 401);
    const got = await curl(to, ...PKCS10, "-u", `${user}:${password}`);
    t.equal(got.status, 200);
    t.match(got.headers, /^content-type: application\/pkcs7-mime; smime-type=certs-only/im);
    const [certificate] = certificatesIn(folder, got);
    writeFileSync(join(folder, `${kind}.crt`), certificate?.toString() ?? "");
    t.match(opensslOutcome(folder, "verify", "-CAfile", "ca.crt", `${kind}.crt`), { ok: true });
    t.equal((await curl("/A/things/boiler", ...as(kind))).status, 200);
  }
});

await test("EST: a certificate renews itself, also when it has ended, and with another key", async (t) => {
  const site = await openSite(t);
  const { curl, folder, gateway } = site;
  const to = "/.well-known/est/simplereenroll";
  const old = await site.issue("old");
  site.pass(FIXED_LIMITS.certificateLifeS * 1000);
  const refused = await curl("/A/things/boiler", ...as("old"));
  t.match([refused.status, refused.body], [401, /good for its renewal only/]);
  makeEstBody(folder, "new", "rsa");
  t.equal((await curl("/.well-known/est/simpleenroll", ...PKCS10, ...as("old"))).status, 401);
  t.equal((await curl(to, ...PKCS10)).status, 401, "with what?");
  const renewed = await curl(to, ...PKCS10, ...as("old"));
  t.equal(renewed.status, 200);
  const [certificate] = certificatesIn(folder, renewed);
  writeFileSync(join(folder, "new.crt"), certificate?.toString() ?? "");
  t.equal((await curl("/A/things/boiler", ...as("new"))).status, 200);
  const audit = await gateway.call("GET", "/gateway/audit?action=certificate.renew&result=ok");
  t.match(audit.json.data, [{ principal: `credential ${site.user}` }]);
  await gateway.call("DELETE", `${site.path}/${old}`);
  t.equal((await curl(to, ...PKCS10, ...as("old"))).status, 401, "a revoked one renews nothing");
  makeEstBody(folder, "newer");
  t.equal((await curl(to, ...PKCS10, ...as("new"))).status, 200, "a good one, too");
});

await test("EST refuses what is none of it", async (t) => {
  const { curl, folder, gateway, user, password } = await openSite(t);
  makeEstBody(folder, "device");
  const to = "/.well-known/est/simpleenroll";
  const basic = ["-u", `${user}:${password}`];
  const bearer = ["-H", `Authorization: Bearer ${gateway.admin}`];
  t.equal((await curl(to, ...PKCS10, ...bearer)).status, 403, "a token is no device");
  t.equal((await curl(to, "-d", "@est.b64", ...basic)).status, 415);
  writeFileSync(join(folder, "est.b64"), "MIIB no base64 !");
  t.equal((await curl(to, ...PKCS10, ...basic)).status, 400);
  t.equal((await curl("/.well-known/est/csrattrs")).status, 404);
  const plain = await gateway.call("POST", to, {
    token: undefined,
    headers: {
      authorization: `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`,
      "content-type": "application/pkcs10",
    },
    body: "MIIB",
  });
  t.match([plain.status, plain.json.code], [403, "insecure-channel"]);
});
