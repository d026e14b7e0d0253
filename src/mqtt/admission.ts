import { GatewayError } from "../errors.ts";
import type { Peer } from "../channel.ts";
import { authenticateCredential, whyNot } from "../interactions/authentication.ts";
import { principalOf, type Authenticated } from "../interactions/authentication.ts";
import {
  certificateLogin,
  isCertificateGood,
  type KnownCertificate,
} from "../interactions/certificate-login.ts";
import type { InteractionDeps } from "../interactions/deps.ts";
import type { Stranger } from "../interactions/join-requests.ts";
import type { ConnackCode } from "./answers.ts";
import type { LoginTurns } from "../login-turns.ts";
import type { ConnectFrame } from "./frame-kinds.ts";
import { publishRight } from "./grants.ts";
import type { RefusalCause } from "../refusal-causes.ts";
import type { Sessions } from "./sessions.ts";

export type Admission =
  { readonly ok: true; readonly as: Authenticated } | ({ readonly ok: false } & RefusedConnect);

/** `code` is all that the client is told; the rest is for the log of refusals. */
export type RefusedConnect = {
  readonly code: ConnackCode;
  readonly cause: RefusalCause;
  readonly reason: string;
  /** Of a will that is not let in. */
  readonly topic?: string;
};

type AdmissionDeps = {
  readonly interactions: InteractionDeps;
  readonly sessions: Sessions;
  readonly logins: LoginTurns;
  /** Is the box somebody's? */
  readonly isClaimed: () => boolean;
  /** Tells of a client that nobody knows: it may be one that wants to join. Never fails. */
  readonly onStranger?: (stranger: Stranger) => void;
};

/**
 * Decides on a CONNECT before any session is touched. Call `recheck` in the turn that opens the
 * session: much may have changed while a password was checked.
 */
export async function admit(
  deps: AdmissionDeps,
  connect: ConnectFrame,
  { address, certificate }: Pick<Peer, "address" | "certificate">,
): Promise<Admission> {
  if (!deps.isClaimed()) return unclaimed();
  const shown = certificate && certificateLogin(deps.interactions, certificate);
  switch (shown?.kind) {
    case undefined:
      break;
    case "unknown":
      // It may have been made for another server; only who says nothing else is told of it.
      if (connect.username === undefined) return refused(5, shown.cause, shown.detail);
      break;
    case "refused":
      return refused(5, shown.cause, shown.detail);
    case "expired": {
      const detail = `certificate ${shown.certificate.serial} is good for its renewal only`;
      return refused(5, "expired-certificate", detail);
    }
    case "good":
      return admitCertified(deps, connect, address, shown);
  }
  return admitPassword(deps, connect, address);
}

/** What else is said has to be right too: the user, and the password of it. */
async function admitCertified(
  deps: AdmissionDeps,
  connect: ConnectFrame,
  address: string,
  { certificate, credential }: KnownCertificate,
): Promise<Admission> {
  const { username, password } = connect;
  if (username !== undefined && username !== credential.username) {
    const detail = `the certificate is that of ${credential.username}`;
    return refused(4, "other-user", detail);
  }
  const by = { certificate: certificate.serial };
  if (password === undefined) return recheck(deps, connect, { credential, ...by });
  const admission = await admitPassword(deps, connect, address);
  return admission.ok ? recheck(deps, connect, { ...admission.as, ...by }) : admission;
}

async function admitPassword(
  deps: AdmissionDeps,
  connect: ConnectFrame,
  address: string,
): Promise<Admission> {
  const { username, password } = connect;
  if (username === undefined || password === undefined) {
    return refused(5, "no-credentials", "there is no user, or no password");
  }
  if ((await deps.logins.enter(address)) > 0) {
    return refused(3, "too-many-failures", "too many failed log-ins from this address");
  }
  const stranger = { clientId: connect.clientId, user: username, password, address };
  let as: Authenticated | undefined;
  try {
    const given = password.toString("utf8");
    as = await authenticateCredential(deps.interactions, username, given, address);
  } catch (error) {
    if (!(error instanceof GatewayError) || error.code !== "rate-limited") throw error;
    // Also who has tried for long, before somebody thought of letting it in.
    deps.onStranger?.(stranger);
    return refused(3, "too-many-failures", error.message);
  } finally {
    deps.logins.leave(address, { isRight: as !== undefined });
  }
  if (as === undefined) {
    deps.onStranger?.(stranger);
    return refused(4, whyNot(deps.interactions, username), "unknown user or wrong password");
  }
  return recheck(deps, connect, as);
}

/** The part of the decision that takes no time. */
export function recheck(
  deps: Omit<AdmissionDeps, "logins">,
  connect: ConnectFrame,
  as: Authenticated,
): Admission {
  const { interactions, sessions } = deps;
  const { credential } = as;
  if (!deps.isClaimed()) return unclaimed();
  if (interactions.store.credentials.get(credential.ulid) !== credential) {
    const cause = whyNot(interactions, credential.username);
    return refused(5, cause, "the credential has just changed");
  }
  if (as.certificate !== undefined && !isCertificateGood(interactions, as.certificate)) {
    return refused(5, "revoked-certificate", "the certificate has just been revoked");
  }
  const bound = credential.clientId;
  if (bound !== undefined && bound !== connect.clientId) {
    return refused(2, "wrong-client-id", "the credential is bound to another client id");
  }
  const session = sessions.get(connect.clientId);
  if (session !== undefined && session.credential !== credential.ulid) {
    const reason = "the client id belongs to the session of another credential";
    return refused(2, "in-use-elsewhere", reason);
  }
  const isNew = session?.number === undefined;
  if (!connect.clean && isNew && !sessions.hasRoom) {
    return refused(3, "limits", "limits.sessions is reached");
  }
  if (connect.will !== undefined && !mayWill(deps, connect.will, as)) {
    const { topic } = connect.will;
    const reason = "the will's topic is outside the credential's grant";
    return { ok: false, code: 5, cause: "not-its-topic", reason, topic };
  }
  return { ok: true, as };
}

function mayWill(
  { interactions }: Pick<AdmissionDeps, "interactions">,
  will: NonNullable<ConnectFrame["will"]>,
  { credential }: Authenticated,
): boolean {
  if (will.levels > interactions.limits.topic_levels) return false;
  return publishRight(interactions.store, principalOf(credential), will.topic).kind !== "none";
}

function unclaimed(): Admission {
  return refused(5, "unclaimed", "the gateway has not been claimed");
}

function refused(code: ConnackCode, cause: RefusalCause, reason: string): Admission {
  return { ok: false, code, cause, reason };
}
