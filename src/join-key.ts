import { createPublicKey, verify, type KeyObject } from "node:crypto";

/**
 * A device's own key: ECDSA on P-256 (FIPS 186-5), which secure elements and small chips have. As text it
 * is the two coordinates in base64url with a dot between them, the same for every encoding it came in.
 */
export function readPublicKey(given: unknown): string | undefined {
  const { x, y } = coordinatesOf(given) ?? {};
  return x === undefined || y === undefined ? undefined : `${x}.${y}`;
}

/**
 * Whether the holder of the key signed this text with ECDSA and SHA-256. `signature` is base64 or
 * base64url of a DER sequence, or of r and s with 32 bytes each (RFC 7518 §3.4).
 */
export function isSignedBy(publicKey: string, text: string, signature: string): boolean {
  const [x = "", y = ""] = publicKey.split(".");
  const key = fromJwk(x, y);
  if (key === undefined) return false;
  const bytes = Buffer.from(signature, "base64");
  const dsaEncoding = bytes.length === RAW_SIGNATURE_BYTES ? "ieee-p1363" : "der";
  return verify("sha256", Buffer.from(text, "utf8"), { key, dsaEncoding }, bytes);
}

const RAW_SIGNATURE_BYTES = 64;

type Coordinates = { readonly x?: string | undefined; readonly y?: string | undefined };

/** Of a PEM text (RFC 7468 §13) or a JWK (RFC 7517); a private key is no public one. */
function coordinatesOf(given: unknown): Coordinates | undefined {
  const key = typeof given === "string" ? fromPem(given) : fromMembers(given);
  if (key?.asymmetricKeyDetails?.namedCurve !== "prime256v1") return undefined;
  return key.export({ format: "jwk" });
}

function fromPem(pem: string): KeyObject | undefined {
  if (!pem.trimStart().startsWith("-----BEGIN PUBLIC KEY-----")) return undefined;
  try {
    return createPublicKey(pem);
  } catch {
    return undefined;
  }
}

function fromMembers(given: unknown): KeyObject | undefined {
  if (typeof given !== "object" || given === null) return undefined;
  if (!("kty" in given && "crv" in given && "x" in given && "y" in given)) return undefined;
  const { kty, crv, x, y } = given;
  if (kty !== "EC" || crv !== "P-256" || typeof x !== "string" || typeof y !== "string") {
    return undefined;
  }
  return fromJwk(x, y);
}

/** A point that is not on the curve is no key. */
function fromJwk(x: string, y: string): KeyObject | undefined {
  try {
    return createPublicKey({ key: { kty: "EC", crv: "P-256", x, y }, format: "jwk" });
  } catch {
    return undefined;
  }
}
