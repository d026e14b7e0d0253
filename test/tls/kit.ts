import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "tap";
import { systemRandom } from "../../src/clock.ts";
import type { Log } from "../../src/log.ts";
import { openAuthority, type Authority } from "../../src/tls/authority.ts";
import { OwnCertificate } from "../../src/tls/own-certificate.ts";
import { ServerIdentity, type TlsSettings } from "../../src/tls/server-identity.ts";
import { ManualClock } from "../store/manual-clock.ts";

export const DAY_MS = 86_400_000;

export function folderOf(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tls-"));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** What openssl says of it; throws with what it complains of. */
export function openssl(args: readonly string[], input = ""): string {
  return execFileSync("openssl", args, { input, encoding: "utf8", stdio: "pipe" });
}

/** A pair the operator has from somewhere else: an RSA key and a certificate of its own. */
export function foreignPair(
  folder: string,
  name: string,
  options: { readonly days?: number; readonly use?: string } = {},
): { readonly cert: string; readonly key: string } {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)];
  const { days = 365, use = "serverAuth" } = options;
  openssl([
    ...["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", `/CN=${name}`],
    ...["-days", String(days), "-keyout", key, "-out", cert],
    ...["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
    ...["-addext", `extendedKeyUsage=${use}`],
  ]);
  return { cert, key };
}

/** A machine whose name and addresses a test changes. */
export class Machine {
  name = "box";
  where: readonly string[] = ["127.0.0.1", "192.0.2.7", "fe80::1%eth0"];
  readonly hostname = (): string => this.name;
  readonly addresses = (): readonly string[] => this.where;
}

export function recordingLog(): Log & { readonly events: string[] } {
  const events: string[] = [];
  const note = (event: string): void => void events.push(event);
  return { events, error: note, warn: note, info: note, debug: note };
}

export type Opened = {
  readonly authority: Authority;
  readonly own: OwnCertificate;
};

/** The CA and the server's certificate in `folder`, as a start opens them. */
export async function openOwn(
  folder: string,
  clock: ManualClock,
  surroundings: Machine = new Machine(),
): Promise<Opened> {
  const { authority, server } = await openAuthority(folder, "01JTEST", systemRandom);
  const of = { authority, folder, names: ["gw.example"], clock, surroundings };
  return { authority, own: await OwnCertificate.open(of, server) };
}

export async function openIdentity(
  folder: string,
  clock: ManualClock,
  settings: Partial<TlsSettings> = {},
  surroundings: Machine = new Machine(),
): Promise<ServerIdentity & { readonly log: ReturnType<typeof recordingLog> }> {
  const log = recordingLog();
  const identity = await ServerIdentity.open(
    { folder, gatewayId: "01JTEST", names: [], minVersion: "TLSv1.2", ...settings },
    { clock, random: systemRandom, log, surroundings },
  );
  return Object.assign(identity, { log });
}
