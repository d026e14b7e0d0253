import type { LoginTurns } from "../login-turns.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import type { Stranger } from "../interactions/join-requests.ts";
import type { Log } from "../log.ts";
import type { Refusal } from "../refusal-log.ts";
import type { Gate } from "./gate.ts";
import type { InboundDeps } from "./inbound.ts";
import type { Sessions } from "./sessions.ts";
import type { Wills } from "./wills.ts";

/** What a connection needs of the rest. */
export type GateDeps = {
  readonly interactions: InteractionDeps;
  readonly inbound: InboundDeps;
  readonly sessions: Sessions;
  readonly wills: Wills;
  readonly log: Log;
  /** Topic filters that no credential is granted: `mqtt.refused_filters`. */
  readonly refusedFilters: ReadonlySet<string>;
  /** For a client that sends none [MQTT-3.1.3-6]. */
  readonly makeClientId: () => string;
  /** Gives the connection to aedes. */
  readonly handle: (gate: Gate) => void;
  readonly logins: LoginTurns;
  /** Nobody knows it: it may be one that wants to join. */
  readonly onStranger: (stranger: Stranger) => void;
  /** It is not let in, or not any further: for the log of refusals. */
  readonly onRefused: (refusal: Refusal) => void;
  /** Is the box somebody's? */
  readonly isClaimed: () => boolean;
  /** The gate has its client id: a connection that has the same one ends now [MQTT-3.1.4-2]. */
  readonly onOpen: (gate: Gate) => void;
  readonly onClosed: (gate: Gate) => void;
  readonly onFatal: (error: unknown) => void;
};
