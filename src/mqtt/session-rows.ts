import { isUtf8 } from "node:buffer";
import { z } from "zod";
import type { Commit } from "../store/commit.ts";
import { readRows, type Database } from "../store/database.ts";
import type { Qos } from "./frame-kinds.ts";
import type { Message } from "./message.ts";

/**
 * Rows of the MQTT side, in the sublevel `mqtt` of the one database, so that what a session is owed
 * is in the same batch as the change it is owed for.
 *
 * | key | row |
 * | --- | --- |
 * | `s:<number>` | a persistent session: client id, credential, subscriptions |
 * | `q:<number><counter>` | a message it is owed, in order |
 * | `i:<number><packet id>` | a QoS 2 packet id it has used and not released |
 * | `w:<client id>` | the will of a connection |
 * | `r:<topic>` | a retained message of a free topic |
 */
export const SUBLEVEL = "mqtt";
const PREFIX = `!${SUBLEVEL}!`;

const NUMBER_DIGITS = 6;
const COUNTER_DIGITS = 11;
const RADIX = 32;

const digits = (value: number, width: number): string => value.toString(RADIX).padStart(width, "0");

export const sessionKey = (session: number): string =>
  `${PREFIX}s:${digits(session, NUMBER_DIGITS)}`;
export const queueKey = (session: number, counter: number): string =>
  `${PREFIX}q:${digits(session, NUMBER_DIGITS)}${digits(counter, COUNTER_DIGITS)}`;
export const incomingKey = (session: number, packetId: number): string =>
  `${PREFIX}i:${digits(session, NUMBER_DIGITS)}${digits(packetId, 4)}`;
export const willKey = (clientId: string): string => `${PREFIX}w:${clientId}`;
export const retainedKey = (topic: string): string => `${PREFIX}r:${topic}`;
export const LAST_SESSION_KEY = `${PREFIX}m:session`;

const under = (letter: string) => ({ gt: `${PREFIX}${letter}:`, lt: `${PREFIX}${letter};` });

const numberOf = (key: string): number =>
  Number.parseInt(key.slice(PREFIX.length + 2, PREFIX.length + 2 + NUMBER_DIGITS), RADIX);
const tailOf = (key: string): number =>
  Number.parseInt(key.slice(PREFIX.length + 2 + NUMBER_DIGITS), RADIX);

const qos = z.union([z.literal(0), z.literal(1), z.literal(2)]);

const sessionSchema = z.object({
  clientId: z.string(),
  /** ULID of the credential it belongs to. */
  credential: z.string(),
  subscriptions: z.array(z.tuple([z.string(), qos])),
  /** Age of the store when its last connection ended; absent while one is open. */
  leftAtAgeMs: z.number().exactOptional(),
  /** That connection was open when the gateway ended. */
  isCutOff: z.boolean().exactOptional(),
  /** Filters whose retained messages it may not have got yet. */
  retainedOwed: z.array(z.string()).exactOptional(),
});
export type SessionRow = z.infer<typeof sessionSchema>;

const payloadSchema = {
  topic: z.string(),
  /** As text, or as base64 where it is not UTF-8. */
  text: z.string().exactOptional(),
  base64: z.string().exactOptional(),
  qos,
};

const queuedSchema = z.object({
  ...payloadSchema,
  retain: z.literal(true).exactOptional(),
  isState: z.literal(true).exactOptional(),
  request: z
    .object({
      thing: z.number(),
      name: z.string(),
      moment: z.object({ at: z.number(), sequence: z.number() }),
    })
    .exactOptional(),
  /** It was sent: again it goes with the id it had [MQTT-4.4.0-1]. */
  packetId: z.number().exactOptional(),
  /** PUBREC has come: only the id is still owed. */
  isReceived: z.literal(true).exactOptional(),
});

type Sent = { readonly packetId: number; readonly isReceived: boolean };
export type QueuedRow = Sent & { readonly message: Message };
/** What a session keeps in memory of a message that waits for its client. */
export type QueuedHead = Sent & { readonly message: Omit<Message, "payload"> };

/** JSON leaves out what is `undefined`: that costs a fraction of an object that is put together. */
type Written<Row> = { readonly [Member in keyof Row]-?: Row[Member] | undefined };

/** At the QoS at which the session gets it. */
export function writeQueued(
  { topic, payload, retain, isState, request }: Message,
  { qos, packetId, isReceived }: { readonly qos: Qos } & Omit<QueuedRow, "message">,
): string {
  const isText = isUtf8(payload);
  const row: Written<z.infer<typeof queuedSchema>> = {
    topic,
    text: isText ? payload.toString("utf8") : undefined,
    base64: isText ? undefined : payload.toString("base64"),
    qos,
    retain: retain ? true : undefined,
    isState: isState ? true : undefined,
    request,
    packetId: packetId === 0 ? undefined : packetId,
    isReceived: isReceived ? true : undefined,
  };
  return JSON.stringify(row);
}

export function readQueued(row: string): QueuedRow {
  const parsed = queuedSchema.parse(JSON.parse(row));
  const { message, ...sent } = headOf(parsed, parsed.topic);
  return { message: { ...message, payload: payloadOf(parsed) }, ...sent };
}

/** Without the payload, which stays on disk. `one` gives the same text for equal topics. */
export function readQueuedHead(row: string, one: (topic: string) => string): QueuedHead {
  const parsed = queuedSchema.parse(JSON.parse(row));
  return headOf(parsed, one(parsed.topic));
}

function headOf(parsed: z.infer<typeof queuedSchema>, topic: string): QueuedHead {
  const { qos, retain, isState, request, packetId, isReceived } = parsed;
  return {
    message: { topic, qos, retain: retain === true, isState: isState === true, request },
    packetId: packetId ?? 0,
    isReceived: isReceived === true,
  };
}

const retainedSchema = z.object(payloadSchema);
type Payload = z.infer<typeof retainedSchema>;

export function writeMessage(message: Pick<Message, "topic" | "payload" | "qos">): Payload {
  const { topic, payload } = message;
  const { qos } = message;
  return isUtf8(payload)
    ? { topic, text: payload.toString("utf8"), qos }
    : { topic, base64: payload.toString("base64"), qos };
}

function readMessage(row: Payload): { topic: string; payload: Buffer; qos: Qos } {
  return { topic: row.topic, payload: payloadOf(row), qos: row.qos };
}

function payloadOf({ text, base64 }: Payload): Buffer {
  return text === undefined ? Buffer.from(base64 ?? "", "base64") : Buffer.from(text);
}

const willSchema = z.object({
  ...payloadSchema,
  credential: z.string(),
  retain: z.boolean(),
});
/** The will of a connection and whose it is. */
export type WillRow = Pick<Message, "topic" | "payload" | "qos" | "retain"> & {
  readonly credential: string;
};

export function writeWill(will: WillRow): string {
  const { credential, retain } = will;
  return JSON.stringify({ ...writeMessage(will), credential, retain });
}

export function writeSession(row: SessionRow): string {
  return JSON.stringify(row);
}

/** A message that a session is owed. */
export type Queued<Row> = {
  readonly session: number;
  readonly counter: number;
  readonly row: Row;
  readonly bytes: number;
};

/** Everything the MQTT side has on disk, but for the payloads of what sessions are owed. */
export type MqttRows = {
  readonly lastSession: number;
  readonly sessions: readonly { readonly number: number; readonly row: SessionRow }[];
  /** In order, by session. */
  readonly queued: readonly Queued<QueuedHead>[];
  readonly incoming: readonly { readonly session: number; readonly packetId: number }[];
  readonly wills: ReadonlyMap<string, WillRow>;
  readonly retained: readonly Pick<Message, "topic" | "payload" | "qos">[];
};

/** What sessions are owed, in order, by session. */
export async function readQueuedRows<Row>(
  database: Database,
  read: (row: string) => Row,
): Promise<readonly Queued<Row>[]> {
  return readRows(database, under("q"), (key, row) => ({
    session: numberOf(key),
    counter: tailOf(key),
    row: read(row),
    bytes: row.length,
  }));
}

/** Rows that cannot be read are left out, and told by the database. */
export async function readMqttRows(
  database: Database,
  commit: Pick<Commit, "read">,
): Promise<MqttRows> {
  // Most messages are of few topics: one text of each is enough.
  const topics = new Map<string, string>();
  const one = (topic: string): string => {
    const known = topics.get(topic);
    if (known === undefined) topics.set(topic, topic);
    return known ?? topic;
  };
  const [sessions, queued, incoming, wills, retained] = await Promise.all([
    readRows(database, under("s"), (key, row) => {
      return { number: numberOf(key), row: sessionSchema.parse(JSON.parse(row)) };
    }),
    readQueuedRows(database, (row) => readQueuedHead(row, one)),
    readRows(database, under("i"), (key) => {
      return { session: numberOf(key), packetId: tailOf(key) };
    }),
    readRows(database, under("w"), (key, value): readonly [string, WillRow] => {
      const { credential, retain, ...row } = willSchema.parse(JSON.parse(value));
      return [key.slice(PREFIX.length + 2), { ...readMessage(row), credential, retain }];
    }),
    readRows(database, under("r"), (_, row) => readMessage(retainedSchema.parse(JSON.parse(row)))),
  ]);
  // Should the number itself be lost: what a session is owed is not another's.
  let lastSession = Number(commit.read(LAST_SESSION_KEY) ?? "0");
  for (const { number } of sessions) lastSession = Math.max(lastSession, number);
  for (const { session } of [...queued, ...incoming]) lastSession = Math.max(lastSession, session);
  return { lastSession, sessions, queued, incoming, wills: new Map(wills), retained };
}
