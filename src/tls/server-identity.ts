import type { X509Certificate } from "node:crypto";
import type { SecureContextOptions, SecureVersion } from "node:tls";
import { constants } from "node:crypto";
import type { CancelTimer, Clock, Random } from "../clock.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { Log } from "../log.ts";
import { openAuthority, type Authority } from "./authority.ts";
import type { CertificateSource } from "./certificate-source.ts";
import { FileCertificate, type PairFiles } from "./file-certificate.ts";
import { keyPemOf, pemOf, validTo } from "./key-pair.ts";
import { OwnCertificate } from "./own-certificate.ts";
import { namesIn } from "./renewal.ts";
import type { Surroundings } from "./server-names.ts";

export type TlsSettings = {
  /** Of the CA and of what it signed for the server. */
  readonly folder: string;
  readonly gatewayId: string;
  /** Host names and addresses of the certificate besides those of the machine. */
  readonly names: readonly string[];
  /** The operator's own certificate. */
  readonly files?: PairFiles;
  readonly minVersion: Extract<SecureVersion, "TLSv1.2" | "TLSv1.3">;
};

export type TlsDeps = {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly surroundings?: Surroundings;
};

/** Forward secret and authenticated ones only (Mozilla's intermediate list); TLS 1.3 has no others. */
const CIPHERS = [
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "TLS_AES_128_GCM_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/**
 * What the gateway shows of itself on its TLS ports: one certificate for all of them, kept good while it
 * runs. A new one is for new connections; those there are go on with what they began with.
 */
export class ServerIdentity {
  readonly authority: Authority;
  readonly #settings: TlsSettings;
  readonly #deps: TlsDeps;
  readonly #source: CertificateSource;
  readonly #listeners = new Set<() => void>();
  #problem: { readonly at: number; readonly detail: string } | undefined;
  #cancelTimer: CancelTimer | undefined;
  #isStopped = false;

  private constructor(
    authority: Authority,
    source: CertificateSource,
    settings: TlsSettings,
    deps: TlsDeps,
  ) {
    this.authority = authority;
    this.#source = source;
    this.#settings = settings;
    this.#deps = deps;
    this.#tellProblem();
  }

  /**
   * Opens the CA, or makes it at the first start, and the certificate.
   * @throws StartError; Error of the file system.
   */
  static async open(settings: TlsSettings, deps: TlsDeps): Promise<ServerIdentity> {
    const { folder, gatewayId, names, files } = settings;
    const { authority, server } = await openAuthority(folder, gatewayId, deps.random);
    const of = { ...deps, authority, folder, names };
    const source =
      files === undefined
        ? await OwnCertificate.open(of, server)
        : await FileCertificate.open(files, deps.clock);
    return new ServerIdentity(authority, source, settings, deps);
  }

  /** For `tls.createServer` and `setSecureContext`. */
  get secureContext(): SecureContextOptions {
    const { kind, pair } = this.#source;
    // Who is to trust our CA has it; sent along it would only fill the buffers of small devices.
    const chain = kind === "own" ? ([pair.chain[0]] as const) : pair.chain;
    return {
      key: keyPemOf(pair),
      cert: pemOf({ chain }),
      // Told to clients: whose certificates are asked for. A browser that has none asks nobody.
      ca: this.authority.pem,
      minVersion: this.#settings.minVersion,
      ciphers: CIPHERS,
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    };
  }

  /** @returns what ends it. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  get certificate(): X509Certificate {
    return this.#source.pair.chain[0];
  }

  /** For a status; times in ms since the epoch. */
  describe() {
    const { certificate } = this;
    return {
      source: this.#source.kind,
      minVersion: this.#settings.minVersion,
      fingerprint: certificate.fingerprint256,
      notAfterMs: validTo(certificate),
      names: namesIn(certificate),
      problem: this.#problem,
    };
  }

  /** Looks after the certificate from now on. */
  start(): void {
    this.#cancelTimer = this.#deps.clock.after(FIXED_LIMITS.certificateCheckMs, () => {
      void this.check().then(() => {
        if (!this.#isStopped) this.start();
      });
    });
  }

  /** Idempotent. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
  }

  /** Renews or reloads the certificate if it is time to. Never rejects. */
  async check(): Promise<void> {
    const { log } = this.#deps;
    try {
      const reason = await this.#source.check();
      if (reason !== undefined) {
        const { source, fingerprint, notAfterMs } = this.describe();
        const notAfter = new Date(notAfterMs).toISOString();
        log.info("tls.certificate_changed", { reason, source, fingerprint, notAfter });
        for (const listener of this.#listeners) listener();
      }
      this.#tellProblem();
    } catch (error) {
      log.error("tls.check_failed", { error });
    }
  }

  #tellProblem(): void {
    const { problem } = this.#source;
    if (problem === this.#problem?.detail) return;
    if (problem === undefined) {
      this.#problem = undefined;
      this.#deps.log.info("tls.problem_solved");
      return;
    }
    this.#problem = { at: this.#deps.clock.wallMs(), detail: problem };
    this.#deps.log.warn("tls.problem", { problem });
  }
}
