import type { CancelTimer } from "../clock.ts";
import { isUsable } from "./authentication.ts";
import type { InteractionDeps } from "./deps.ts";

/** Looked at this often: bounds how long a connection outlives its credential. */
const LOOK_EVERY_MS = 500;

/**
 * Ends connections when their credential expires, and those of an old password when its overlap
 * ends. While the machine's time is not known nothing is ended: a CONNECT is checked all the same.
 */
export class CredentialDeadlines {
  readonly #deps: InteractionDeps;
  #ended: ReadonlySet<string> = new Set();
  #cancelTimer: CancelTimer | undefined;
  #stopped = false;

  constructor(deps: InteractionDeps) {
    this.#deps = deps;
  }

  start(): void {
    const look = (): void => {
      if (this.#stopped) return;
      this.look();
      this.#cancelTimer = this.#deps.clock.after(LOOK_EVERY_MS, look);
    };
    look();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  look(): void {
    const { clock, store, credentialChanged } = this.#deps;
    if (!clock.isSynced()) return;
    const ended = new Set<string>();
    for (const credential of store.credentials.withDeadline()) {
      const { ulid, previous } = credential;
      if (credential.enabled && !isUsable(this.#deps, credential)) {
        if (!this.#ended.has(ulid)) credentialChanged(ulid, "revoked");
        ended.add(ulid);
        continue;
      }
      if (previous === undefined || previous.until > clock.wallMs()) continue;
      const { previous: over, ...rest } = credential;
      store.credentials.put(rest);
      credentialChanged(ulid, "password");
    }
    this.#ended = ended;
  }
}
