import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "tap";
import { certsOnly } from "../../src/tls/certs-only.ts";
import { makePkcs12 } from "../../src/tls/pkcs12.ts";
import { seededRandom } from "../store/random.ts";
import { KEYS, makeRequest, openssl, opensslOutcome, withFolder } from "./openssl.ts";

/** A CA and a certificate of it, made by `openssl` alone. */
function makeChain(folder: string, key: readonly string[]) {
  openssl(folder, "genpkey", ...KEYS.rsa, "-out", "ca.key");
  const subject = ["-subj", "/O=Sluice/CN=CA"];
  openssl(folder, "req", "-new", "-x509", "-key", "ca.key", ...subject, "-out", "ca.pem");
  makeRequest(folder, "leaf", { key });
  const by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "5"];
  openssl(folder, "x509", "-req", "-in", "leaf.csr", ...by, "-out", "leaf.pem");
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  return {
    key: createPrivateKey(read("leaf.key")),
    certificate: new X509Certificate(read("leaf.pem")),
    ca: new X509Certificate(read("ca.pem")),
  };
}

await test("openssl pkcs12 reads key, certificate and CA, with the right password only", async (t) => {
  for (const [kind, options] of Object.entries(KEYS)) {
    await withFolder((folder) => {
      const chain = makeChain(folder, options);
      const password = "six words are better than one !\"$'\\";
      writeFileSync(join(folder, "device.p12"), makePkcs12(chain, password, seededRandom(3)));
      const read = ["pkcs12", "-in", "device.p12", "-noenc", "-passin", `pass:${password}`];
      const text = openssl(folder, ...read).toString();
      const [pem = ""] =
        /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text) ?? [];
      t.ok(createPrivateKey(pem).equals(chain.key), `${kind}: the key is in it`);
      const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      t.strictSame(
        found.map((each) => new X509Certificate(each).fingerprint256),
        [chain.certificate.fingerprint256, chain.ca.fingerprint256],
      );
      const client = openssl(folder, ...read, "-clcerts", "-nokeys").toString();
      t.equal(new X509Certificate(client).fingerprint256, chain.certificate.fingerprint256);
      const information = opensslOutcome(folder, ...read, "-info", "-noout").text;
      t.match(information, /MAC: sha256/);
      t.match(information, /PBES2, PBKDF2, AES-256-CBC, Iteration 2048, PRF hmacWithSHA256/);
      const wrong = [...read.slice(0, -1), "pass:another"];
      t.match(opensslOutcome(folder, ...wrong), { ok: false, text: /invalid password/ });
    });
  }
});

await test("a changed byte of a PKCS #12 file is seen by its MAC", async (t) => {
  await withFolder((folder) => {
    const file = makePkcs12(makeChain(folder, KEYS.p256), "long enough", seededRandom(4));
    const at = file.indexOf(Buffer.from("what the device says"));
    t.not(at, -1);
    file.writeUInt8(file.readUInt8(at) ^ 1, at);
    writeFileSync(join(folder, "changed.p12"), file);
    const read = ["pkcs12", "-in", "changed.p12", "-noenc", "-passin", "pass:long enough"];
    t.match(opensslOutcome(folder, ...read), { ok: false, text: /Mac verify error/ });
  });
});

await test("openssl pkcs7 reads certs-only, of one certificate and of two", async (t) => {
  await withFolder((folder) => {
    const { certificate, ca } = makeChain(folder, KEYS.p256);
    for (const certificates of [[ca], [certificate, ca]]) {
      writeFileSync(join(folder, "certs.p7"), certsOnly(certificates));
      const read = ["pkcs7", "-inform", "DER", "-in", "certs.p7", "-print_certs"];
      const text = openssl(folder, ...read).toString();
      const found = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
      t.strictSame(
        found.map((each) => new X509Certificate(each).fingerprint256),
        certificates.map(({ fingerprint256 }) => fingerprint256),
      );
    }
  });
});
