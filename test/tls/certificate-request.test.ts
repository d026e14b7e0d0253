import { createPublicKey } from "node:crypto";
import fc from "fast-check";
import { test } from "tap";
import { GatewayError, type ErrorCode } from "../../src/errors.ts";
import { readCertificateRequest } from "../../src/tls/certificate-request.ts";
import { KEYS, makeRequest, openssl, withFolder } from "./openssl.ts";

function derOf(pem: Buffer): Buffer {
  return Buffer.from(pem.toString().replaceAll(/-----[^-]+-----|\s/g, ""), "base64");
}

/** What is said of it, or `undefined` if it is taken. */
function refusalOf(bytes: Uint8Array): { code: ErrorCode; detail: string } | undefined {
  try {
    readCertificateRequest(bytes);
    return undefined;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { code: error.code, detail: error.message };
  }
}

await test("the key of a request is taken as it is, in PEM, base64 and DER", async (t) => {
  await withFolder((folder) => {
    for (const kind of ["rsa", "p256"] as const) {
      const pem = makeRequest(folder, kind, { key: KEYS[kind] });
      const spki = openssl(folder, "pkey", "-in", `${kind}.key`, "-pubout", "-outform", "DER");
      const der = derOf(pem);
      const forms = {
        pem,
        "pem behind a text": openssl(folder, "req", "-in", `${kind}.csr`, "-text"),
        "old pem": Buffer.from(pem.toString().replaceAll("CERTIFICATE", "NEW CERTIFICATE")),
        "pem with CRLF": Buffer.from(pem.toString().replaceAll("\n", "\r\n")),
        der,
        base64: Buffer.from(der.toString("base64")),
        "base64 in lines": Buffer.from(der.toString("base64").replaceAll(/.{1,64}/g, "$&\r\n")),
      };
      for (const [form, bytes] of Object.entries(forms)) {
        const read = readCertificateRequest(bytes);
        t.ok(read.publicKey.equals(spki), `${kind} as ${form}`);
        t.equal(read.kind, kind);
      }
    }
  });
});

await test("SHA-384 and SHA-512 are taken, SHA-1 is not", async (t) => {
  await withFolder((folder) => {
    for (const [kind, key] of Object.entries(KEYS)) {
      for (const digest of ["-sha384", "-sha512"]) {
        const pem = makeRequest(folder, kind, { key, req: [digest] });
        t.equal(refusalOf(pem), undefined, `${kind} ${digest}`);
      }
      t.match(refusalOf(makeRequest(folder, kind, { key, req: ["-sha1"] })), {
        code: "malformed",
        detail: /signed by/,
      });
    }
  });
});

await test("a key that is too weak, too large or of another kind is refused by name", async (t) => {
  const manyPrimes = ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_primes:4"]; // Found sooner.
  const refused = [
    [["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:1024"], /1024 bits/],
    [[...manyPrimes, "-pkeyopt", "rsa_keygen_bits:4104"], /4104 bits/],
    [[...KEYS.rsa, "-pkeyopt", "rsa_keygen_pubexp:3"], /exponent/],
    [["-algorithm", "RSA-PSS", "-pkeyopt", "rsa_keygen_bits:2048"], /signed by/],
    [["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"], /P-256/],
    [["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:secp256k1"], /P-256/],
    [[...KEYS.p256, "-pkeyopt", "ec_param_enc:explicit"], /P-256/],
    [["-algorithm", "ED25519"], /signed by/],
  ] as const;
  await withFolder((folder) => {
    for (const [key, detail] of refused) {
      const refusal = refusalOf(makeRequest(folder, "weak", { key }));
      t.match(refusal, { code: "malformed", detail }, key.join(" "));
    }
  });
});

await test("without the private key there is no certificate: each bit of a request counts", async (t) => {
  await withFolder((folder) => {
    for (const [kind, key] of Object.entries(KEYS)) {
      const der = derOf(makeRequest(folder, kind, { key }));
      const other = derOf(makeRequest(folder, "other", { key }));
      const taken = Array.from({ length: der.length * 8 }, (_, bit) => {
        const bytes = Buffer.from(der);
        bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
        return refusalOf(bytes) === undefined ? bit : -1;
      }).filter((bit) => bit !== -1);
      t.strictSame(taken, [], `${kind}: bits that may be turned over`);
      const signature = other.subarray(other.length - 64);
      const forged = Buffer.concat([der.subarray(0, der.length - 64), signature]);
      t.equal(refusalOf(forged)?.code, "malformed", `${kind}: the signature of another key`);
    }
  });
});

await test("a point that is not on the curve is refused", async (t) => {
  await withFolder((folder) => {
    const der = derOf(makeRequest(folder, "off"));
    const point = der.indexOf(Buffer.from("03420004", "hex")) + 4;
    der.fill(1, point, point + 64);
    t.match(refusalOf(der), { code: "malformed", detail: /key is none/ });
  });
});

await test("what is no request is told so, and what is too long is not read", (t) => {
  const texts = [
    "",
    "0",
    "MII",
    "MIIB",
    "-----BEGIN CERTIFICATE REQUEST-----",
    "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
    `-----BEGIN CERTIFICATE REQUEST-----${" ".repeat(10_000)}`,
    "\u0130\u0130",
  ];
  for (const text of texts) {
    t.equal(refusalOf(Buffer.from(text))?.code, "malformed", JSON.stringify(text.slice(0, 60)));
  }
  t.equal(refusalOf(Buffer.alloc(20_000, 0x30))?.code, "too-large");
  t.equal(refusalOf(Buffer.alloc(9_000, 0x30))?.code, "too-large");
  // Nested as deep as the bytes last: no stack may overflow.
  const nested = Buffer.from(
    Array.from({ length: 8_000 }, (_, at) => (at % 2 === 0 ? 0x30 : 0x80)),
  );
  t.equal(refusalOf(nested)?.code, "malformed");
  t.end();
});

await test("whatever the bytes are, they are refused in our words", async (t) => {
  await withFolder((folder) => {
    const seed = Number(process.env["SLUICE_SEED"] ?? 20_261_123);
    const valid = Object.entries(KEYS).map(([kind, key]) =>
      derOf(makeRequest(folder, kind, { key })),
    );
    const mutated = fc
      .tuple(
        fc.constantFrom(...valid),
        fc.array(fc.tuple(fc.nat(1_200), fc.nat(255)), { minLength: 1, maxLength: 6 }),
        fc.nat(1_200),
      )
      .map(([der, changes, length]) => {
        const bytes = Buffer.from(der);
        for (const [at, byte] of changes) if (at < bytes.length) bytes[at] = byte;
        return length < 200 ? bytes : bytes.subarray(0, length);
      });
    const any = fc.oneof(mutated, fc.uint8Array({ maxLength: 300 }));
    fc.assert(
      fc.property(any, (bytes) => {
        const refusal = refusalOf(bytes);
        return refusal === undefined
          ? valid.some((der) => der.equals(bytes))
          : refusal.code === "malformed";
      }),
      { seed, numRuns: 3_000 },
    );
    t.pass(`seed ${seed}`);
  });
});

await test("what is taken over of a request is a key that can be used", async (t) => {
  await withFolder((folder) => {
    const { publicKey } = readCertificateRequest(makeRequest(folder, "used"));
    const key = createPublicKey({ key: publicKey, format: "der", type: "spki" });
    t.match(key.asymmetricKeyDetails, { namedCurve: "prime256v1" });
  });
});
