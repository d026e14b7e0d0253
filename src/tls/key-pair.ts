import { createPrivateKey, sign, verify, X509Certificate, type KeyObject } from "node:crypto";
import { createSecureContext } from "node:tls";

/** A private key, and the certificates from the one that goes with it up. */
export type KeyPair = {
  readonly key: KeyObject;
  readonly chain: readonly [X509Certificate, ...X509Certificate[]];
};

export type Proof =
  | { readonly ok: true; readonly pair: KeyPair }
  /** Says which part is wrong; nothing of the key. */
  | { readonly ok: false; readonly fault: string };

/**
 * Reads a pair and proves that it can be used: both parse, the key signs what the certificate verifies,
 * each certificate is issued by the next, and OpenSSL takes them for a server. It says nothing of time.
 */
export function provePair(certificates: string, key: string): Proof {
  try {
    return { ok: true, pair: requirePair(certificates, key) };
  } catch (error) {
    return { ok: false, fault: error instanceof Error ? error.message : String(error) };
  }
}

/** The certificates, from the one that goes with the key up. */
export function pemOf({ chain }: Pick<KeyPair, "chain">): string {
  return chain.map((certificate) => certificate.toString()).join("");
}

/** PKCS #8, not encrypted: a gateway that starts by itself has nobody to ask. */
export function keyPemOf({ key }: Pick<KeyPair, "key">): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

/** ms since the epoch. */
export function validTo(certificate: X509Certificate): number {
  return Date.parse(certificate.validTo);
}

function requirePair(certificates: string, keyText: string): KeyPair {
  const chain = readChain(certificates);
  const [leaf] = chain;
  const key = readKey(keyText);
  if (!leaf.checkPrivateKey(key) || !signsFor(key, leaf)) {
    throw new Error("the key is not the one of the certificate");
  }
  chain.forEach((certificate, index) => {
    const issuer = chain[index + 1];
    if (issuer === undefined) return;
    if (certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey)) return;
    throw new Error(`certificate ${index + 1} of the chain is not issued by the next one`);
  });
  requireTaken(certificates, keyText);
  return { key, chain };
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

function readChain(text: string): KeyPair["chain"] {
  const [first, ...others] = text.match(BLOCK) ?? [];
  if (first === undefined) throw new Error("there is no certificate in PEM");
  return [readCertificate(first, 0), ...others.map((block, at) => readCertificate(block, at + 1))];
}

function readCertificate(block: string, index: number): X509Certificate {
  try {
    return new X509Certificate(block);
  } catch {
    throw new Error(`certificate ${index + 1} cannot be read`);
  }
}

function readKey(text: string): KeyObject {
  try {
    return createPrivateKey(text);
  } catch (error) {
    const isEncrypted = text.includes("ENCRYPTED") || codeOf(error) === "ERR_MISSING_PASSPHRASE";
    throw new Error(isEncrypted ? "the key needs a passphrase" : "the key cannot be read", {
      cause: error,
    });
  }
}

/** A key with a broken private half still has the public half that is compared. */
function signsFor(key: KeyObject, { publicKey }: X509Certificate): boolean {
  const algorithm = /^(rsa|ec)/.test(key.asymmetricKeyType ?? "") ? "sha256" : null;
  const probe = Buffer.from("probe");
  try {
    return verify(algorithm, probe, publicKey, sign(algorithm, probe, key));
  } catch {
    return false;
  }
}

/** What OpenSSL does not take is found now and not by the first client: too small a key, say. */
function requireTaken(cert: string, key: string): void {
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    throw new Error(`OpenSSL does not take it (${codeOf(error)})`, { cause: error });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && "code" in error ? String(error.code) : String(error);
}
