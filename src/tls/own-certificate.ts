import { generateKeyPair, type KeyObject } from "node:crypto";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Clock } from "../clock.ts";
import { SERVER_FILE, type Authority } from "./authority.ts";
import type { CertificateSource } from "./certificate-source.ts";
import type { KeyPair } from "./key-pair.ts";
import { writePair } from "./pair-file.ts";
import { endOfNew, namesOfNew, renewalReason, type Circumstances } from "./renewal.ts";
import { MACHINE, serverNames, type Surroundings } from "./server-names.ts";
import { spkiOf } from "./x509.ts";

const generate = promisify(generateKeyPair);

/** What every handshake signs with: twice as long takes seven times the time of a small processor. */
const KEY_BITS = 2048;

export type OwnCertificateDeps = {
  readonly authority: Authority;
  /** Where it is kept. */
  readonly folder: string;
  /** Names besides those of the machine. */
  readonly names: readonly string[];
  readonly clock: Pick<Clock, "wallMs" | "isSynced">;
  readonly surroundings?: Surroundings;
};

/** The server's certificate, signed by the gateway's own CA. Its key stays the same when it is renewed. */
export class OwnCertificate implements CertificateSource {
  readonly kind = "own";
  readonly #deps: OwnCertificateDeps;
  #pair: KeyPair;
  #problem: string | undefined;

  private constructor(deps: OwnCertificateDeps, pair: KeyPair) {
    this.#deps = deps;
    this.#pair = pair;
  }

  /**
   * Goes on with the pair of the last time, or makes one.
   * @throws Error of the file system; GatewayError if there is none and the CA cannot sign.
   */
  static async open(
    deps: OwnCertificateDeps,
    before: KeyPair | undefined,
  ): Promise<OwnCertificate> {
    if (before === undefined) {
      const { privateKey, publicKey } = await generate("rsa", { modulusLength: KEY_BITS });
      const pair = issue(deps, privateKey, publicKey, circumstancesOf(deps));
      writePair(join(deps.folder, SERVER_FILE), pair);
      return new OwnCertificate(deps, pair);
    }
    const opened = new OwnCertificate(deps, before);
    await opened.check();
    return opened;
  }

  get pair(): KeyPair {
    return this.#pair;
  }

  get problem(): string | undefined {
    return this.#problem;
  }

  check = async (): Promise<string | undefined> => {
    const { authority, folder } = this.#deps;
    const circumstances = circumstancesOf(this.#deps);
    const { key, chain } = this.#pair;
    const [current] = chain;
    const reason = renewalReason(current, circumstances);
    this.#problem = authority.problem;
    if (reason === undefined || authority.problem !== undefined) return undefined;
    const names = namesOfNew(current, circumstances);
    const pair = issue(this.#deps, key, current.publicKey, { ...circumstances, names });
    this.#pair = pair;
    try {
      writePair(join(folder, SERVER_FILE), pair);
    } catch (error) {
      // It serves all the same; the next start makes it anew.
      this.#problem = `the renewed certificate could not be written: ${String(error)}`;
    }
    return Promise.resolve(reason);
  };
}

function issue(
  { authority }: OwnCertificateDeps,
  key: KeyObject,
  publicKey: KeyObject,
  circumstances: Circumstances,
): KeyPair {
  const { names } = circumstances;
  const certificate = authority.issue({
    // What people are shown; what counts are the names.
    subject: { organization: "Sluice", commonName: (names[0] ?? "sluice").slice(0, 64) },
    publicKey: spkiOf(publicKey),
    use: "server",
    names,
    notAfterMs: endOfNew(circumstances),
  });
  return { key, chain: [certificate, authority.certificate] };
}

function circumstancesOf(deps: OwnCertificateDeps): Circumstances {
  const { names, clock, surroundings = MACHINE } = deps;
  return {
    names: serverNames(names, surroundings),
    nowMs: clock.wallMs(),
    isTimeKnown: clock.isSynced(),
  };
}
