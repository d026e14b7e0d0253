import { generateKeyPairSync } from "node:crypto";
import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { systemRandom } from "../../src/clock.ts";
import { openAuthority } from "../../src/tls/authority.ts";
import { spkiOf } from "../../src/tls/x509.ts";
import { ManualClock } from "../store/manual-clock.ts";
import { folderOf, openOwn, openssl } from "./kit.ts";

await test("a CA is made once, and a restart has the same one", async (t) => {
  const folder = join(folderOf(t), "pki");
  const first = await openAuthority(folder, "01JTEST", systemRandom);
  const again = await openAuthority(folder, "01JTEST", systemRandom);
  t.equal(again.authority.fingerprint, first.authority.fingerprint);
  t.match(first.authority.certificate.subject, "Sluice CA 01JTEST");
  t.equal(first.authority.fingerprint.replaceAll(":", "").toLowerCase(), first.authority.sha256);
  t.equal(statSync(folder).mode & 0o777, 0o700);
  t.equal(statSync(join(folder, "ca.pem")).mode & 0o777, 0o600);
});

await test("openssl takes what it signs by the strict rules, at any time from 1970 to 2049", async (t) => {
  const folder = folderOf(t);
  const { authority, own } = await openOwn(folder, new ManualClock());
  const [ca, leaf] = [join(folder, "ca.crt"), join(folder, "leaf.crt")];
  writeFileSync(ca, authority.pem);
  writeFileSync(leaf, own.pair.chain[0].toString());
  const verify = (...more: readonly string[]): string =>
    openssl(["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, ...more, leaf]);
  const endS = Date.parse(own.pair.chain[0].validTo) / 1000;
  for (const at of ["1", String(endS - 1)]) t.match(verify("-attime", at), "OK", at);
  t.throws(() => verify("-attime", String(endS + 1)), "and not after its end");
  for (const name of ["box", "box.local", "gw.example", "localhost"]) {
    t.match(verify("-attime", "1", "-verify_hostname", name), "OK", name);
  }
  for (const ip of ["127.0.0.1", "192.0.2.7", "fe80::1"]) {
    t.match(verify("-attime", "1", "-verify_ip", ip), "OK", ip);
  }
  t.throws(() => verify("-attime", "1", "-verify_hostname", "other.example"));
  const text = openssl(["x509", "-in", ca, "-noout", "-text"]);
  t.match(text, /CA:TRUE, pathlen:0/);
  t.match(text, /Not Before: Jan {2}1 00:00:00 1970/);
  t.match(text, /Not After : Dec 31 23:59:59 2049/);
  t.match(text, /Public-Key: \(3072 bit\)/);
});

await test("it signs keys of devices on P-256 too, and nothing lasts longer than itself", async (t) => {
  const folder = folderOf(t);
  const { authority } = await openAuthority(folder, "01JTEST", systemRandom);
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signed = authority.issue({
    subject: { commonName: "pump – 7" },
    publicKey: spkiOf(publicKey),
    use: "client",
    uris: ["urn:sluice:site:pump-7"],
    notAfterMs: Date.UTC(2060, 0, 1),
  });
  const [ca, leaf] = [join(folder, "ca.crt"), join(folder, "leaf.crt")];
  writeFileSync(ca, authority.pem);
  writeFileSync(leaf, signed.toString());
  const verify = ["verify", "-x509_strict", "-CAfile", ca];
  t.match(openssl([...verify, "-purpose", "sslclient", leaf]), "OK");
  t.throws(() => openssl([...verify, "-purpose", "sslserver", leaf]), "it is no server's");
  t.equal(Date.parse(signed.validTo), authority.notAfterMs);
  t.equal(signed.subjectAltName, "URI:urn:sluice:site:pump-7");
  t.match(signed.subject, "pump – 7");
});

await test("what it signed signs nothing, and serials differ", async (t) => {
  const { authority } = await openAuthority(folderOf(t), "01JTEST", systemRandom);
  const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const wish = {
    subject: { commonName: "a" },
    publicKey: spkiOf(publicKey),
    use: "client",
    notAfterMs: 1,
  } as const;
  const [one, other] = [authority.issue(wish), authority.issue(wish)];
  t.equal(one.ca, false);
  t.not(one.serialNumber, other.serialNumber);
  t.match(one.serialNumber, /^[4-7][0-9A-F]{31}$/);
});

await test("a damaged CA is never replaced: with a good certificate the gateway goes on, without one it says what to do", async (t) => {
  const folder = folderOf(t);
  const { own, authority } = await openOwn(folder, new ManualClock());
  const path = join(folder, "ca.pem");
  writeFileSync(path, readFileSync(path, "utf8").replace(/^MII/m, "MXI"));
  const damaged = await openOwn(folder, new ManualClock());
  t.equal(damaged.own.pair.chain[0].fingerprint256, own.pair.chain[0].fingerprint256);
  t.equal(damaged.authority.fingerprint, authority.fingerprint, "devices are still told the same");
  t.match(damaged.own.problem, /Restore it from a backup/);
  t.throws(
    () =>
      damaged.authority.issue({
        subject: { commonName: "a" },
        publicKey: spkiOf(own.pair.chain[0].publicKey),
        use: "client",
        notAfterMs: 1,
      }),
    { code: "storage-failed" },
  );
  rmSync(join(folder, "server.pem"));
  await t.rejects(openOwn(folder, new ManualClock()), { exitCode: 74, message: /ca\.pem/ });
  rmSync(path);
  const anew = await openOwn(folder, new ManualClock());
  t.not(anew.authority.fingerprint, authority.fingerprint, "whoever removes it all wants another");
});

await test("a certificate of another CA, or whose file is damaged, is made anew", async (t) => {
  const [folder, other] = [folderOf(t), folderOf(t)];
  const { authority } = await openOwn(folder, new ManualClock());
  await openOwn(other, new ManualClock());
  const path = join(folder, "server.pem");
  for (const text of [readFileSync(join(other, "server.pem")), "", "junk"]) {
    writeFileSync(path, text);
    const { own } = await openOwn(folder, new ManualClock());
    t.ok(own.pair.chain[0].verify(authority.certificate.publicKey));
  }
});
