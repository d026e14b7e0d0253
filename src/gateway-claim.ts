import type { Config } from "./config.ts";
import { ERRORS, GatewayError } from "./errors.ts";
import { moveAside, readDrop, type Drop } from "./gateway-claim-drop.ts";
import { isOnLoopbackOnly } from "./gateway-listeners.ts";
import { hostNames } from "./host-names.ts";
import { putAccount } from "./interactions/accounts.ts";
import {
  Claim,
  isStoreClaimed,
  putClaimed,
  type ClaimRequest,
  type Claimed,
} from "./interactions/claim.ts";
import type { InteractionDeps } from "./interactions/deps.ts";
import { createToken } from "./interactions/tokens.ts";
import { generateToken } from "./secrets.ts";
import { EXIT, StartError } from "./start-error.ts";
import { OF_GATEWAY } from "./store/audit.ts";
import { SCOPES } from "./thing/access.ts";

/**
 * Whose the box is at this start. A new one becomes somebody's by `bootstrap.admin_token`; by a claim
 * that was left for it; where nobody else reaches it by a token of its own, which is told; else by
 * whoever has the code.
 *
 * `announceToken` tells the one who started it that token, and throws if it cannot; `onCode` is as in
 * `ClaimDeps`.
 * @throws StartError, GatewayError.
 */
export async function openClaim(
  config: Config,
  interactions: InteractionDeps,
  announceToken: (token: string) => void,
  onCode: (code: string | undefined) => void,
): Promise<Claim> {
  const { bootstrap } = config;
  const isNew = !isStoreClaimed(interactions);
  const drop = config.claim.file === undefined ? NO_DROP : readDrop(config.claim.file);
  const isScripted = config.claim.password !== undefined || drop.kind === "claim";
  const isByToken =
    isNew && (bootstrap.admin_token !== undefined || (isOnLoopbackOnly(config) && !isScripted));
  if (isByToken) await beginWithToken(config, interactions, announceToken);
  const claim = new Claim(
    {
      ...interactions,
      account: bootstrap.account,
      hostNames: hostNames(),
      onCode,
    },
    { isClaimed: isByToken || !isNew },
  );
  await claimByScript(config, interactions, claim, drop);
  return claim;
}

const NO_DROP: Drop = { kind: "absent" };

async function beginWithToken(
  { bootstrap }: Config,
  interactions: InteractionDeps,
  announceToken: (token: string) => void,
): Promise<void> {
  const { account, admin_token: given } = bootstrap;
  const token = given ?? generateToken(interactions.random);
  // Told before it is stored: cut off in between, the next start makes and tells another.
  if (given === undefined) announceToken(token);
  putAccount(interactions, account, {});
  createToken(interactions, { scopes: SCOPES, description: "first admin token" }, token);
  putClaimed(interactions, "token");
  const { audit, commit } = interactions.store;
  audit.record({ ...OF_GATEWAY, action: "gateway.bootstrap", target: account });
  await commit.flushed();
}

/** The configuration is wrong at the desk and ends the start; a file is wrong in the field. */
async function claimByScript(
  { claim: { password, file } }: Config,
  interactions: InteractionDeps,
  claim: Claim,
  drop: Drop,
): Promise<void> {
  const { log } = interactions;
  if (!claim.isClaimed && password !== undefined) {
    await claimNow(interactions, claim, { password }, "claim.password").catch((error: unknown) => {
      if (!isRefusal(error)) throw error;
      throw new StartError(EXIT.configuration, `claim.password: ${error.message}`);
    });
  }
  if (file === undefined || drop.kind === "absent") return;
  if (drop.kind === "faulty") {
    log.error("claim.file_refused", { path: file, reason: drop.fault });
    return;
  }
  if (claim.isClaimed) {
    moveAside(file, { claimed: false, reason: "the gateway had been claimed before" }, log);
    return;
  }
  try {
    const claimed = await claimNow(interactions, claim, drop.request, "claim.file");
    moveAside(file, { claimed: true, ...claimed }, log);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    log.error("claim.file_refused", { path: file, reason: error.message });
  }
}

/** What was asked for cannot be; anything else is a failure. */
function isRefusal(error: unknown): error is GatewayError {
  return error instanceof GatewayError && ERRORS[error.code].status < 500;
}

/** Resolves when it is on disk. */
async function claimNow(
  { store }: InteractionDeps,
  claim: Claim,
  request: ClaimRequest,
  detail: string,
): Promise<Claimed> {
  const claimed = await claim.claimWithoutCode(request);
  // In the batch of the claim itself.
  store.audit.record({
    ...{ ...OF_GATEWAY, action: "gateway.claim", detail },
    target: `/gateway/users/${claimed.user}`,
  });
  await store.commit.flushed();
  return claimed;
}
