import type { Credential } from "../store/credentials.ts";
import type { Grant, GrantedThings } from "../thing/access.ts";
import type { Thing } from "../thing/thing.ts";
import type { InteractionDeps } from "./deps.ts";

/**
 * Takes a Thing that is being deleted out of every grant; who has none left loses its sessions.
 * Certificates that were issued for the Thing, or stand for nothing now, go with it.
 */
export function withdrawGrants(deps: InteractionDeps, thing: Thing): void {
  for (const credential of deps.store.credentials.ofAccount(thing.account)) {
    const grants = credential.grants.flatMap((grant) => without(grant, thing.uid));
    const isSame =
      grants.length === credential.grants.length && grants.every(isIn(credential.grants));
    if (!isSame) {
      const changed: Credential = { ...credential, grants, revision: credential.revision + 1 };
      deps.store.credentials.put(changed);
      deps.credentialChanged(credential.ulid, grants.length === 0 ? "revoked" : "grants");
    }
    endCertificates(deps, { ...credential, grants }, thing);
  }
}

function endCertificates(deps: InteractionDeps, { ulid, grants }: Credential, thing: Thing): void {
  const { certificates } = deps.store;
  const ended = certificates
    .ofCredential(ulid)
    .filter((certificate) => certificate.thing === thing.uid || grants.length === 0);
  for (const certificate of ended) certificates.delete(certificate);
  if (ended.length > 0) deps.credentialChanged(ulid, "certificates");
}

function isIn(grants: readonly Grant[]): (grant: Grant) => boolean {
  return (grant) => grants.includes(grant);
}

/** The grant without the Thing: itself if it does not name it, nothing if it names no other. */
function without(grant: Grant, uid: string): readonly Grant[] {
  if (grant.entity === "topics" || grant.things.all || !grant.things.uids.has(uid)) return [grant];
  const uids = new Set([...grant.things.uids].filter((other) => other !== uid));
  if (uids.size === 0) return [];
  const things: GrantedThings = { all: false, uids };
  return [{ ...grant, things }];
}
