import { createHash } from "node:crypto";
import type { Config } from "./config.ts";
import { OF_GATEWAY } from "./store/audit.ts";
import { metaKey } from "./store/keys.ts";
import type { Store } from "./store/store.ts";

const CONFIG = metaKey("config");

/**
 * Records the start, and which keys of the configuration are not what they were at the last one:
 * never a value. Of a key that holds a secret it is known whether it is set, and no more.
 */
export function recordStart(
  { audit, commit }: Pick<Store, "audit" | "commit">,
  config: Config,
  version: string,
): void {
  audit.record({ ...OF_GATEWAY, action: "gateway.start", target: version });
  const now = digests(config);
  const kept = commit.read(CONFIG);
  const text = JSON.stringify(now);
  if (kept === text) return;
  commit.put(CONFIG, text);
  if (kept === undefined) return;
  const before = new Map(Object.entries(parseDigests(kept)));
  const names = new Set([...before.keys(), ...Object.keys(now)]);
  const changed = [...names].filter((name) => before.get(name) !== now[name]);
  if (changed.length === 0) return;
  const target = changed.sort().join(" ");
  audit.record({ ...OF_GATEWAY, action: "config.change", target, detail: "found at the start" });
}

/** Records the stop, and closes the store behind it. */
export async function closeRecorded(store: Store, version: string): Promise<void> {
  store.audit.record({ ...OF_GATEWAY, action: "gateway.stop", target: version });
  await store.close();
}

type Digests = Readonly<Record<string, string>>;

const IS_SECRET = /password|token|secret|key$/;

/** By `section.key`. Uplinks are compared with what is kept of them, and recorded one by one. */
function digests(config: Config): Digests {
  const found: Record<string, string> = {};
  for (const [section, keys] of Object.entries(config)) {
    if (section === "uplink") continue;
    for (const [key, value] of Object.entries<unknown>(keys)) {
      if (value === undefined) continue;
      const name = `${section}.${key}`;
      found[name] = IS_SECRET.test(key) ? "set" : digest(JSON.stringify(value));
    }
  }
  return found;
}

/** Short: it has to differ, and hides nothing. */
function digest(text: string): string {
  return createHash("sha256").update(text).digest("base64url").slice(0, 8);
}

function parseDigests(text: string): Digests {
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== "object" || parsed === null) return {};
  return Object.fromEntries(Object.entries(parsed).map(([name, value]) => [name, String(value)]));
}
