import { z } from "zod";
import { CHANGE_CLASSES, type ChangeClass } from "./keys.ts";
import { DROP_CAUSES } from "./outbox-items.ts";
import { snapshotSchema } from "./outbox-snapshot.ts";

/** Rows of the log and their bytes. */
export type Amount = { readonly rows: number; readonly bytes: number };
export type Amounts = Readonly<Record<ChangeClass, Amount>>;

const NOTHING: Amount = { rows: 0, bytes: 0 };
export const NO_AMOUNTS: Amounts = {
  property: NOTHING,
  action: NOTHING,
  event: NOTHING,
  data: NOTHING,
  thing: NOTHING,
};

/** All classes together. */
export function totalOf(amounts: Amounts): Amount {
  return CHANGE_CLASSES.map((of) => amounts[of]).reduce(plusAmount);
}

export function plusAmounts(a: Amounts, b: Amounts): Amounts {
  const sum = { ...a };
  for (const of of CHANGE_CLASSES) sum[of] = plusAmount(a[of], b[of]);
  return sum;
}

export function plusAmount(a: Amount, b: Amount): Amount {
  return { rows: a.rows + b.rows, bytes: a.bytes + b.bytes };
}

const amount = z.object({ rows: z.number(), bytes: z.number() });
const lostSchema = z.object({
  class: z.enum(CHANGE_CLASSES).exactOptional(),
  cause: z.enum(DROP_CAUSES),
  count: z.number(),
  bytes: z.number(),
  since: z.number(),
  until: z.number(),
  /** So many numbers it takes. */
  numbers: z.number(),
});
/** Owed changes that are not in the log any more, and have not got numbers yet. */
export type Lost = z.infer<typeof lostSchema>;

/** Where an uplink stands, as the disk has it. */
export const placeSchema = z.object({
  /** The next number. */
  next: z.number(),
  /** All up to this number is acknowledged. */
  acknowledged: z.number(),
  /** What of the log has not been read: see `Parts`. */
  parts: z.array(z.tuple([z.number(), z.number().nullable()])),
  snapshots: z.array(snapshotSchema),
  /** What of the log has not been read and is owed. */
  pending: z.object({
    property: amount,
    action: amount,
    event: amount,
    data: amount,
    thing: amount,
  }),
  /** No change that is owed and not read is older: ms since the epoch. */
  oldestAt: z.number(),
  /** Classes that take nothing new until there is room. */
  closed: z.array(z.enum(CHANGE_CLASSES)),
  lost: z.array(lostSchema),
  /** First and last number of each page that is not acknowledged. */
  pages: z.array(z.tuple([z.number(), z.number()])),
  /** First numbers of those of the newer of two streams. */
  live: z.array(z.number()).default([]),
});
export type Place = z.infer<typeof placeSchema>;
