import type { SecretHash } from "../secrets.ts";
import type { JsonObject } from "../thing/json.ts";

/** What a device said of itself. None of it is true until a person has looked at it. */
export type Introduction = {
  readonly name: string;
  readonly model?: string;
  readonly serial?: string;
  /** A Thing Description. */
  readonly thing?: JsonObject;
  /** As `readPublicKey` has it. */
  readonly publicKey?: string;
};

/** An MQTT client whose user nobody knows. */
export type Stranger = {
  readonly clientId: string;
  readonly user: string;
  readonly password: Uint8Array;
  readonly address: string;
};

/** Where a request stands. `password`: until the device has fetched it. */
export type JoinState =
  | { readonly kind: "pending" | "refused" | "expired" }
  | { readonly kind: "approved"; readonly credential: string; readonly password?: string };

/** A device that wants to be let in. Held in memory only. */
export type JoinRequest = {
  readonly id: string;
  readonly address: string;
  /** Which one it is for: as the device asked, or else as the window has it. */
  readonly account: string | undefined;
  /** ms since the epoch. */
  readonly asked: number;
  readonly lastAsked: number;
  readonly times: number;
  readonly state: JoinState;
  /** On the monotonic clock: when it came to this state. */
  readonly sinceMs: number;
} & (
  | {
      readonly by: "http";
      readonly said: Introduction;
      /** Six digits that the device shows, too: which of several in front of a person is this one. */
      readonly code: string;
      /** `lookupDigest` of what the device asks with. */
      readonly pollDigest: string;
    }
  | {
      readonly by: "mqtt";
      readonly clientId: string;
      readonly user: string;
      /** Of the very password it came with. */
      readonly secret: Promise<SecretHash>;
      /** Tells the same client with the same password from another. */
      readonly mark: string;
    }
);
