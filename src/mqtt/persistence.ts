import { Readable } from "node:stream";
import AsyncLevelPersistence from "aedes-persistence-level/asyncPersistence.js";
import type { Database } from "../store/database.ts";
import { SUBLEVEL } from "./session-rows.ts";
import type { Sessions } from "./sessions.ts";

/**
 * What aedes sees of the sessions. Subscriptions, queues, incoming ids and wills are written by the
 * one writer (sessions.ts, wills.ts): here aedes only learns whether a session is present, and is
 * kept from writing beside the commit.
 */
export class SessionPersistence extends AsyncLevelPersistence {
  readonly #sessions: Sessions;

  constructor(database: Database, sessions: Sessions) {
    super(database.sublevel(SUBLEVEL));
    this.#sessions = sessions;
  }

  // aedes asks for a native async function.
  override async setup(broker: unknown): Promise<void> {
    await super.setup(broker);
  }

  /**
   * aedes says "session present" when there is a stored subscription. A session counts without one
   * [MQTT-3.2.2-2], so it gets one to a topic that no authorization grants.
   */
  // eslint-disable-next-line @typescript-eslint/require-await -- the signature is aedes's
  override async subscriptionsByClient({ id }: { readonly id: string }) {
    return this.#sessions.isResumed(id) ? [{ topic: "$sluice/session", qos: 0 }] : [];
  }

  override async cleanSubscriptions(): Promise<void> {
    // The session was made anew before aedes saw the CONNECT.
  }

  override async cleanIncoming(): Promise<void> {
    // As above.
  }

  override outgoingStream(): Readable {
    return Readable.from([]);
  }

  override async putWill(): Promise<void> {
    // The will was taken out of the CONNECT.
  }

  override async delWill(): Promise<unknown> {
    return Promise.resolve(undefined);
  }

  override streamWill(): Readable {
    return Readable.from([]);
  }
}
