import { createHmac, type KeyObject, type X509Certificate } from "node:crypto";
import forge from "node-forge";
import type { Random } from "../clock.ts";
import {
  decode,
  encode,
  integer,
  nothing,
  octets,
  oid,
  sequence,
  setOf,
  tagged,
  type Asn1,
} from "./der.ts";

/** A key, its certificate, and the certificate of the CA: what a device needs, in one file. */
export type KeyAndCertificates = {
  readonly key: KeyObject;
  readonly certificate: X509Certificate;
  readonly ca: X509Certificate;
};

const PKCS7_DATA = "1.2.840.113549.1.7.1";
const BAGS = "1.2.840.113549.1.12.10.1";
const SHROUDED_KEY_BAG = `${BAGS}.2`;
const CERTIFICATE_BAG = `${BAGS}.3`;
const X509_CERTIFICATE = "1.2.840.113549.1.9.22.1";
const LOCAL_KEY_ID = "1.2.840.113549.1.9.21";
const SHA256 = "2.16.840.1.101.3.4.2.1";

/** As OpenSSL 3 does it. */
const MAC_ROUNDS = 2048;
const MAC_SALT_BYTES = 8;

/**
 * PKCS #12 (RFC 7292), as DER: the key encrypted with AES-256 (PBES2 of RFC 8018), the whole under a
 * MAC of SHA-256. Certificates are in the clear: they are no secret.
 * @param password printable ASCII: what else there is, programs encode differently.
 */
export function makePkcs12(parts: KeyAndCertificates, password: string, random: Random): Buffer {
  const { key, certificate, ca } = parts;
  const id = setOf(
    sequence(
      oid(LOCAL_KEY_ID),
      setOf(octets(Buffer.from(certificate.fingerprint.replaceAll(":", ""), "hex"))),
    ),
  );
  const shrouded = key.export({
    format: "der",
    type: "pkcs8",
    cipher: "aes-256-cbc",
    passphrase: password,
  });
  const safes = encode(
    sequence(
      content(sequence(certificateBag(certificate, id), certificateBag(ca))),
      content(sequence(sequence(oid(SHROUDED_KEY_BAG), tagged(0, decode(shrouded)), id))),
    ),
  );
  return encode(
    sequence(
      integer(Buffer.of(3)),
      sequence(oid(PKCS7_DATA), tagged(0, octets(safes))),
      mac(safes, password, random),
    ),
  );
}

function content(safe: Asn1): Asn1 {
  return sequence(oid(PKCS7_DATA), tagged(0, octets(safe)));
}

function certificateBag({ raw }: X509Certificate, ...id: readonly Asn1[]): Asn1 {
  const bag = sequence(oid(X509_CERTIFICATE), tagged(0, octets(raw)));
  return sequence(oid(CERTIFICATE_BAG), tagged(0, bag), ...id);
}

/** RFC 7292 appendix B: of this use only it has a key derivation of its own, with id 3. */
function mac(safes: Buffer, password: string, random: Random): Asn1 {
  const salt = Buffer.from(random.bytes(MAC_SALT_BYTES));
  const derived = forge.pkcs12.generateKey(
    password,
    forge.util.createBuffer(salt.toString("latin1")),
    3,
    MAC_ROUNDS,
    32,
    forge.md.sha256.create(),
  );
  const key = Buffer.from(derived.getBytes(), "latin1");
  const digest = createHmac("sha256", key).update(safes).digest();
  const rounds = Buffer.alloc(2);
  rounds.writeUInt16BE(MAC_ROUNDS);
  return sequence(
    sequence(sequence(oid(SHA256), nothing()), octets(digest)),
    octets(salt),
    integer(rounds),
  );
}
