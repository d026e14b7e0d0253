import { isUtf8 } from "node:buffer";
import { createHmac, timingSafeEqual } from "node:crypto";
import { AddressRate } from "../address-rate.ts";
import type { CancelTimer } from "../clock.ts";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { peerNetwork } from "../peer-network.ts";
import { generateToken, hashChosen, lookupDigest, pickCharacters } from "../secrets.ts";
import { isChosenPassword, isUsername } from "./credentials.ts";
import type { InteractionDeps } from "./deps.ts";
import { KeyChallenges } from "./key-challenges.ts";
import type { Introduction, JoinRequest, JoinState, Stranger } from "./join-requests.ts";

type JoiningDeps = Pick<InteractionDeps, "store" | "clock" | "random">;

/** The window, `leftMs` of running time before it closes. */
export type JoiningWindow = { readonly leftMs: number; readonly account: string | undefined };

/** What a device is told when it has asked. */
export type JoinTicket = { readonly request: JoinRequest; readonly poll: string };

const {
  joinRequestsMax,
  joinRequestsPerNetworkMax,
  joinRequestsPerMinutePerAddress,
  joinAnswerKeptMs,
} = FIXED_LIMITS;
const CODE_LENGTH = 6;
const MARK_KEY_BYTES = 32;

/**
 * The joining window: while an admin holds it open, devices may ask to be let in, and wait for a person.
 * All of it is in memory and on the monotonic clock: no clock that is set, no restart and no power cut
 * opens it or keeps it open.
 */
export class Joining {
  /** For devices that have been let in before: whether it is open or not. */
  readonly challenges: KeyChallenges;
  readonly #deps: JoiningDeps;
  readonly #rate: AddressRate;
  /** Of this process only: marks of passwords are of no use to who reads them elsewhere. */
  readonly #markKey: Uint8Array;
  readonly #requests = new Map<string, JoinRequest>();
  #window: { readonly endsMs: number; readonly account: string | undefined } | undefined;
  #cancelSweep: CancelTimer = () => undefined;

  constructor(deps: JoiningDeps) {
    this.challenges = new KeyChallenges(deps);
    this.#deps = deps;
    this.#rate = new AddressRate(joinRequestsPerMinutePerAddress, deps.clock);
    this.#markKey = deps.random.bytes(MARK_KEY_BYTES);
  }

  /** `undefined`: it is closed. */
  get window(): JoiningWindow | undefined {
    this.#sweep();
    if (this.#window === undefined) return undefined;
    const { endsMs, account } = this.#window;
    return { leftMs: endsMs - this.#deps.clock.monotonicMs(), account };
  }

  /** Opens it, or has it end at another time. */
  open(seconds: number, account: string | undefined): void {
    this.#sweep();
    this.#window = { endsMs: this.#deps.clock.monotonicMs() + seconds * 1000, account };
    this.#planSweep();
  }

  /** Who waits is told that it is too late. Idempotent. */
  close(): void {
    this.#window = undefined;
    this.#sweep();
  }

  /**
   * A device asks to be let in, to this account if it says so.
   * @throws GatewayError `joining-closed`, `limit-reached`. Call `takeTurn` before.
   */
  ask(said: Introduction, account: string | undefined, address: string): JoinTicket {
    const window = this.#requireOpen(account);
    this.#requireRoom(address);
    const poll = generateToken(this.#deps.random);
    const request: JoinRequest = {
      ...this.#begin(address, account ?? window.account),
      by: "http",
      said,
      code: pickCharacters("0123456789", CODE_LENGTH, this.#deps.random),
      pollDigest: lookupDigest(poll),
    };
    this.#requests.set(request.id, request);
    return { request, poll };
  }

  /**
   * What asks from an address has its turn.
   * @throws GatewayError `rate-limited`.
   */
  takeTurn(address: string): void {
    const retryAfterS = this.#rate.take(address);
    if (retryAfterS === 0) return;
    const detail = `more than ${joinRequestsPerMinutePerAddress} requests a minute from ${address}`;
    throw new GatewayError("rate-limited", detail, { retryAfterS });
  }

  /** An MQTT client was refused. Never throws: it is refused in any case. */
  meet(stranger: Stranger): void {
    const { window } = this;
    if (window === undefined) return;
    const { address, clientId, user, password } = stranger;
    if (!isUtf8(password) || !isUsername(user)) return;
    const text = Buffer.from(password).toString("utf8");
    if (text === "" || !isChosenPassword(text)) return;
    if (this.#deps.store.credentials.byUsername(user) !== undefined) return;
    const mark = this.#markOf([address, clientId, user, text]);
    for (const known of this.#requests.values()) {
      if (known.by !== "mqtt" || known.mark !== mark || known.state.kind === "expired") continue;
      const { times } = known;
      this.#put({ ...known, times: times + 1, lastAsked: this.#deps.clock.wallMs() });
      return;
    }
    if (!this.#hasRoom(address) || this.#rate.take(address) > 0) return;
    const secret = hashChosen(text, this.#deps.random);
    secret.catch(() => undefined);
    const begun = this.#begin(address, window.account);
    this.#put({ ...begun, by: "mqtt", clientId, user, secret, mark });
  }

  /** Those that wait, and those decided lately; in the order they came. */
  all(): readonly JoinRequest[] {
    this.#sweep();
    return [...this.#requests.values()];
  }

  get(id: string): JoinRequest | undefined {
    this.#sweep();
    return this.#requests.get(id);
  }

  /** The request that is asked after with this secret. A password that was made for it is handed out once. */
  poll(id: string, secret: string): JoinRequest | undefined {
    const request = this.get(id);
    if (request?.by !== "http") return undefined;
    const digest = Buffer.from(lookupDigest(secret));
    if (!timingSafeEqual(digest, Buffer.from(request.pollDigest))) return undefined;
    if (request.state.kind === "approved") {
      const { kind, credential } = request.state;
      this.#put({ ...request, state: { kind, credential } });
    }
    return request;
  }

  decide(request: JoinRequest, state: JoinState): void {
    this.#put({ ...request, state, sinceMs: this.#deps.clock.monotonicMs() });
    this.#planSweep();
  }

  #begin(address: string, account: string | undefined) {
    const { store, clock } = this.#deps;
    const asked = clock.wallMs();
    return {
      id: store.ids.next(),
      address,
      account,
      asked,
      lastAsked: asked,
      times: 1,
      state: { kind: "pending" },
      sinceMs: clock.monotonicMs(),
    } as const;
  }

  #put(request: JoinRequest): void {
    this.#requests.set(request.id, request);
  }

  #requireOpen(account: string | undefined): JoiningWindow {
    const { window } = this;
    if (window !== undefined) {
      const isOther =
        window.account !== undefined && window.account !== (account ?? window.account);
      if (!isOther) return window;
      throw new GatewayError("joining-closed", "the joining window is open for another account");
    }
    throw new GatewayError("joining-closed", "the joining window is closed");
  }

  #requireRoom(address: string): void {
    if (this.#hasRoom(address)) return;
    const detail = `${joinRequestsMax} devices wait, or ${joinRequestsPerNetworkMax} of ${address}`;
    throw new GatewayError("limit-reached", `${detail}: somebody has to decide on them first`);
  }

  /** Decided ones make room for those that wait: the oldest first. */
  #hasRoom(address: string): boolean {
    const network = peerNetwork(address);
    const waiting = this.all().filter(({ state }) => state.kind === "pending");
    const ofNetwork = waiting.filter((request) => peerNetwork(request.address) === network);
    if (waiting.length >= joinRequestsMax) return false;
    if (ofNetwork.length >= joinRequestsPerNetworkMax) return false;
    for (const { id, state } of this.#requests.values()) {
      if (this.#requests.size < 2 * joinRequestsMax) break;
      if (state.kind !== "pending") this.#requests.delete(id);
    }
    return true;
  }

  #markOf(parts: readonly string[]): string {
    return createHmac("sha256", this.#markKey).update(JSON.stringify(parts)).digest("base64");
  }

  /** Closes the window in time, and forgets what was decided long ago, passwords nobody fetched included. */
  #sweep(): void {
    const now = this.#deps.clock.monotonicMs();
    if (this.#window !== undefined && now >= this.#window.endsMs) this.#window = undefined;
    for (const request of this.#requests.values()) {
      if (request.state.kind !== "pending") {
        if (now - request.sinceMs >= joinAnswerKeptMs) this.#requests.delete(request.id);
      } else if (this.#window === undefined) {
        this.#put({ ...request, state: { kind: "expired" }, sinceMs: now });
      }
    }
  }

  #planSweep(): void {
    this.#cancelSweep();
    if (this.#window === undefined && this.#requests.size === 0) return;
    const endsInMs = (this.#window?.endsMs ?? 0) - this.#deps.clock.monotonicMs();
    const inMs = endsInMs > 0 ? Math.min(endsInMs, joinAnswerKeptMs) : joinAnswerKeptMs;
    this.#cancelSweep = this.#deps.clock.after(inMs, () => {
      this.#sweep();
      this.#planSweep();
    });
  }
}
