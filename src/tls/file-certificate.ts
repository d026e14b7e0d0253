import type { X509Certificate } from "node:crypto";
import { open } from "node:fs/promises";
import type { Clock } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { EXIT, StartError } from "../start-error.ts";
import type { CertificateSource } from "./certificate-source.ts";
import { provePair, validTo, type KeyPair, type Proof } from "./key-pair.ts";

const SERVER_AUTH = "1.3.6.1.5.5.7.3.1";

export type PairFiles = { readonly cert: string; readonly key: string };

type Time = Pick<Clock, "wallMs" | "isSynced">;

/** Both files as they were read. */
type Texts = { readonly cert: string; readonly key: string };

/**
 * The operator's certificate. What lies in the files is looked at again and again, by content: they may
 * be links that are put somewhere else. A new pair is proven before the old one goes.
 */
export class FileCertificate implements CertificateSource {
  readonly kind = "file";
  readonly #files: PairFiles;
  readonly #clock: Time;
  #pair: KeyPair;
  #texts: Texts;
  /** Seen once: whoever replaces two files does not do it at the same moment. */
  #unsettled: Texts | undefined;
  #problem: string | undefined;

  private constructor(files: PairFiles, clock: Time, texts: Texts, pair: KeyPair) {
    this.#files = files;
    this.#clock = clock;
    this.#texts = texts;
    this.#pair = pair;
  }

  /**
   * One that has ended serves all the same: it still encrypts, and a gateway that does not start helps nobody.
   * @throws StartError if the files cannot be read or do not make a pair.
   */
  static async open(files: PairFiles, clock: Time): Promise<FileCertificate> {
    const texts = await readBoth(files);
    if (typeof texts === "string") throw new StartError(EXIT.configuration, texts);
    const proof = prove(texts);
    if (!proof.ok) throw new StartError(EXIT.configuration, faultOf(files, proof.fault));
    return new FileCertificate(files, clock, texts, proof.pair);
  }

  get pair(): KeyPair {
    return this.#pair;
  }

  get problem(): string | undefined {
    return this.#problem ?? endingOf(this.#files, this.#pair, this.#clock);
  }

  check = async (): Promise<string | undefined> => {
    const texts = await readBoth(this.#files);
    if (typeof texts === "string") {
      this.#problem = texts;
      return undefined;
    }
    if (isSame(texts, this.#texts)) {
      this.#unsettled = undefined;
      this.#problem = undefined;
      return undefined;
    }
    const proof = proveNow(texts, this.#clock);
    if (!proof.ok) {
      const isSettled = isSame(texts, this.#unsettled);
      this.#unsettled = texts;
      if (isSettled) this.#problem = faultOf(this.#files, proof.fault);
      return undefined;
    }
    this.#texts = texts;
    this.#pair = proof.pair;
    this.#unsettled = undefined;
    this.#problem = undefined;
    return "its files have changed";
  };
}

/** @returns the texts, or what is wrong. */
async function readBoth(files: PairFiles): Promise<Texts | string> {
  try {
    return { cert: await readText(files.cert), key: await readText(files.key) };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function readText(path: string): Promise<string> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > FIXED_LIMITS.pemBytesMax) throw new Error(`${path} is too large for a PEM file`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

function prove({ cert, key }: Texts): Proof {
  const proof = provePair(cert, key);
  if (!proof.ok) return proof;
  // None named: good for all.
  const isForServers = purposesOf(proof.pair.chain[0])?.includes(SERVER_AUTH) ?? true;
  return isForServers ? proof : { ok: false, fault: "the certificate is not for servers" };
}

/** The extended key usage, under another name. */
function purposesOf({ keyUsage }: X509Certificate): readonly string[] | undefined {
  return keyUsage;
}

/** For one that is to take the place of another: it must not have ended, as far as the time is known. */
function proveNow(texts: Texts, clock: Time): Proof {
  const proof = prove(texts);
  if (!proof.ok || !clock.isSynced()) return proof;
  const [leaf] = proof.pair.chain;
  if (validTo(leaf) <= clock.wallMs()) {
    return { ok: false, fault: `the certificate ended on ${leaf.validTo}` };
  }
  if (Date.parse(leaf.validFrom) > clock.wallMs()) {
    return { ok: false, fault: `the certificate is not valid before ${leaf.validFrom}` };
  }
  return proof;
}

function endingOf(files: PairFiles, { chain: [leaf] }: KeyPair, clock: Time): string | undefined {
  const leftMs = validTo(leaf) - clock.wallMs();
  if (leftMs > FIXED_LIMITS.certificateWarnMs) return undefined;
  const verb = leftMs <= 0 ? "ended" : "ends";
  return `${files.cert}: the certificate ${verb} on ${leaf.validTo}: put a new one in its place`;
}

function isSame(texts: Texts, others: Texts | undefined): boolean {
  return texts.cert === others?.cert && texts.key === others.key;
}

function faultOf({ cert, key }: PairFiles, fault: string): string {
  return `${cert} and ${key}: ${fault}`;
}
