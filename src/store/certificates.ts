import { z } from "zod";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import { certificateKey, everyRow, serialOfCertificateKey } from "./keys.ts";

/** A client certificate that was issued: what is known of it, not the certificate itself. Times in ms. */
export type Certificate = {
  /** Hexadecimal, upper case: unique on the box. */
  readonly serial: string;
  /** Sorts by the time of issue. */
  readonly ulid: string;
  /** ULID of the credential that it stands for. */
  readonly credential: string;
  readonly account: string;
  readonly subject: string;
  /** Uid of the one Thing the credential was for when it was issued: it ends with that. */
  readonly thing?: string;
  readonly key: "rsa" | "p256";
  /** SHA-256 of the whole certificate, hexadecimal: the serial alone is only a number. */
  readonly fingerprint: string;
  readonly created: number;
  readonly notAfter: number;
  /** When it was revoked. */
  readonly revoked?: number;
};

const rowSchema = z.object({
  ulid: z.string(),
  credential: z.string(),
  account: z.string(),
  subject: z.string(),
  thing: z.string().exactOptional(),
  key: z.enum(["rsa", "p256"]),
  fingerprint: z.string(),
  created: z.number(),
  notAfter: z.number(),
  revoked: z.number().exactOptional(),
});

/** All client certificates, in memory and on disk. */
export class Certificates {
  readonly #commit: Commit;
  readonly #bySerial = new Map<string, Certificate>();
  readonly #byCredential = new Map<string, Map<string, Certificate>>();

  /** No certificate ends from the one to the other. */
  #takenUntil = -Infinity;
  #nextEnd = Infinity;

  constructor(commit: Commit) {
    this.#commit = commit;
  }

  async load(database: Database): Promise<void> {
    const certificates = await readRows(database, everyRow.certificate, (key, row) => {
      return { ...rowSchema.parse(JSON.parse(row)), serial: serialOfCertificateKey(key) };
    });
    for (const certificate of certificates) this.#remember(certificate);
  }

  get count(): number {
    return this.#bySerial.size;
  }

  get(serial: string): Certificate | undefined {
    return this.#bySerial.get(serial);
  }

  all(): IterableIterator<Certificate> {
    return this.#bySerial.values();
  }

  /** By ULID, and so by the time they were issued. */
  ofCredential(credential: string): readonly Certificate[] {
    const found = [...(this.#byCredential.get(credential)?.values() ?? [])];
    return found.sort((a, b) => (a.ulid < b.ulid ? -1 : 1));
  }

  /** Those that ended until now and were not taken before; after a start all that have ended. */
  takeEnded(now: number): readonly Certificate[] {
    if (now < this.#nextEnd) return [];
    const ended: Certificate[] = [];
    const from = this.#takenUntil;
    this.#takenUntil = now;
    this.#nextEnd = Infinity;
    for (const certificate of this.#bySerial.values()) {
      const { notAfter } = certificate;
      if (notAfter > now) this.#nextEnd = Math.min(this.#nextEnd, notAfter);
      else if (notAfter > from) ended.push(certificate);
    }
    return ended;
  }

  put(certificate: Certificate): void {
    const { serial, ...row } = certificate;
    this.#commit.put(certificateKey(serial), JSON.stringify(row));
    this.#remember(certificate);
  }

  delete({ serial, credential }: Certificate): void {
    this.#commit.delete(certificateKey(serial));
    this.#bySerial.delete(serial);
    const ofCredential = this.#byCredential.get(credential);
    ofCredential?.delete(serial);
    if (ofCredential?.size === 0) this.#byCredential.delete(credential);
  }

  #remember(certificate: Certificate): void {
    const { serial, credential } = certificate;
    this.#bySerial.set(serial, certificate);
    this.#nextEnd = Math.min(this.#nextEnd, certificate.notAfter);
    const ofCredential = this.#byCredential.get(credential) ?? new Map<string, Certificate>();
    ofCredential.set(serial, certificate);
    this.#byCredential.set(credential, ofCredential);
  }
}
