import { isOver, momentIn } from "../clock.ts";
import { keptText } from "../kept-text.ts";
import { FIXED_LIMITS } from "../limits.ts";
import { generateToken, lookupDigest } from "../secrets.ts";
import type { BrowserSession, SetEnd } from "../store/browser-sessions.ts";
import type { InteractionDeps } from "./deps.ts";

type SessionDeps = Pick<InteractionDeps, "store" | "clock">;

/** Where a person comes from, as far as the connection and the browser say. */
export type Visitor = { readonly address: string; readonly agent: string };

/** The text of the cookie is in this one outcome, and nowhere else. */
export type OpenedSession = { readonly session: BrowserSession; readonly text: string };

/**
 * Opens a session of a person who has just logged in. Beyond a number of them the one that was not
 * used for longest ends.
 */
export function openBrowserSession(
  deps: Pick<InteractionDeps, "store" | "clock" | "random">,
  user: string,
  { address, agent }: Visitor,
): OpenedSession {
  const { store, clock, random } = deps;
  forgetEnded(deps);
  const own = store.browserSessions.all().filter((session) => session.user === user);
  const byUse = [...own].sort((a, b) => a.lastUsed.at - b.lastUsed.at);
  const surplus = byUse.length - FIXED_LIMITS.sessionsPerUserMax + 1;
  for (const session of byUse.slice(0, Math.max(0, surplus))) {
    store.browserSessions.delete(session);
  }
  const text = generateToken(random);
  const now = clock.wallMs();
  const session: BrowserSession = {
    ulid: store.ids.next(),
    digest: lookupDigest(text),
    user,
    created: now,
    agent: keptText(agent, FIXED_LIMITS.userAgentLengthMax),
    lastUsed: { at: now, address },
    idle: endIn(deps, FIXED_LIMITS.sessionIdleMs),
    end: endIn(deps, FIXED_LIMITS.sessionLifeMs),
  };
  store.browserSessions.put(session);
  return { session, text };
}

/**
 * The session of this cookie, or `undefined`. That it was used is noted once a minute, in whichever
 * batch is open then.
 */
export function useBrowserSession(
  deps: SessionDeps,
  text: string,
  address: string,
): BrowserSession | undefined {
  const { store, clock } = deps;
  const session = store.browserSessions.byDigest(lookupDigest(text));
  if (session === undefined || hasEnded(deps, session)) return undefined;
  const at = clock.wallMs();
  const isNoted = at - session.lastUsed.at < FIXED_LIMITS.tokenUseNotedMs;
  if (isNoted || store.writability.refusal !== undefined) return session;
  const used = {
    ...session,
    lastUsed: { at, address },
    idle: endIn(deps, FIXED_LIMITS.sessionIdleMs),
  };
  store.browserSessions.put(used);
  return used;
}

/** Those that have not ended. */
export function liveSessions(deps: SessionDeps): readonly BrowserSession[] {
  return deps.store.browserSessions.all().filter((session) => !hasEnded(deps, session));
}

/** Ends all sessions of a person, at once. */
export function endSessionsOf({ store }: Pick<InteractionDeps, "store">, user: string): void {
  for (const session of store.browserSessions.all()) {
    if (session.user === user) store.browserSessions.delete(session);
  }
}

function forgetEnded(deps: SessionDeps): void {
  const { browserSessions } = deps.store;
  for (const session of browserSessions.all()) {
    if (hasEnded(deps, session)) browserSessions.delete(session);
  }
}

function hasEnded({ clock }: SessionDeps, { idle, end }: BrowserSession): boolean {
  return isOver(clock, idle.at, idle.moment) || isOver(clock, end.at, end.moment);
}

function endIn({ clock }: SessionDeps, delayMs: number): SetEnd {
  return { at: clock.wallMs() + delayMs, moment: momentIn(clock, delayMs) };
}
