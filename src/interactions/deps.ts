import type { Clock, Random } from "../clock.ts";
import type { Limits } from "../limits.ts";
import type { Log } from "../log.ts";
import type { LoginNames } from "../login-names.ts";
import type { Store } from "../store/store.ts";
import type { Authority } from "../tls/authority.ts";
import type { Publication } from "./publication.ts";

/** Why sessions of a credential are looked at again. */
export type CredentialChange =
  /** Deleted, disabled, expired or without a grant: connections and sessions end at once. */
  | "revoked"
  /** A new password: connections made with the old one close, sessions stay. */
  | "password"
  /** Other grants: what is no longer covered is neither taken nor forwarded. */
  | "grants"
  /** A certificate is revoked, gone or expired: connections made with it close, sessions stay. */
  | "certificates";

/** What every interaction may use. The composition root makes one. */
export type InteractionDeps = {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly limits: Limits;
  readonly log: Log;
  /**
   * Puts what persistent sessions are owed of it into the open batch, and sends it to live
   * subscribers when that batch is on disk. Call it behind the rows it belongs to. Never fails.
   */
  readonly publish: (publication: Publication) => void;
  /** Tells the MQTT side, in the same turn as the change is put. Never fails. */
  readonly credentialChanged: (ulid: string, change: CredentialChange) => void;
  /** Failed log-ins by name, over all protocols. */
  readonly loginNames: LoginNames;
  /** The gateway's own CA; absent while it listens without TLS only. */
  readonly authority?: Authority;
  /** Whether free topics may be granted: `mqtt.free_topics`. */
  readonly freeTopics: boolean;
};
