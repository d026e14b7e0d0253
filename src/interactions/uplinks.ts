import { isDeepStrictEqual } from "node:util";
import { GatewayError } from "../errors.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { OF_GATEWAY } from "../store/audit.ts";
import type { Outbox } from "../store/outbox.ts";
import type { Principal } from "../thing/access.ts";
import { isUplinkName, UPLINK_NAME, type GivenUplink } from "../uplink-members.ts";
import { completeUplink } from "../uplink-settings.ts";
import { authoriseInGateway } from "./authorise.ts";
import type { InteractionDeps } from "./deps.ts";
import { rowOfApi, rowOfFile, settingsOf, type FileUplinks } from "./kept-uplinks.ts";

/** How the line of an uplink stands. */
export type UplinkLine = {
  /**
   * `stalled`: connected, but nothing is acknowledged. `refused`: upstream's broker does not want us;
   * it is asked again all the same.
   */
  readonly state: "connecting" | "connected" | "stalled" | "paused" | "refused";
  /** ms since the epoch. */
  readonly since: number;
  /** In plain words, without secrets; absent: none in this start. */
  readonly lastError?: { readonly detail: string; readonly at: number };
  /** Since the start: lines that were open, and tries or lines that failed. */
  readonly opened: number;
  readonly failed: number;
};

/** What has come from upstream since the start, by what became of it. */
export type UplinkCounts = {
  readonly applied: number;
  /** Values of our own that came back, and values that were there already. */
  readonly unchanged: number;
  /** Values that a local change stood against. */
  readonly lost: number;
  /** Came again. */
  readonly repeated: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
};

/** What came of trying to connect, beside the line that there is. */
export type UplinkTest = {
  readonly isReached: boolean;
  /** In plain words, without secrets. */
  readonly detail: string;
  readonly tookMs: number;
};

/** What the interactions of uplinks use besides. */
export type UplinkDeps = InteractionDeps & {
  readonly fileUplinks: FileUplinks;
  /** Tells the uplink side: made, changed, paused, resumed or deleted; in the same turn. Never fails. */
  readonly uplinkChanged: (name: string) => void;
  /** `undefined`: no line was wanted so far. */
  readonly uplinkLine: (name: string) => UplinkLine | undefined;
  /** `undefined` as with `uplinkLine`. */
  readonly uplinkCounts: (name: string) => UplinkCounts | undefined;
  /** Connects once, without disturbing the line; never rejects. */
  readonly testUplink: (name: string) => Promise<UplinkTest>;
};

type OnUplink = {
  readonly principal: Principal;
  readonly name: string;
  /** Gets what there is once the caller is authorised, and may throw. */
  readonly precondition?: (present: Outbox | undefined) => void;
};

/**
 * Makes an uplink or gives it other settings; what it owes stays owed. Settings that are there already
 * change nothing. Synchronous, as every interaction.
 * @throws GatewayError `forbidden`, `malformed`, `conflict` for one of the configuration file,
 * `limit-reached`.
 */
export function putUplink(
  deps: UplinkDeps,
  on: OnUplink & { readonly given: GivenUplink },
): { readonly outbox: Outbox; readonly created: boolean } {
  const { principal, name, given, precondition } = on;
  authoriseInGateway(principal, "gateway.manage");
  if (!isUplinkName(name)) {
    throw new GatewayError("malformed", `the name of an uplink ${UPLINK_NAME}`);
  }
  const { outboxes } = deps.store;
  const present = outboxes.get(name);
  precondition?.(present);
  requireNotOfFile(deps, name);
  if (present === undefined && outboxes.list().length >= FIXED_LIMITS.uplinksMax) {
    throw new GatewayError("limit-reached", `there are ${FIXED_LIMITS.uplinksMax} uplinks`);
  }
  const before = present && settingsOf(deps.fileUplinks, present.uplink).settings;
  const completed = completeUplink(given, before);
  if (!completed.ok) throw unfit(completed.faults);
  const row = rowOfApi(completed.settings);
  if (present !== undefined && isDeepStrictEqual(present.uplink.settings, row)) {
    return { outbox: present, created: false };
  }
  const outbox = outboxes.put(name, row);
  deps.uplinkChanged(name);
  return { outbox, created: present === undefined };
}

/** @throws GatewayError `forbidden`, `not-found`. */
export function findUplink(deps: UplinkDeps, on: Pick<OnUplink, "principal" | "name">): Outbox {
  authoriseInGateway(on.principal, "gateway.read");
  return requireUplink(deps, on.name);
}

/**
 * By name.
 * @throws GatewayError `forbidden`.
 */
export function listUplinks(deps: UplinkDeps, principal: Principal): readonly Outbox[] {
  authoriseInGateway(principal, "gateway.read");
  return deps.store.outboxes.list();
}

/**
 * Deletes an uplink and forgets what it owes.
 * @throws GatewayError `forbidden`, `not-found`, `conflict` for one of the configuration file.
 */
export function deleteUplink(deps: UplinkDeps, on: OnUplink): void {
  authoriseInGateway(on.principal, "gateway.manage");
  on.precondition?.(requireUplink(deps, on.name));
  requireNotOfFile(deps, on.name);
  deps.store.outboxes.delete(on.name);
  deps.uplinkChanged(on.name);
}

/**
 * Closes the line and leaves it closed, also over restarts, or lets it open again. What is to be sent
 * goes on to be kept meanwhile.
 * @throws GatewayError `forbidden`, `not-found`.
 */
export function pauseUplink(
  deps: UplinkDeps,
  on: OnUplink & { readonly isPaused: boolean },
): Outbox {
  authoriseInGateway(on.principal, "gateway.manage");
  const present = requireUplink(deps, on.name);
  on.precondition?.(present);
  if (present.uplink.isPaused !== on.isPaused) {
    deps.store.outboxes.pause(on.name, on.isPaused);
    deps.uplinkChanged(on.name);
  }
  return present;
}

/**
 * Tries to connect as the uplink would.
 * @throws GatewayError `forbidden`, `not-found`.
 */
export async function testUplink(deps: UplinkDeps, on: OnUplink): Promise<UplinkTest> {
  authoriseInGateway(on.principal, "gateway.manage");
  const present = requireUplink(deps, on.name);
  on.precondition?.(present);
  const known = settingsOf(deps.fileUplinks, present.uplink);
  if (!known.isUsable) return { isReached: false, detail: known.reason, tookMs: 0 };
  return deps.testUplink(on.name);
}

/** At a start: the uplinks of the file are kept as the file says now. */
export function adoptFileUplinks({
  store,
  fileUplinks,
}: Pick<UplinkDeps, "store" | "fileUplinks">): void {
  for (const [name, settings] of fileUplinks) {
    const row = rowOfFile(settings);
    const present = store.outboxes.get(name);
    // The terms are those of the file already: only what is kept of them may be older.
    if (isDeepStrictEqual(present?.uplink.settings, row)) continue;
    store.outboxes.put(name, row);
    store.audit.record({ ...OF_GATEWAY, action: "uplink.adopt", target: name });
  }
}

function requireUplink({ store }: UplinkDeps, name: string): Outbox {
  const outbox = store.outboxes.get(name);
  if (outbox !== undefined) return outbox;
  throw new GatewayError("not-found", `there is no uplink ${name}`);
}

function requireNotOfFile({ fileUplinks }: UplinkDeps, name: string): void {
  if (!fileUplinks.has(name)) return;
  const detail = "is one of the configuration file: change it there, and start the gateway anew";
  throw new GatewayError("conflict", `the uplink ${name} ${detail}`);
}

function unfit(faults: readonly { readonly pointer: string; readonly detail: string }[]) {
  const first = faults.map(({ pointer, detail }) => `${pointer} ${detail}`)[0] ?? "";
  return new GatewayError("malformed", `the settings do not go together: ${first}`, { faults });
}
