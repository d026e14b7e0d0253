import { ClaimAttempts } from "../claim-attempts.ts";
import { groupedCode, isClaimCode, makeClaimCode } from "../claim-code.ts";
import { GatewayError } from "../errors.ts";
import { hashPassword } from "../secrets.ts";
import { metaKey } from "../store/keys.ts";
import { isAccountName } from "../thing/thing.ts";
import { putAccount } from "./accounts.ts";
import type { InteractionDeps } from "./deps.ts";
import { putUser, requireStrong, requireUserName } from "./users.ts";

export type ClaimDeps = InteractionDeps & {
  /** The account that is made if the one who claims names none. */
  readonly account: string;
  /** Names of this machine: nobody's password. */
  readonly hostNames: Iterable<string>;
  /** There is another code to be shown, or, with `undefined`, none any more. Never fails. */
  readonly onCode: (code: string | undefined) => void;
};

/** Whose the box shall be: its first administrator, and the account of its first Things. */
export type ClaimRequest = {
  readonly password: string;
  /** `admin` if left out. */
  readonly user?: string;
  /** The one of the configuration if left out. */
  readonly account?: string;
};

export type Claimed = { readonly user: string; readonly account: string };

const CLAIMED = metaKey("claimed");

/** Is the box somebody's, by an admin token or by a claim? It stays so as long as its store. */
export function isStoreClaimed({ store }: Pick<InteractionDeps, "store">): boolean {
  // A row that was damaged and set aside does not give the box to whoever comes next.
  return store.commit.read(CLAIMED) !== undefined || store.users.count > 0;
}

/** Puts in the open batch that the box is somebody's. */
export function putClaimed({ store }: Pick<InteractionDeps, "store">, by: "token" | "claim"): void {
  store.commit.put(CLAIMED, by);
}

/**
 * Whether the box is somebody's, and how it becomes so. While it is not there is a code, known to who
 * can see the box and to no disk: each start makes another.
 */
export class Claim {
  readonly #deps: ClaimDeps;
  readonly #attempts: ClaimAttempts;
  #code: string | undefined;

  constructor(deps: ClaimDeps, { isClaimed }: { readonly isClaimed: boolean }) {
    this.#deps = deps;
    this.#attempts = new ClaimAttempts(deps.clock);
    if (!isClaimed) this.#code = makeClaimCode(deps.random);
  }

  get isClaimed(): boolean {
    return this.#code === undefined;
  }

  /** The account that is made if the one who claims names none. */
  get account(): string {
    return this.#deps.account;
  }

  /** As it is shown; `undefined` on a box that is claimed. */
  get code(): string | undefined {
    return this.#code === undefined ? undefined : groupedCode(this.#code);
  }

  /**
   * Claims the box for whoever has the code. `address`: of the peer whose attempt it is; without one
   * it is not counted.
   * @throws GatewayError `claimed`, `rate-limited`, `wrong-claim-code`, and as `claimWithoutCode`.
   */
  async claim(typed: string, request: ClaimRequest, address?: string): Promise<Claimed> {
    const code = this.#requireCode();
    const retryAfterS = address === undefined ? 0 : this.#attempts.take(address);
    if (retryAfterS > 0) {
      throw new GatewayError("rate-limited", "too many claim codes were tried", { retryAfterS });
    }
    if (!isClaimCode(typed, code)) {
      this.#deps.log.warn("claim.wrong_code", { address: address ?? "local" });
      throw new GatewayError("wrong-claim-code", "this is not the claim code of the gateway");
    }
    if (address !== undefined) this.#attempts.giveBack(address);
    return this.claimWithoutCode(request);
  }

  /**
   * Claims the box for whoever decides on its configuration. What it takes is in one batch.
   * @throws GatewayError `claimed`, `malformed`, `weak-password`, `wrong-claim-code` if the code was
   * changed meanwhile.
   */
  async claimWithoutCode(request: ClaimRequest): Promise<Claimed> {
    const code = this.#requireCode();
    const { password, user = "admin", account = this.#deps.account } = request;
    requireUserName(this.#deps, user);
    if (!isAccountName(account)) {
      const detail = `${JSON.stringify(account)} cannot be the name of an account`;
      throw new GatewayError("malformed", detail, { faults: [{ pointer: "/account", detail }] });
    }
    requireStrong(password, [user, account, ...this.#deps.hostNames]);
    const phc = await hashPassword(password, this.#deps.random);
    // While it was stretched somebody else may have claimed it, or the code may have been renewed.
    if (this.#requireCode() !== code) {
      throw new GatewayError("wrong-claim-code", "there is another claim code now");
    }
    if (!this.#deps.store.accounts.has(account)) putAccount(this.#deps, account, {});
    putUser(this.#deps, { name: user, role: "admin", phc });
    putClaimed(this.#deps, "claim");
    this.#deps.log.info("claim.done", { user, account });
    this.#show(undefined);
    return { user, account };
  }

  /**
   * Another code in place of the one that may have been seen.
   * @throws GatewayError `claimed`.
   */
  renew(): void {
    this.#requireCode();
    this.#show(makeClaimCode(this.#deps.random));
  }

  #requireCode(): string {
    if (this.#code !== undefined) return this.#code;
    throw new GatewayError("claimed", "the gateway has been claimed");
  }

  #show(code: string | undefined): void {
    this.#code = code;
    this.#deps.onCode(this.code);
  }
}
