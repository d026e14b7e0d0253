// The package ships no types. Only what SessionPersistence builds on is declared.
declare module "aedes-persistence-level/asyncPersistence.js" {
  import type { WrittenLevel } from "./written-level.ts";

  type Client = { readonly id: string };
  type Subscription = { readonly topic: string; readonly qos: number };

  class AsyncLevelPersistence {
    constructor(database: WrittenLevel);
    setup(broker: unknown): Promise<void>;
    subscriptionsByClient(client: Client): Promise<readonly Subscription[]>;
  }
  export = AsyncLevelPersistence;
}
