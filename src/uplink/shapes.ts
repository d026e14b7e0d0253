import type { Owed } from "../store/outbox-items.ts";
import { sealMessage } from "./envelope.ts";
import type { ShapeDeps } from "./draft.ts";
import type { UpMessage } from "./message.ts";
import { mirrorDrafts } from "./mirror.ts";
import { peerDrafts } from "./peer.ts";

export type UpOutcome =
  /** All of them, in this order: it is acknowledged when each of them is. */
  | { readonly kind: "messages"; readonly messages: readonly UpMessage[] }
  /** This shape cannot say it, and upstream misses it. */
  | { readonly kind: "undeliverable" }
  /** Upstream need not be told. */
  | { readonly kind: "silent" };

/** What is published upstream for something that is owed. Pure; never throws. */
export function upMessages(deps: ShapeDeps, owed: Owed): UpOutcome {
  const drafted =
    deps.settings.shape === "mirror" ? mirrorDrafts(deps, owed) : peerDrafts(deps, owed);
  if (drafted.kind !== "drafts") return drafted;
  const messages = drafted.drafts.map((draft, index) => sealMessage(deps, owed, draft, index));
  return { kind: "messages", messages };
}
