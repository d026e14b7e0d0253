import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder of its own, gone when the callback is done. */
export async function withFolder<Outcome>(
  use: (folder: string) => Outcome | Promise<Outcome>,
): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-tls-"));
  try {
    return await use(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** What `openssl` writes. @throws if it fails. */
export function openssl(folder: string, ...args: readonly string[]): Buffer {
  return execFileSync("openssl", args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
}

/** As `openssl`; also what it complains of, and whether it was content. */
export function opensslOutcome(
  folder: string,
  ...args: readonly string[]
): { readonly ok: boolean; readonly text: string } {
  const { status, stdout, stderr } = spawnSync("openssl", args, { cwd: folder });
  return { ok: status === 0, text: `${stdout.toString()}${stderr.toString()}` };
}

/** As `openssl genpkey` knows them. */
export const KEYS = {
  rsa: ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
  p256: ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
} as const;

/** Makes `<name>.key` and the request `<name>.csr` for it, in PEM. */
export function makeRequest(
  folder: string,
  name: string,
  options: { readonly key?: readonly string[]; readonly req?: readonly string[] } = {},
): Buffer {
  openssl(folder, "genpkey", ...(options.key ?? KEYS.p256), "-out", `${name}.key`);
  const subject = ["-subj", "/CN=what the device says"];
  const args = ["-new", "-key", `${name}.key`, ...subject, ...(options.req ?? [])];
  const request = openssl(folder, "req", ...args);
  writeFileSync(join(folder, `${name}.csr`), request);
  return request;
}
