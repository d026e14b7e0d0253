import type { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { FIXED_LIMITS } from "../limits.ts";
import { CA_END_MS } from "./authority.ts";
import { validTo } from "./key-pair.ts";

const DAY_MS = 86_400_000;

/** Browsers take none that is issued for longer (CA/Browser Forum, 398 days). */
const LIFE_MS = 397 * DAY_MS;

/** What the server's certificate has to go with. */
export type Circumstances = {
  readonly names: readonly string[];
  readonly nowMs: number;
  /** The time is believed: nobody has to reckon with having been off for years. */
  readonly isTimeKnown: boolean;
};

/**
 * How long a new certificate is good for: 397 days; but as long as the authority where the time is not
 * known. Such a box may have been off for years: counted from its own idea of now, the certificate could
 * have ended already for every device whose clock is right.
 */
export function endOfNew({ nowMs, isTimeKnown }: Circumstances): number {
  return isTimeKnown ? Math.min(nowMs + LIFE_MS, CA_END_MS) : CA_END_MS;
}

/** Why there has to be a new certificate; `undefined`: this one will do. */
export function renewalReason(
  certificate: X509Certificate,
  circumstances: Circumstances,
): string | undefined {
  const { names, nowMs, isTimeKnown } = circumstances;
  const missing = names.filter((name) => !isNamed(certificate, name));
  if (missing.length > 0) return `it does not name ${missing.join(", ")}`;
  const endMs = validTo(certificate);
  const freshEndMs = endOfNew(circumstances);
  if (!isTimeKnown) {
    return endMs < freshEndMs
      ? "the time is not known: it is to last whatever the time is"
      : undefined;
  }
  if (endMs > freshEndMs + DAY_MS) return "the time is known: it need not last so long";
  const isDue = nowMs >= endMs - LIFE_MS / 3 && freshEndMs > endMs + DAY_MS;
  return isDue ? "two thirds of its life are over" : undefined;
}

/**
 * The names of a new certificate: those wanted, and where it is due to a new name those of the old one
 * too, so that an address which comes and goes is not a new one each time.
 */
export function namesOfNew(
  certificate: X509Certificate | undefined,
  { names }: Circumstances,
): readonly string[] {
  const isForName = certificate !== undefined && names.some((name) => !isNamed(certificate, name));
  const before = isForName ? namesIn(certificate) : [];
  return [...new Set([...names, ...before])].slice(0, FIXED_LIMITS.serverNamesMax);
}

/** Host names and addresses a certificate speaks for. */
export function namesIn({ subjectAltName = "" }: X509Certificate): readonly string[] {
  const found = subjectAltName.matchAll(/(?:DNS|IP Address):([^,\s]+)/g);
  return [...found].map(([, name = ""]) => shortAddress(name));
}

function isNamed(certificate: X509Certificate, name: string): boolean {
  if (isIP(name) !== 0) return certificate.checkIP(name) !== undefined;
  return certificate.checkHost(name, { subject: "never" }) !== undefined;
}

/** As RFC 5952 has it; OpenSSL leaves out no zeros. */
function shortAddress(name: string): string {
  return isIP(name) === 6 ? new URL(`http://[${name}]`).hostname.slice(1, -1) : name;
}
