import type { KeyPair } from "./key-pair.ts";

/** Where the server's certificate comes from. */
export type CertificateSource = {
  /** `own`: signed by the gateway's CA. `file`: the operator's. */
  readonly kind: "own" | "file";
  /** In use now. */
  readonly pair: KeyPair;
  /** Why a newer one is not in use, in words for the operator. */
  readonly problem: string | undefined;
  /**
   * Looks whether there has to be another pair, and whether there is one. Never rejects.
   * @returns why `pair` is another one now; `undefined`: it is the same.
   */
  readonly check: () => Promise<string | undefined>;
};
