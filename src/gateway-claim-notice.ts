import { chmodSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { deleteDurably, writeDurably } from "./durable-file.ts";
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

/**
 * Where a claim code can be typed: on the page, where nobody on the network reads what is sent. A plain
 * listener takes it from the machine itself only.
 */
export function claimPlaces(
  plainHost: string,
  plainPort: number | undefined,
): Omit<ClaimNotice, "code"> {
  const reached = isIP(plainHost) !== 0 && isAnyAddress(plainHost) ? "127.0.0.1" : plainHost;
  const isHere = plainPort !== undefined && isLoopbackHost(reached);
  const host = isIP(reached) === 6 ? `[${reached}]` : reached;
  return { urls: isHere ? [`http://${host}:${plainPort}/ui/claim`] : [], caSha256: undefined };
}

function isAnyAddress(host: string): boolean {
  return host === "0.0.0.0" || /^[0:]+$/.test(host);
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
