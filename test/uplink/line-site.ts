import type { Test } from "tap";
import { systemClock } from "../../src/clock.ts";
import type { LineSettings } from "../../src/uplink/line-connect.ts";
import { LineFailure } from "../../src/uplink/line-failure.ts";
import { InboundSession } from "../../src/uplink/line-inbound.ts";
import { openLine, type Line } from "../../src/uplink/line.ts";
import type { DownMessage } from "../../src/uplink/message.ts";
import { within } from "../wire/within.ts";

export type Came = DownMessage & { readonly acknowledge: () => void };

/** A line and everything that came over it. */
export type Site = {
  readonly line: Line;
  /** The next message; of those nobody waited for, the first. */
  readonly next: (what: string) => Promise<Came>;
  readonly closed: () => Promise<LineFailure>;
  readonly tooLarge: (readonly [topic: string, bytes: number])[];
};

let count = 0;

export function lineSettings(url: string, given: Partial<LineSettings> = {}): LineSettings {
  count += 1;
  return {
    url,
    protocol: 5,
    clientId: `sluice-test-${process.pid}-${count}`,
    keepaliveS: 60,
    sessionExpiryS: 3_600,
    stallMs: 10_000,
    ...given,
  };
}

export async function connectLine(
  t: Test,
  settings: LineSettings,
  session = new InboundSession(),
): Promise<Site> {
  const came: Came[] = [];
  const waiting: ((message: Came) => void)[] = [];
  const tooLarge: (readonly [string, number])[] = [];
  let onClosed: (reason: LineFailure) => void = () => undefined;
  const closed = new Promise<LineFailure>((resolve) => (onClosed = resolve));
  const line = await openLine(
    settings,
    {
      onMessage: (message, acknowledge) => {
        const one = { ...message, acknowledge };
        const taker = waiting.shift();
        if (taker === undefined) came.push(one);
        else taker(one);
      },
      onTooLarge: (topic, bytes) => tooLarge.push([topic, bytes]),
      onClosed: (reason) => onClosed(reason),
    },
    { clock: systemClock(), session },
    new AbortController().signal,
  );
  t.teardown(async () => line.close());
  return {
    line,
    tooLarge,
    closed: async () => within("the end of the line", closed),
    next: async (what) => {
      const one = came.shift();
      if (one !== undefined) return one;
      return within(what, new Promise<Came>((resolve) => waiting.push(resolve)));
    },
  };
}

/** Why a try failed; an assertion if it did not. */
export async function failureOf(trying: Promise<unknown>): Promise<LineFailure> {
  try {
    await trying;
  } catch (error) {
    if (error instanceof LineFailure) return error;
    throw error;
  }
  throw new Error("it did not fail");
}
