import { z } from "zod";
import type { Json } from "../thing/json.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import type { Deletions } from "./deletions.ts";
import { everyRow, requestKey, unfinishedKey, type Moment } from "./keys.ts";

export const FINAL_STATUSES = ["completed", "failed", "cancelled", "expired"] as const;
const ACTION_STATUSES = ["pending", "received", "running", ...FINAL_STATUSES] as const;
export type ActionStatus = (typeof ACTION_STATUSES)[number];

/** One request of an action and what has become of it. Times are ms since the epoch. */
export type ActionRequest = {
  /** `Thing.number`. */
  readonly thing: number;
  readonly name: string;
  /** When and as which change it was requested: its id. */
  readonly moment: Moment;
  readonly status: ActionStatus;
  readonly input?: Json;
  readonly output?: Json;
  /** RFC 9457 members, or what the device said. */
  readonly error?: Json;
  readonly completedAt?: number;
  /** Sequence of the latest change: the ETag. */
  readonly revision: number;
  readonly deadline: ActionDeadline;
};

/** When a pending request expires, on both clocks. */
export type ActionDeadline = {
  readonly timeToLiveMs: number;
  /** Boot in which it was requested, and that boot's monotonic time of the request. */
  readonly bootId: string;
  readonly requestedMonotonicMs: number;
  /** Whether `moment.at` could be believed. */
  readonly isSynced: boolean;
};

const json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined);
const rowSchema = z.object({
  thing: z.number(),
  name: z.string(),
  moment: z.object({ at: z.number(), sequence: z.number() }),
  status: z.enum(ACTION_STATUSES),
  input: json.exactOptional(),
  output: json.exactOptional(),
  error: json.exactOptional(),
  completedAt: z.number().exactOptional(),
  revision: z.number(),
  deadline: z.object({
    timeToLiveMs: z.number(),
    bootId: z.string(),
    requestedMonotonicMs: z.number(),
    isSynced: z.boolean(),
  }),
});

/** Of a text that came from a row of the log. */
export function isActionStatus(text: string): text is ActionStatus {
  return ACTION_STATUSES.some((status) => status === text);
}

export function isFinal(status: ActionStatus): boolean {
  return FINAL_STATUSES.some((final) => final === status);
}

/** Action requests: the unfinished ones in memory too, because deadlines and deliveries ask for them. */
export class ActionRequests {
  readonly #commit: Commit;
  readonly #database: Database;
  readonly #deletions: Deletions;
  readonly #unfinished = new Map<number, Map<number, ActionRequest>>();

  constructor(commit: Commit, database: Database, deletions: Deletions) {
    this.#commit = commit;
    this.#database = database;
    this.#deletions = deletions;
  }

  async load(): Promise<void> {
    const requests = await readRows(this.#database, everyRow.unfinishedRequest, (_, key) => {
      const row = this.#commit.read(key);
      return row === undefined ? undefined : parseActionRequest(row);
    });
    for (const request of requests) if (request !== undefined) this.#remember(request);
  }

  get(thing: number, name: string, moment: Moment): ActionRequest | undefined {
    const unfinished = this.#unfinished.get(thing)?.get(moment.sequence);
    if (unfinished?.name === name && unfinished.moment.at === moment.at) return unfinished;
    const deletedThrough = this.#deletions.throughOf({ thing, of: "action", name });
    if (moment.sequence <= deletedThrough) return undefined;
    const row = this.#commit.read(requestKey(thing, name, moment));
    return row === undefined ? undefined : parseActionRequest(row);
  }

  put(request: ActionRequest): void {
    const key = requestKey(request.thing, request.name, request.moment);
    this.#commit.put(key, JSON.stringify(request));
    if (isFinal(request.status)) {
      this.#forget(request);
    } else {
      this.#commit.put(unfinishedKey(request.thing, request.moment), key);
      this.#remember(request);
    }
  }

  delete(request: Pick<ActionRequest, "thing" | "name" | "moment">): void {
    this.#commit.delete(requestKey(request.thing, request.name, request.moment));
    this.#forget(request);
  }

  unfinished(): Iterable<ActionRequest> {
    return [...this.#unfinished.values()].flatMap((ofThing) => [...ofThing.values()]);
  }

  unfinishedOf(thing: number): Iterable<ActionRequest> {
    return this.#unfinished.get(thing)?.values() ?? [];
  }

  countUnfinishedOf(thing: number): number {
    return this.#unfinished.get(thing)?.size ?? 0;
  }

  forgetThing(thing: number): void {
    this.#unfinished.delete(thing);
  }

  #remember(request: ActionRequest): void {
    const ofThing = this.#unfinished.get(request.thing) ?? new Map<number, ActionRequest>();
    ofThing.set(request.moment.sequence, request);
    this.#unfinished.set(request.thing, ofThing);
  }

  #forget({ thing, moment }: Pick<ActionRequest, "thing" | "moment">): void {
    this.#commit.delete(unfinishedKey(thing, moment));
    const ofThing = this.#unfinished.get(thing);
    ofThing?.delete(moment.sequence);
    if (ofThing?.size === 0) this.#unfinished.delete(thing);
  }
}

export function parseActionRequest(row: string): ActionRequest {
  return rowSchema.parse(JSON.parse(row));
}
