import AsyncLevelPersistence from "aedes-persistence-level/asyncPersistence.js";
import type { Sessions } from "./sessions.ts";
import type { WrittenLevel } from "./written-level.ts";

/** To what no authorization grants. */
const PRESENT = [{ topic: "$sluice/session", qos: 0 }] as const;

/**
 * What aedes sees of the sessions: the stock persistence, writing through the one writer. Sessions,
 * their queues and wills are kept by sessions.ts and wills.ts; from here aedes learns whether a
 * session is present.
 */
export class SessionPersistence extends AsyncLevelPersistence {
  readonly #sessions: Pick<Sessions, "get">;

  constructor(level: WrittenLevel, sessions: Pick<Sessions, "get">) {
    super(level);
    this.#sessions = sessions;
  }

  // aedes asks for a native async function.
  override async setup(broker: unknown): Promise<void> {
    await super.setup(broker);
  }

  /**
   * aedes says "session present" when there is a stored subscription. A session counts without one
   * [MQTT-3.2.2-2], so it shows one.
   */
  override async subscriptionsByClient(client: { readonly id: string }) {
    const session = this.#sessions.get(client.id);
    if (session === undefined) return super.subscriptionsByClient(client);
    return session.isResumed ? PRESENT : [];
  }
}
