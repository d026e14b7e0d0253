import { createHash, generateKeyPair, type KeyObject, type X509Certificate } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Random } from "../clock.ts";
import { makePrivateFolder } from "../durable-file.ts";
import { GatewayError } from "../errors.ts";
import { EXIT, StartError } from "../start-error.ts";
import { validTo, type KeyPair } from "./key-pair.ts";
import { readPair, writePair } from "./pair-file.ts";
import { issueCertificate, spkiOf, type CertificateWish } from "./x509.ts";

const generate = promisify(generateKeyPair);

/** Until 2049 nobody can change it in the devices: NIST SP 800-57 has 3072 bits for after 2030. */
const KEY_BITS = 3072;

/** Before every clock that has not been set: devices, and boxes, begin with 1970 again and again. */
export const CERTIFICATE_START_MS = 0;

/** The last second that fits into UTCTime (RFC 5280 §4.1.2.5): what small TLS libraries read for sure. */
export const CA_END_MS = Date.UTC(2049, 11, 31, 23, 59, 59);

export const CA_FILE = "ca.pem";
export const SERVER_FILE = "server.pem";

/** The gateway's own certificate authority: what devices are given to know the gateway by. */
export class Authority {
  readonly certificate: X509Certificate;
  /** PEM, and DER. */
  readonly pem: string;
  readonly der: Buffer;
  /** SHA-256 of the DER, as OpenSSL and browsers show it: `AB:CD:…`. */
  readonly fingerprint: string;
  /** Why it signs nothing; the certificates there are stay good. */
  readonly problem: string | undefined;
  readonly #key: KeyObject | undefined;
  readonly #random: Random;

  constructor(
    certificate: X509Certificate,
    key: KeyObject | undefined,
    random: Random,
    problem?: string,
  ) {
    this.certificate = certificate;
    this.pem = certificate.toString();
    this.der = certificate.raw;
    this.fingerprint = certificate.fingerprint256;
    this.problem = problem;
    this.#key = key;
    this.#random = random;
  }

  /** ms since the epoch; nothing that it signs lasts longer. */
  get notAfterMs(): number {
    return validTo(this.certificate);
  }

  /** Lower-case hexadecimal, as sha256sum shows it. */
  get sha256(): string {
    return createHash("sha256").update(this.der).digest("hex");
  }

  /** @throws GatewayError `storage-failed` if the key of the authority was lost. */
  issue(wish: Omit<CertificateWish, "notBeforeMs">): X509Certificate {
    if (this.#key === undefined) {
      throw new GatewayError("storage-failed", this.problem ?? "the key of the CA is not there");
    }
    const notAfterMs = Math.min(wish.notAfterMs, this.notAfterMs);
    return issueCertificate(
      { ...wish, notBeforeMs: CERTIFICATE_START_MS, notAfterMs },
      { key: this.#key, certificate: this.certificate },
      this.#random,
    );
  }
}

export type OpenedAuthority = {
  readonly authority: Authority;
  /** The server's pair of the last time, if it is good and this authority's. */
  readonly server: KeyPair | undefined;
};

/**
 * Opens the authority in `folder`, or makes one at the first start: valid from 1970 until 2049, whatever
 * any clock says. Where its file is damaged and the server's is not, the gateway goes on with that.
 * @throws StartError if there was an authority that cannot be told any more: a new one in its place
 * would shut every device out, and nobody would know why.
 */
export async function openAuthority(
  folder: string,
  gatewayId: string,
  random: Random,
): Promise<OpenedAuthority> {
  makePrivateFolder(folder);
  const own = readPair(join(folder, CA_FILE));
  const server = readPair(join(folder, SERVER_FILE));
  if (own?.ok === true) {
    const { key, chain } = own.pair;
    const [certificate] = chain;
    const isOurs = server?.ok === true && isIssuedBy(server.pair, certificate);
    const pair = isOurs ? server.pair : undefined;
    return { authority: new Authority(certificate, key, random), server: pair };
  }
  if (own === undefined && server === undefined) {
    return { authority: await makeAuthority(folder, gatewayId, random), server: undefined };
  }
  const fault = own?.fault ?? "it is not there";
  const path = join(folder, CA_FILE);
  const problem =
    `${path}: ${fault}. Restore it from a backup; or stop the gateway and remove ${folder}: ` +
    "it then makes a new CA, which every device has to be given";
  const [, certificate] = server?.ok === true ? server.pair.chain : [];
  if (server?.ok !== true || certificate === undefined) {
    throw new StartError(EXIT.storage, problem);
  }
  return {
    authority: new Authority(certificate, undefined, random, problem),
    server: server.pair,
  };
}

async function makeAuthority(
  folder: string,
  gatewayId: string,
  random: Random,
): Promise<Authority> {
  const { publicKey, privateKey } = await generate("rsa", { modulusLength: KEY_BITS });
  const certificate = issueCertificate(
    {
      subject: { organization: "Sluice", commonName: `Sluice CA ${gatewayId}` },
      publicKey: spkiOf(publicKey),
      use: "authority",
      notBeforeMs: CERTIFICATE_START_MS,
      notAfterMs: CA_END_MS,
    },
    { key: privateKey },
    random,
  );
  writePair(join(folder, CA_FILE), { key: privateKey, chain: [certificate] });
  return new Authority(certificate, privateKey, random);
}

function isIssuedBy({ chain: [leaf] }: KeyPair, authority: X509Certificate): boolean {
  return leaf.checkIssued(authority) && leaf.verify(authority.publicKey);
}
