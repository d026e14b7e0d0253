// The package ships no types. Only what SessionPersistence builds on is declared.
declare module "aedes-persistence-level/asyncPersistence.js" {
  import type { AbstractSublevel } from "abstract-level";
  import type { Readable } from "node:stream";

  type Client = { readonly id: string };
  type Subscription = { readonly topic: string; readonly qos: number };

  class AsyncLevelPersistence {
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- any database will do
    constructor(database: AbstractSublevel<any, any, string, string>);
    setup(broker: unknown): Promise<void>;
    subscriptionsByClient(client: Client): Promise<readonly Subscription[]>;
    cleanSubscriptions(client: Client): Promise<void>;
    cleanIncoming(client: Client): Promise<void>;
    outgoingStream(client: Client): Readable;
    putWill(client: Client, packet: unknown): Promise<void>;
    delWill(client: Client): Promise<unknown>;
    streamWill(brokers: unknown): Readable;
  }
  export = AsyncLevelPersistence;
}
