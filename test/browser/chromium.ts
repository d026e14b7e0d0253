import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import type { Test } from "tap";
import { Conversation } from "./conversation.ts";
import { Page, PHONE } from "./page.ts";

const FLAGS = [
  ...["--headless=new", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu"],
  ...["--disable-dev-shm-usage", "--no-first-run", "--disable-default-apps", "--disable-sync"],
  ...["--disable-background-networking", "--disable-component-update"],
] as const;

/**
 * An empty page of a browser that was never used, on a phone. It believes a server if the key with this
 * SHA-256 (of the SubjectPublicKeyInfo, in base64) is in its chain. Ended with the test.
 */
export async function openPage(t: Test, spkiSha256: string): Promise<Page> {
  const profile = mkdtempSync(join(tmpdir(), "sluice-browser-"));
  const own = [`--user-data-dir=${profile}`, `--ignore-certificate-errors-spki-list=${spkiSha256}`];
  const child = spawn("chromium", [...FLAGS, ...own, "about:blank"], {
    detached: true, // A process group of its own: all its processes are ended with it.
    stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"], HOME: profile },
  });
  // Rejected where there is no such program; who speaks to it hears that, too.
  const ended = once(child, "close").catch(() => undefined);
  t.teardown(async () => {
    if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    await ended;
    rmSync(profile, { recursive: true, force: true, maxRetries: 10 });
  });
  const browser = new Conversation(child.stdio[3] as Writable, child.stdio[4] as Readable);
  const { targetId } = await browser.send("Target.createTarget", { url: "about:blank" });
  const attach = { targetId, flatten: true };
  const { sessionId } = await browser.send("Target.attachToTarget", attach);
  const page = new Page(async (method, params) => browser.send(method, params, String(sessionId)));
  browser.listener = (told) => page.take(told);
  for (const domain of ["Page", "Runtime", "Log", "Network"]) await page.send(`${domain}.enable`);
  await page.show(PHONE);
  return page;
}
