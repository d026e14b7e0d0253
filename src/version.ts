import { readFileSync } from "node:fs";

/**
 * The day of this version, ms since the epoch: no true time is before it. It stands in the source and
 * not on the files, so that every build of a version has the same, and none a wrong one of the
 * machine that built it.
 */
export const VERSION_DAY_MS = Date.UTC(2026, 10, 22);

/** The version in package.json, which lies two folders above the compiled file wherever it is installed. */
export function packageVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const manifest: unknown = JSON.parse(text);
  if (typeof manifest === "object" && manifest !== null && "version" in manifest) {
    if (typeof manifest.version === "string") return manifest.version;
  }
  return "unknown";
}
