import { GatewayError } from "../errors.ts";
import { isSignedBy } from "../join-key.ts";
import { generatePassword, hashGenerated } from "../secrets.ts";
import type { Credential } from "../store/credentials.ts";
import { isUsable } from "./authentication.ts";
import type { InteractionDeps } from "./deps.ts";
import type { Joining } from "./joining.ts";

/**
 * Gives a known device a new password for its credential: for a signature of the challenge by the key
 * that was approved with it, and for nothing less. Connections with the old one close.
 * @throws GatewayError `not-found`, `unauthorized`, `forbidden`.
 */
export function renewByProof(
  deps: InteractionDeps & { readonly joining: Joining },
  on: { readonly id: string; readonly signature: string },
): { readonly credential: Credential; readonly password: string } {
  const challenge = deps.joining.challenges.take(on.id);
  if (challenge === undefined) {
    throw new GatewayError(
      "not-found",
      `there is no challenge ${on.id}, or it was used or is over`,
    );
  }
  if (!isSignedBy(challenge.publicKey, challenge.text, on.signature)) {
    throw new GatewayError("unauthorized", "this is no signature of the challenge by that key");
  }
  const { credentials } = deps.store;
  const present = credentials.byPublicKey(challenge.publicKey);
  if (present === undefined) throw new GatewayError("not-found", "the credential was deleted");
  if (!isUsable(deps, present)) {
    throw new GatewayError(
      "forbidden",
      `the credential ${present.username} is disabled or expired`,
    );
  }
  const password = generatePassword(deps.random);
  const { previous: _, ...kept } = present;
  const credential: Credential = {
    ...kept,
    secret: hashGenerated(password, deps.random),
    revision: present.revision + 1,
  };
  credentials.put(credential);
  deps.credentialChanged(credential.ulid, "password");
  return { credential, password };
}
