import { createPublicKey, verify, type KeyObject } from "node:crypto";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { bytesOf, decode, dottedOf, encode, isType, partsOf, type Asn1 } from "./der.ts";

/**
 * What is taken over of a request for a certificate: the key, and nothing else. Subject and extensions
 * it asks for are not even read.
 */
export type CertificateRequest = {
  /** SubjectPublicKeyInfo, bit for bit as it was sent. */
  readonly publicKey: Buffer;
  readonly kind: "rsa" | "p256";
};

/**
 * Reads PKCS #10 (RFC 2986) as PEM, as base64 or as DER, of an RSA key of 2048 to 4096 bits or of a key
 * on P-256. Its signature proves that who asks has the private key.
 * @throws GatewayError `malformed`, `too-large`; nothing else, whatever the bytes are.
 */
export function readCertificateRequest(given: Uint8Array): CertificateRequest {
  const { certificateRequestBytesMax } = FIXED_LIMITS;
  // As PEM it has a third more, and line ends.
  if (given.length > certificateRequestBytesMax * 2) throw tooLarge();
  const der = derOf(Buffer.from(given));
  if (der.length > certificateRequestBytesMax) throw tooLarge();
  const parts = read("it is not PKCS #10 in DER", () => takeApart(der));
  const kind = read("its key cannot be read", () => kindOf(parts.publicKey));
  const key = createKey(parts.publicKey);
  if (kind === "rsa") requireStrongRsa(key);
  if (kind !== parts.signature.kind) throw refused("its signature is of another kind than its key");
  requireProof(parts, key);
  return { publicKey: parts.publicKey, kind };
}

type Signature = { readonly kind: CertificateRequest["kind"]; readonly digest: string };

type Parts = {
  /** CertificationRequestInfo: what is signed. */
  readonly signed: Buffer;
  readonly publicKey: Buffer;
  readonly signature: Signature;
  readonly bits: Buffer;
};

const RSA = "1.2.840.113549.1.1";
const ECDSA = "1.2.840.10045.4.3";
const SIGNATURES: Readonly<Record<string, Signature>> = {
  [`${RSA}.11`]: { kind: "rsa", digest: "sha256" },
  [`${RSA}.12`]: { kind: "rsa", digest: "sha384" },
  [`${RSA}.13`]: { kind: "rsa", digest: "sha512" },
  [`${ECDSA}.2`]: { kind: "p256", digest: "sha256" },
  [`${ECDSA}.3`]: { kind: "p256", digest: "sha384" },
  [`${ECDSA}.4`]: { kind: "p256", digest: "sha512" },
};

/** RFC 4055 §5 wants it of RSA, RFC 5758 §3.2 not of ECDSA: devices have it either way. */
const NULL = Buffer.of(5, 0);

const PEM =
  /^\s*-----BEGIN (?:NEW )?CERTIFICATE REQUEST-----([A-Za-z0-9+/=\s]+)-----END (?:NEW )?CERTIFICATE REQUEST-----\s*$/;

/** Base64 of any SEQUENCE begins with `M`, the DER itself with `0`. */
function derOf(given: Buffer): Buffer {
  if (given[0] === 0x30) return given;
  const text = given.toString("latin1");
  // What openssl req -text writes stands before it, with no line of dashes.
  const from = text.indexOf("-----BEGIN");
  const pem = from === -1 ? undefined : PEM.exec(text.slice(from));
  if (from !== -1 && pem === null) throw refused("it is not one CERTIFICATE REQUEST in PEM");
  const base64 = (pem?.[1] ?? text).replaceAll(/\s+/g, "");
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) {
    throw refused("it is neither PEM nor base64 nor DER");
  }
  return Buffer.from(base64, "base64");
}

function takeApart(der: Buffer): Parts {
  const [signed, algorithm, bits, ...more] = partsOf(required(decode(der), "SEQUENCE"));
  if (more.length > 0) throw new Error("it has more parts");
  const [version, , publicKey, attributes, ...rest] = partsOf(required(signed, "SEQUENCE"));
  if (rest.length > 0) throw new Error("it has more parts");
  if (bytesOf(required(version, "INTEGER")).toString("hex") !== "00") throw new Error("version");
  if (attributes !== undefined) partsOf(attributes);
  const [identifier, parameters] = partsOf(required(algorithm, "SEQUENCE"));
  const dotted = dottedOf(required(identifier, "OID"));
  const signature = Object.hasOwn(SIGNATURES, dotted) ? SIGNATURES[dotted] : undefined;
  if (signature === undefined) {
    throw refused(`it is signed by ${dotted}: SHA-256 with RSA or ECDSA is taken`);
  }
  if (parameters !== undefined && !encode(parameters).equals(NULL)) throw new Error("parameters");
  const signatureBits = bytesOf(required(bits, "BITSTRING"));
  if (signatureBits[0] !== 0) throw new Error("the signature has no whole bytes");
  return {
    signed: encode(required(signed, "SEQUENCE")),
    publicKey: encode(required(publicKey, "SEQUENCE")),
    signature,
    bits: signatureBits.subarray(1),
  };
}

function required(value: Asn1 | undefined, type: Parameters<typeof isType>[1]): Asn1 {
  if (value !== undefined && isType(value, type)) return value;
  throw new Error(`there is no ${type} where one belongs`);
}

/** AlgorithmIdentifier of a named curve, and the head of an uncompressed point (RFC 5480 §2). */
const P256_HEAD = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");
const P256_BYTES = P256_HEAD.length + 64;

function kindOf(publicKey: Buffer): CertificateRequest["kind"] {
  const isP256 = publicKey.subarray(0, P256_HEAD.length).equals(P256_HEAD);
  if (isP256 && publicKey.length === P256_BYTES) return "p256";
  const [algorithm] = partsOf(decode(publicKey));
  const [identifier] = partsOf(required(algorithm, "SEQUENCE"));
  if (dottedOf(required(identifier, "OID")) === `${RSA}.1`) return "rsa";
  throw refused("its key is neither of RSA nor an uncompressed point of P-256 (prime256v1)");
}

/** OpenSSL refuses a point that is not on the curve. */
function createKey(publicKey: Buffer): KeyObject {
  return read("its key is none", () =>
    createPublicKey({ key: publicKey, format: "der", type: "spki" }),
  );
}

function requireStrongRsa({ asymmetricKeyDetails }: KeyObject): void {
  const { modulusLength = 0, publicExponent = 0n } = asymmetricKeyDetails ?? {};
  const { rsaKeyBitsMin, rsaKeyBitsMax } = FIXED_LIMITS;
  if (modulusLength < rsaKeyBitsMin || modulusLength > rsaKeyBitsMax) {
    const bounds = `${rsaKeyBitsMin} to ${rsaKeyBitsMax}`;
    throw refused(`its RSA key has ${modulusLength} bits: ${bounds} are taken`);
  }
  // FIPS 186-5 §5.1; a huge one makes each check of a signature slow.
  if (publicExponent < 65_537n || publicExponent >= 2n ** 64n || publicExponent % 2n === 0n) {
    throw refused("its RSA key has an exponent that is not taken: use 65537");
  }
}

function requireProof({ signed, signature, bits }: Parts, key: KeyObject): void {
  const isProven = read("its signature cannot be read", () =>
    verify(signature.digest, signed, key, bits),
  );
  if (!isProven) throw refused("its signature is not that of its key");
}

/** What others throw for bytes they do not like says what is wrong, not who is to blame. */
function read<Outcome>(otherwise: string, step: () => Outcome): Outcome {
  try {
    return step();
  } catch (cause) {
    if (cause instanceof GatewayError) throw cause;
    throw new GatewayError("malformed", `the certificate request: ${otherwise}`, { cause });
  }
}

function refused(why: string): GatewayError {
  return new GatewayError("malformed", `the certificate request: ${why}`);
}

function tooLarge(): GatewayError {
  const bytes = FIXED_LIMITS.certificateRequestBytesMax;
  return new GatewayError("too-large", `the certificate request has more than ${bytes} bytes`);
}
