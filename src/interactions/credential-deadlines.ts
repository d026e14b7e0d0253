import { isOver, type CancelTimer } from "../clock.ts";
import { isUsable } from "./authentication.ts";
import { OF_GATEWAY } from "../store/audit.ts";
import type { Certificate } from "../store/certificates.ts";
import type { Credential } from "../store/credentials.ts";
import type { InteractionDeps } from "./deps.ts";

/** Looked at this often: bounds how long a connection outlives its credential. */
const LOOK_EVERY_MS = 500;

/**
 * Ends connections when their credential or certificate expires, and those of an old password when its overlap
 * ends; and lets the store note that so much time has passed, so that nothing that has expired is
 * good again after a restart.
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
    const certificates = store.certificates.takeEnded(clock.wallMs());
    if (this.#hasPassed(certificates)) {
      this.#recordExpired(certificates);
      store.clock.note();
    }
    for (const certificate of certificates) {
      credentialChanged(certificate.credential, "certificates");
    }
    const ended = new Set<string>();
    for (const credential of store.credentials.withDeadline()) {
      const { ulid, previous } = credential;
      if (credential.enabled && !isUsable(this.#deps, credential)) {
        if (!this.#ended.has(ulid)) credentialChanged(ulid, "revoked");
        ended.add(ulid);
        continue;
      }
      if (previous === undefined || !isOver(clock, previous.until, previous.moment)) continue;
      const { previous: over, ...rest } = credential;
      store.credentials.put(rest);
      store.audit.record({
        ...OF_GATEWAY,
        action: "credential.overlap-end",
        target: targetOf(rest),
      });
      credentialChanged(ulid, "password");
    }
    this.#ended = ended;
  }

  /** In the batch that notes the time: no start records it again. */
  #recordExpired(certificates: readonly Certificate[]): void {
    const { audit, clock, credentials } = this.#deps.store;
    for (const { account, credential, serial, notAfter, revoked } of certificates) {
      if (revoked !== undefined || !clock.isNews(notAfter)) continue;
      const target = `/${account}/mqtt/${credential}/certificates/${serial}`;
      audit.record({ ...OF_GATEWAY, action: "certificate.expire", target });
    }
    for (const credential of credentials.withDeadline()) {
      const { expiresAt } = credential;
      if (expiresAt === undefined || !clock.isNews(expiresAt)) continue;
      audit.record({ ...OF_GATEWAY, action: "credential.expire", target: targetOf(credential) });
    }
  }

  /** A deadline came that the time on disk is not behind yet. */
  #hasPassed(certificates: readonly Certificate[]): boolean {
    const { clock, tokens, credentials } = this.#deps.store;
    if (certificates.some(({ notAfter }) => clock.isNews(notAfter))) return true;
    const isNews = ({ expiresAt }: { readonly expiresAt?: number }): boolean =>
      expiresAt !== undefined && clock.isNews(expiresAt);
    return tokens.withDeadline().some(isNews) || credentials.withDeadline().some(isNews);
  }
}

function targetOf({ account, ulid }: Credential): string {
  return `/${account}/mqtt/${ulid}`;
}
