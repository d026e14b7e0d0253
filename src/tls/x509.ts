import { createHash, createPublicKey, sign, X509Certificate, type KeyObject } from "node:crypto";
import type { Random } from "../clock.ts";
import { addressBytes } from "../address-bytes.ts";
import {
  bits,
  bytesOf,
  decode,
  encode,
  integer,
  nothing,
  octets,
  oid,
  partsOf,
  sequence,
  setOf,
  tagged,
  taggedBytes,
  time,
  truth,
  utf8,
  type Asn1,
} from "./der.ts";

/** What a certificate is good for; nothing else is (RFC 5280 §4.2.1.3, §4.2.1.9, §4.2.1.12). */
export type CertificateUse = "authority" | "server" | "client";

/** What is to stand in a certificate. */
export type CertificateWish = {
  readonly subject: { readonly commonName: string; readonly organization?: string };
  /** SubjectPublicKeyInfo in DER: RSA or P-256, whatever the issuer's is. */
  readonly publicKey: Uint8Array;
  readonly use: CertificateUse;
  /** Host names and IP addresses it speaks for. */
  readonly names?: readonly string[];
  /** URIs it speaks for: who it is, for a client. */
  readonly uris?: readonly string[];
  readonly notBeforeMs: number;
  /** Whole seconds; what is below is cut off. */
  readonly notAfterMs: number;
};

/** Who signs: an RSA key, and the certificate that goes with it; without one it signs for itself. */
export type Issuer = { readonly key: KeyObject; readonly certificate?: X509Certificate };

/**
 * Signs a certificate (X.509 v3, sha256WithRSAEncryption, a serial of 126 random bits). forge writes the
 * ASN.1; keys and signatures are OpenSSL's, so that no private key is ever a number in JavaScript.
 */
export function issueCertificate(
  wish: CertificateWish,
  issuer: Issuer,
  random: Random,
): X509Certificate {
  const subject = nameOf(wish.subject);
  const { certificate } = issuer;
  const issuerKey = certificate === undefined ? wish.publicKey : spkiOf(certificate.publicKey);
  const signed = sequence(
    tagged(0, integer(Buffer.of(2))),
    integer(serial(random)),
    sha256WithRsa(),
    certificate === undefined ? subject : subjectOf(certificate),
    sequence(time(wish.notBeforeMs), time(wish.notAfterMs)),
    subject,
    decode(wish.publicKey),
    tagged(3, sequence(...extensionsOf(wish, issuerKey))),
  );
  const signature = sign("sha256", encode(signed), issuer.key);
  return new X509Certificate(encode(sequence(signed, sha256WithRsa(), bits(signature))));
}

/** SubjectPublicKeyInfo in DER. */
export function spkiOf(key: KeyObject): Buffer {
  return key.export({ type: "spki", format: "der" });
}

function extensionsOf(wish: CertificateWish, issuerKey: Uint8Array): readonly Asn1[] {
  const { use, publicKey, names = [], uris = [] } = wish;
  const isAuthority = use === "authority";
  const alternatives = [
    ...names.map(alternativeName),
    ...uris.map((uri) => taggedBytes(6, Buffer.from(uri, "latin1"))),
  ];
  return [
    // A path of one: what this authority signs signs nothing.
    critical("2.5.29.19", isAuthority ? sequence(truth(), integer(Buffer.of(0))) : sequence()),
    critical("2.5.29.15", keyUsageOf(use, publicKey)),
    extension("2.5.29.14", octets(keyIdOf(publicKey))),
    extension("2.5.29.35", sequence(taggedBytes(0, keyIdOf(issuerKey)))),
    ...(isAuthority ? [] : [extension("2.5.29.37", sequence(oid(PURPOSES[use])))]),
    ...(alternatives.length === 0 ? [] : [extension("2.5.29.17", sequence(...alternatives))]),
  ];
}

/** id-kp-serverAuth and id-kp-clientAuth; an authority has none. */
const PURPOSES = {
  authority: "",
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
} as const;

/** Bits from the left: digitalSignature 0, keyEncipherment 2 (of RSA only), keyCertSign 5, cRLSign 6. */
function keyUsageOf(use: CertificateUse, publicKey: Uint8Array): Asn1 {
  if (use === "authority") return bits(Buffer.of(0x06), 1);
  const { asymmetricKeyType } = createPublicKey({
    key: Buffer.from(publicKey),
    type: "spki",
    format: "der",
  });
  return asymmetricKeyType === "rsa" ? bits(Buffer.of(0xa0), 5) : bits(Buffer.of(0x80), 7);
}

/** RFC 5280 §4.2.1.6: a host name, or the bytes of an address. */
function alternativeName(name: string): Asn1 {
  const address = addressBytes(name);
  return address === undefined ? taggedBytes(2, Buffer.from(name)) : taggedBytes(7, address);
}

/** RFC 7093 §2, method 1: the first 160 bits of the SHA-256 of the key's bits. */
function keyIdOf(publicKey: Uint8Array): Buffer {
  const [, subjectPublicKey] = partsOf(decode(publicKey));
  if (subjectPublicKey === undefined) throw new Error("a public key is not in the usual form");
  // The first byte counts the bits that are left out at the end: none.
  const content = bytesOf(subjectPublicKey).subarray(1);
  return createHash("sha256").update(content).digest().subarray(0, 20);
}

/** Bit by bit as the issuer's certificate has it: chains are followed by comparing these bytes. */
function subjectOf(certificate: X509Certificate): Asn1 {
  const [tbs] = partsOf(decode(certificate.raw));
  const subject = tbs === undefined ? undefined : partsOf(tbs)[5];
  if (subject === undefined) throw new Error("the issuer's certificate has no subject");
  return subject;
}

function nameOf({ commonName, organization }: CertificateWish["subject"]): Asn1 {
  const attribute = (id: string, text: string): Asn1 => setOf(sequence(oid(id), utf8(text)));
  return sequence(
    ...(organization === undefined ? [] : [attribute("2.5.4.10", organization)]),
    attribute("2.5.4.3", commonName),
  );
}

/** Positive, and without a zero in front (RFC 5280 §4.1.2.2). */
function serial(random: Random): Buffer {
  const bytes = Buffer.from(random.bytes(16));
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes;
}

function sha256WithRsa(): Asn1 {
  return sequence(oid("1.2.840.113549.1.1.11"), nothing());
}

function critical(id: string, value: Asn1): Asn1 {
  return sequence(oid(id), truth(), octets(value));
}

function extension(id: string, value: Asn1): Asn1 {
  return sequence(oid(id), octets(value));
}
