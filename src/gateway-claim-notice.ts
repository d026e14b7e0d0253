import { chmodSync } from "node:fs";
import { isIP } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { deleteDurably, writeDurably } from "./durable-file.ts";
import { hostNames } from "./host-names.ts";
import type { Claim } from "./interactions/claim.ts";
import type { Log } from "./log.ts";
import { isLoopbackHost } from "./loopback.ts";

/** How the box can be claimed: for those who can see it. */
export type ClaimNotice = {
  /** As it is shown. */
  readonly code: string;
  /** Of the page on which it is typed, without the code; the best one first. */
  readonly urls: readonly string[];
  /** SHA-256 of the certificate of the box's own CA, if it has one. */
  readonly caSha256: string | undefined;
};

type Listened = { readonly host: string; readonly port: number };

/**
 * The pages where a claim code can be typed so that nobody on the network reads what is sent, the best
 * one first. A plain listener takes it from the machine itself only.
 */
export function claimUrls(
  plain: Listened,
  secure: Listened | undefined,
  reached = reachedAddresses(),
): readonly string[] {
  const hosts = secure === undefined ? [] : isAnyAddress(secure.host) ? reached : [secure.host];
  const here = isAnyAddress(plain.host) ? "127.0.0.1" : plain.host;
  return [
    ...hosts.map((host) => `https://${inUrl(host)}:${secure?.port ?? 0}/ui/claim`),
    ...(isLoopbackHost(here) ? [`http://${inUrl(here)}:${plain.port}/ui/claim`] : []),
  ];
}

/** What a phone on the network can be told: the first address, and the name that mDNS may know. */
function reachedAddresses(): readonly string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  const first = all.find(({ internal, family }) => !internal && family === "IPv4")?.address;
  const local = [...hostNames()].find((name) => name.endsWith(".local"));
  return [first, local].filter((host) => host !== undefined);
}

function inUrl(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

function isAnyAddress(host: string): boolean {
  return host === "0.0.0.0" || (isIP(host) === 6 && /^[0:]+$/.test(host));
}

/** Where it can be claimed, as long as it can. */
export function noticeOf(claim: Claim, places: Omit<ClaimNotice, "code">): ClaimNotice | undefined {
  return claim.code === undefined ? undefined : { code: claim.code, ...places };
}

export function noticeText({ code, urls, caSha256 }: ClaimNotice): string {
  const lines = [
    `claim code: ${code}`,
    ...urls.map((url) => `claim at: ${url}#${code}`),
    ...(caSha256 === undefined ? [] : [`CA SHA-256: ${caSha256}`]),
  ];
  return `${lines.join("\n")}\n`;
}

/**
 * Shows how the box can be claimed where only somebody at the box sees it: on its console or, as a
 * service, in a file of `directory`, so that the journal never holds the code. `undefined`: no more.
 * Never fails: the command line can always ask.
 */
export function showClaim(
  notice: ClaimNotice | undefined,
  to: {
    /** As a service: systemd's runtime directory, or the store. */
    readonly directory: string | undefined;
    readonly print: (text: string) => void;
    readonly log: Log;
  },
): void {
  if (to.directory === undefined) {
    if (notice !== undefined) to.print(noticeText(notice));
    return;
  }
  const path = join(to.directory, "claim");
  try {
    if (notice === undefined) {
      deleteDurably(path);
      return;
    }
    writeDurably(path, noticeText(notice));
    // The unit's umask leaves the group nothing.
    chmodSync(path, 0o640);
    to.log.info("claim.written", { path });
  } catch (error) {
    to.log.error("claim.not_written", { path, error, remedy: "sluice claim --show" });
  }
}
