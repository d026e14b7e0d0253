import { createHash, hash, scrypt, timingSafeEqual } from "node:crypto";
import type { Random } from "./clock.ts";
import { FIXED_LIMITS } from "./limits.ts";

/**
 * What the disk holds in place of a secret. `sha256`: for secrets we made, of 120 bits and more.
 * `scrypt`: for passwords a person chose (RFC 7914; N = 2^15, r = 8, p = 1, about 32 MiB).
 */
export type SecretHash = {
  readonly kind: "sha256" | "scrypt";
  /** base64url. */
  readonly salt: string;
  readonly hash: string;
};

const SALT_BYTES = 16;
const SCRYPT_BYTES = 32;
const SCRYPT_OPTIONS = { N: 2 ** 15, r: 8, p: 1, maxmem: 64 * 1024 * 1024 } as const;

/** For a secret made by `generateSecret`: quick, because guessing 120 bits is hopeless. */
export function hashGenerated(secret: string, random: Random): SecretHash {
  const salt = Buffer.from(random.bytes(SALT_BYTES)).toString("base64url");
  return { kind: "sha256", salt, hash: sha256(salt, secret).toString("base64url") };
}

/** For a password a person chose: slow on purpose, on the thread pool, two at a time. */
export async function hashChosen(password: string, random: Random): Promise<SecretHash> {
  const salt = Buffer.from(random.bytes(SALT_BYTES)).toString("base64url");
  const hash = await stretch(password, salt);
  return { kind: "scrypt", salt, hash: hash.toString("base64url") };
}

/** In constant time with regard to the secret. */
export async function isSecret(secret: string, stored: SecretHash): Promise<boolean> {
  if (stored.kind === "sha256") return isGeneratedSecret(secret, stored);
  const hash = await stretch(secret, stored.salt);
  return timingSafeEqual(hash, Buffer.from(stored.hash, "base64url"));
}

/**
 * What the disk holds of the password of a person: a PHC string, `$scrypt$ln=15,r=8,p=1$salt$hash`, so
 * that a later version can ask for more and still check this one. On the thread pool, two at a time.
 */
export async function hashPassword(password: string, random: Random): Promise<string> {
  const salt = Buffer.from(random.bytes(SALT_BYTES));
  const hash = await stretch(composed(password), salt);
  return `$scrypt$ln=15,r=8,p=1$${unpadded(salt)}$${unpadded(hash)}`;
}

const PHC = /^\$scrypt\$ln=15,r=8,p=1\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** In constant time with regard to the password. False for a string that `hashPassword` did not make. */
export async function isPassword(password: string, phc: string): Promise<boolean> {
  const [, salt, wanted] = PHC.exec(phc) ?? [];
  if (salt === undefined || wanted === undefined) return false;
  const hash = await stretch(composed(password), Buffer.from(salt, "base64"));
  const expected = Buffer.from(wanted, "base64");
  return expected.length === hash.length && timingSafeEqual(hash, expected);
}

/** One keyboard types ü as one code point, another as two (NIST SP 800-63B §5.1.1.2). */
function composed(password: string): string {
  return password.normalize("NFC");
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replaceAll("=", "");
}

/** The synchronous case of `isSecret`: false for a password that was chosen. */
export function isGeneratedSecret(secret: string, stored: SecretHash): boolean {
  if (stored.kind !== "sha256") return false;
  return timingSafeEqual(sha256(stored.salt, secret), Buffer.from(stored.hash, "base64url"));
}

/** A digest by which a secret of high entropy can be looked up. */
export function lookupDigest(secret: string): string {
  return hash("sha256", secret, "base64url");
}

function sha256(salt: string, secret: string): Buffer {
  return createHash("sha256").update(salt).update("\0").update(secret).digest();
}

const stretches: { running: number; readonly waiting: (() => void)[] } = {
  running: 0,
  waiting: [],
};

async function stretch(password: string, salt: string | Buffer): Promise<Buffer> {
  if (stretches.running < FIXED_LIMITS.passwordHashesMax) stretches.running += 1;
  else await new Promise<void>((resolve) => stretches.waiting.push(resolve));
  try {
    return await new Promise((resolve, reject) => {
      scrypt(password, salt, SCRYPT_BYTES, SCRYPT_OPTIONS, (error, key) => {
        if (error === null) resolve(key);
        else reject(error);
      });
    });
  } finally {
    // The turn goes over to the one that has waited longest.
    const next = stretches.waiting.shift();
    if (next === undefined) stretches.running -= 1;
    else next();
  }
}

const LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789";
/** Safe in a shell's single quotes and in C strings: no quotes, no backslash, no `?` (trigraphs). */
const PASSWORD_SYMBOLS = "!#$%*+-=@^_~.:";
const PASSWORD_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
const USER_LENGTH = 11;
const PASSWORD_LENGTH = 24;

/** 11 lower-case alphanumerics. */
export function generateUser(random: Random): string {
  return pickCharacters(LETTERS, USER_LENGTH, random);
}

/** 24 characters with at least one letter, one digit and one symbol; about 146 bits. */
export function generatePassword(random: Random): string {
  for (;;) {
    const password = pickCharacters(PASSWORD_LETTERS + PASSWORD_SYMBOLS, PASSWORD_LENGTH, random);
    if (/[A-Za-z]/.test(password) && /[0-9]/.test(password) && /[^A-Za-z0-9]/.test(password)) {
      return password;
    }
  }
}

const TOKEN_BYTES = 24;

/** `slu_` and 192 random bits. */
export function generateToken(random: Random): string {
  return `slu_${Buffer.from(random.bytes(TOKEN_BYTES)).toString("base64url")}`;
}

/** Characters drawn evenly: bytes beyond the last whole multiple are thrown away. */
export function pickCharacters(alphabet: string, length: number, random: Random): string {
  const even = 256 - (256 % alphabet.length);
  let text = "";
  while (text.length < length) {
    for (const byte of random.bytes(length)) {
      if (byte < even && text.length < length) text += alphabet.charAt(byte % alphabet.length);
    }
  }
  return text;
}

/**
 * The text with the secret part of each bearer token left out: for texts that strangers choose and
 * that are kept or logged. People put tokens into the wrong field.
 */
export function withoutTokens(text: string): string {
  return text.includes("slu_") ? text.replaceAll(/slu_[A-Za-z0-9_-]+/g, "slu_…") : text;
}
