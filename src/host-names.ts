import { hostname } from "node:os";

/**
 * The names this machine goes by, in lower case: its host name, whole and without its domain, the
 * same under `.local` (RFC 6762 §3), and the ones the operator gives.
 */
export function hostNames(given: readonly string[] = [], own = hostname()): ReadonlySet<string> {
  const whole = own.toLowerCase();
  const [short = whole] = whole.split(".");
  const names = [whole, short, `${short}.local`, ...given.map((name) => name.toLowerCase())];
  return new Set(names.filter((name) => name !== "" && name !== ".local"));
}
