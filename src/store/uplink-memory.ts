import { z } from "zod";
import { FIXED_LIMITS } from "../limits.ts";
import type { Json } from "../thing/json.ts";
import type { Commit } from "./commit.ts";
import { readRows, type Database } from "./database.ts";
import {
  orderOfRememberedKey,
  rememberedKey,
  rememberedRows,
  type Moment,
  type RememberedKind,
} from "./keys.ts";

/**
 * What an uplink has to know of what came down: which commands were applied, which local action
 * request stands for which of upstream's, and notes of whoever applies them. What is put is in the
 * open batch, so that it is on disk together with what the command changed.
 */
export class UplinkMemory {
  readonly #commands: Recollection<true>;
  readonly #requests: Recollection<z.infer<typeof requestSchema>>;
  readonly #byHref = new Map<string, Moment>();
  readonly #notes: Recollection<Json>;

  /** `uplink`: its number. */
  constructor(commit: Commit, uplink: number) {
    const { uplinkCommandsMax, uplinkRequestsMax, uplinkNotesMax } = FIXED_LIMITS;
    this.#commands = new Recollection(commit, { uplink, kind: "command" }, uplinkCommandsMax);
    this.#requests = new Recollection(
      commit,
      { uplink, kind: "request" },
      uplinkRequestsMax,
      ({ href }) => this.#byHref.delete(href),
    );
    this.#notes = new Recollection(commit, { uplink, kind: "note" }, uplinkNotesMax);
  }

  async load(database: Database): Promise<void> {
    await this.#commands.load(database, z.literal(true));
    await this.#requests.load(database, requestSchema);
    await this.#notes.load(database, json);
    for (const [sequence, { at, href }] of this.#requests.entries()) {
      this.#byHref.set(href, { at, sequence: Number(sequence) });
    }
  }

  /** Whether a command was applied, by its id. */
  seen(id: string): boolean {
    return this.#commands.get(id) !== undefined;
  }

  /** A command is applied; of very many the oldest are forgotten. */
  remember(id: string): void {
    this.#commands.put(id, true);
  }

  /** A local action request stands for the one that has this `href` upstream. */
  mapRequest({ at, sequence }: Moment, href: string): void {
    this.#requests.put(String(sequence), { at, href });
    this.#byHref.set(href, { at, sequence });
  }

  /** The `href` upstream of a local action request, by its sequence. */
  upstreamOf(request: number): string | undefined {
    return this.#requests.get(String(request))?.href;
  }

  /** The local action request that stands for one of upstream. */
  requestOf(href: string): Moment | undefined {
    return this.#byHref.get(href);
  }

  /** It is finished, and upstream knows. */
  forgetRequest(request: number): void {
    this.#requests.delete(String(request));
  }

  /** A note of the caller's own under a name; `undefined`: none, or forgotten for newer ones. */
  note(name: string): Json | undefined {
    return this.#notes.get(name);
  }

  /** All of them, oldest first. */
  notes(): Iterable<readonly [name: string, note: Json]> {
    return this.#notes.entries();
  }

  /** `undefined` deletes it. */
  setNote(name: string, note: Json | undefined): void {
    if (note === undefined) this.#notes.delete(name);
    else this.#notes.put(name, note);
  }

  /** Takes all of it from the disk. */
  erase(): void {
    for (const kept of [this.#commands, this.#requests, this.#notes]) kept.clear();
    this.#byHref.clear();
  }
}

const json: z.ZodType<Json> = z.custom<Json>((value) => value !== undefined);
const requestSchema = z.object({ at: z.number(), href: z.string() });

type Place = { readonly uplink: number; readonly kind: RememberedKind };
type Kept<Value> = { readonly order: number; readonly value: Value };

/** So many values by name, in memory and on disk: the one put first is forgotten first. */
class Recollection<Value extends Json> {
  readonly #commit: Commit;
  readonly #place: Place;
  readonly #most: number;
  readonly #onForgotten: (value: Value) => void;
  readonly #kept = new Map<string, Kept<Value>>();
  #lastOrder = 0;

  constructor(
    commit: Commit,
    place: Place,
    most: number,
    onForgotten: (value: Value) => void = () => undefined,
  ) {
    this.#commit = commit;
    this.#place = place;
    this.#most = most;
    this.#onForgotten = onForgotten;
  }

  async load(database: Database, schema: z.ZodType<Value>): Promise<void> {
    const { uplink, kind } = this.#place;
    const row = z.object({ name: z.string(), value: schema });
    const rows = await readRows(database, rememberedRows(uplink, kind), (key, text) => {
      const order = orderOfRememberedKey(key);
      return { order, ...row.parse(JSON.parse(text)) };
    });
    for (const { order, name, value } of rows) {
      this.#kept.set(name, { order, value });
      this.#lastOrder = order;
    }
  }

  get(name: string): Value | undefined {
    return this.#kept.get(name)?.value;
  }

  *entries(): Iterable<readonly [name: string, value: Value]> {
    for (const [name, { value }] of this.#kept) yield [name, value];
  }

  put(name: string, value: Value): void {
    this.delete(name);
    this.#lastOrder += 1;
    const { uplink, kind } = this.#place;
    const row = JSON.stringify({ name, value });
    this.#commit.put(rememberedKey(uplink, kind, this.#lastOrder), row);
    this.#kept.set(name, { order: this.#lastOrder, value });
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > this.#most && oldest !== undefined) this.delete(oldest);
  }

  delete(name: string): void {
    const kept = this.#kept.get(name);
    if (kept === undefined) return;
    this.#kept.delete(name);
    const { uplink, kind } = this.#place;
    this.#commit.delete(rememberedKey(uplink, kind, kept.order));
    this.#onForgotten(kept.value);
  }

  clear(): void {
    for (const name of [...this.#kept.keys()]) this.delete(name);
  }
}
