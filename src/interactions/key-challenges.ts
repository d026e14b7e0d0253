import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import type { InteractionDeps } from "./deps.ts";

/** What a device is to sign, as it stands, to be believed. */
export type Challenge = {
  readonly id: string;
  readonly text: string;
  readonly publicKey: string;
  /** On the monotonic clock. */
  readonly endsMs: number;
};

const { joinChallengesMax, joinChallengeLifeMs } = FIXED_LIMITS;
const CHALLENGE_BYTES = 32;

/** Challenges that are to be answered: each is good once and for a minute. */
export class KeyChallenges {
  readonly #deps: Pick<InteractionDeps, "store" | "clock" | "random">;
  readonly #open = new Map<string, Challenge>();

  constructor(deps: Pick<InteractionDeps, "store" | "clock" | "random">) {
    this.#deps = deps;
  }

  /** @throws GatewayError `rate-limited`: too many are open. */
  issue(publicKey: string): Challenge {
    const { store, clock, random } = this.#deps;
    const now = clock.monotonicMs();
    for (const { id, endsMs } of this.#open.values()) if (now >= endsMs) this.#open.delete(id);
    if (this.#open.size >= joinChallengesMax) {
      const retryAfterS = joinChallengeLifeMs / 1000;
      throw new GatewayError("rate-limited", "too many devices prove a key", { retryAfterS });
    }
    const nonce = Buffer.from(random.bytes(CHALLENGE_BYTES)).toString("base64url");
    const id = store.ids.next();
    // It names what it is for, so that a signature made for this is of no use elsewhere.
    const text = `sluice join ${store.gatewayId} ${id} ${nonce}`;
    const challenge = { id, text, publicKey, endsMs: now + joinChallengeLifeMs };
    this.#open.set(id, challenge);
    return challenge;
  }

  /** The challenge, which is used up by this. */
  take(id: string): Challenge | undefined {
    const challenge = this.#open.get(id);
    this.#open.delete(id);
    if (challenge === undefined) return undefined;
    return this.#deps.clock.monotonicMs() < challenge.endsMs ? challenge : undefined;
  }
}
