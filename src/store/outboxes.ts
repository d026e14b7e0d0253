import type { CancelTimer } from "../clock.ts";
import type { Log } from "../log.ts";
import type { JsonObject } from "../thing/json.ts";
import type { Added } from "./changes.ts";
import type { Found as StoreLoss } from "./gap-search.ts";
import type { ChangeClass } from "./keys.ts";
import { newOutbox, readOutbox } from "./outbox-open.ts";
import { DEFAULT_TERMS, type OutboxTerms, type Subject } from "./outbox-terms.ts";
import { Outbox, type OutboxDeps } from "./outbox.ts";
import { Uplinks, type Uplink } from "./uplinks.ts";

/** Rates, ages and bounds are looked at this often. */
const LOOK_EVERY_MS = 10_000;

export type OutboxesDeps = Omit<OutboxDeps, "bytesMax"> & {
  /** Bytes that all of them may hold of the disk; `Infinity`: nobody knows yet. */
  readonly roomBytes: () => number;
  /** Hears what is dropped. */
  readonly log: Log;
  /** What the settings of an uplink mean; without: that everything is owed, in order. */
  readonly termsOf?: ((uplink: Uplink) => OutboxTerms) | undefined;
};

/** What each uplink owes. The log is written as if there were none: they only follow it. */
export class Outboxes {
  readonly #deps: OutboxesDeps;
  readonly #uplinks: Uplinks;
  readonly #outboxes = new Map<string, Outbox>();
  #cancelTimer: CancelTimer | undefined;
  #isStopped = false;

  constructor(deps: OutboxesDeps) {
    this.#deps = deps;
    this.#uplinks = new Uplinks(deps.commit);
  }

  async load(): Promise<void> {
    await this.#uplinks.load(this.#deps.database);
    for (const uplink of this.#uplinks.list()) {
      const held = await readOutbox(this.#deps, uplink.number);
      this.#hold(new Outbox(this.#depsOfOne, uplink, this.#termsOf(uplink), held));
    }
  }

  /** By name. */
  list(): readonly Outbox[] {
    return this.#uplinks.list().flatMap(({ name }) => this.#outboxes.get(name) ?? []);
  }

  get(name: string): Outbox | undefined {
    return this.#outboxes.get(name);
  }

  /**
   * Makes an uplink, which then owes a snapshot and all that follows, or gives one new settings: what it
   * owes stays owed. In the open batch.
   */
  put(name: string, settings: JsonObject): Outbox {
    const { clock, commit, changes, things } = this.#deps;
    const modified = clock.wallMs();
    const present = this.#outboxes.get(name);
    if (present !== undefined) {
      this.#change(present, { ...present.uplink, settings });
      return present;
    }
    const number = this.#uplinks.takeNumber();
    const isNew = { isPaused: false, created: modified, modified, revision: 1 };
    const uplink = { number, name, settings, ...isNew };
    const now = { sequence: changes.sequence, lastThing: things.lastNumber };
    const held = newOutbox(commit, number, now);
    const outbox = new Outbox(this.#depsOfOne, uplink, this.#termsOf(uplink), held);
    this.#uplinks.put(uplink);
    this.#hold(outbox);
    return outbox;
  }

  /** Whether its line is to be left alone; in the open batch. */
  pause(name: string, isPaused: boolean): void {
    const outbox = this.#outboxes.get(name);
    if (outbox === undefined || outbox.uplink.isPaused === isPaused) return;
    this.#change(outbox, { ...outbox.uplink, isPaused });
  }

  /** Forgets an uplink with all it owes; in the open batch. */
  delete(name: string): void {
    const outbox = this.#outboxes.get(name);
    if (outbox === undefined) return;
    this.#outboxes.delete(name);
    this.#uplinks.delete(outbox.uplink);
    outbox.erase();
    this.#follow();
  }

  /** The first sequence of a class that the log has to keep; `Infinity`: it need not keep any. */
  neededFrom(of: ChangeClass): number {
    const all = [...this.#outboxes.values()].map((outbox) => outbox.neededFrom(of));
    return Math.min(Infinity, ...all);
  }

  /** A row of the log is about to be deleted by a user. */
  rowGoes(of: ChangeClass, sequence: number): void {
    for (const outbox of this.#outboxes.values()) outbox.rowGoes(of, sequence);
  }

  /** Changes are gone from the log, and nobody deleted them. */
  lose(loss: StoreLoss): void {
    for (const outbox of this.#outboxes.values()) outbox.lose(loss);
  }

  /** Puts where they stand into the open batch. */
  write(): void {
    for (const outbox of this.#outboxes.values()) outbox.write();
  }

  /** Keeps them within their bounds from now on. A look that fails is told, and the next one tries again. */
  start(onFailure: (error: unknown) => void): void {
    if (this.#isStopped) return;
    this.#cancelTimer = this.#deps.clock.after(LOOK_EVERY_MS, () => {
      void this.look()
        .catch(onFailure)
        .then(() => this.start(onFailure));
    });
  }

  /** Resolves when all of them are within their bounds. */
  async look(): Promise<void> {
    for (const outbox of this.#outboxes.values()) {
      await outbox.look();
      const { name: uplink } = outbox.uplink;
      for (const drop of outbox.takeDropped()) {
        this.#deps.log.warn("uplink.dropped", { uplink, ...drop });
      }
    }
  }

  /** Puts what is not on disk; nothing is put after it. Idempotent. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelTimer?.();
    for (const outbox of this.#outboxes.values()) outbox.stop();
  }

  #change(outbox: Outbox, changed: Uplink): void {
    const modified = this.#deps.clock.wallMs();
    const uplink = { ...changed, modified, revision: changed.revision + 1 };
    this.#uplinks.put(uplink);
    outbox.change(uplink, this.#termsOf(uplink));
  }

  #termsOf(uplink: Uplink): OutboxTerms {
    return this.#deps.termsOf?.(uplink) ?? DEFAULT_TERMS;
  }

  get #depsOfOne(): OutboxDeps {
    const bytesMax = (): number => this.#deps.roomBytes() / Math.max(1, this.#outboxes.size);
    return { ...this.#deps, bytesMax };
  }

  #hold(outbox: Outbox): void {
    this.#outboxes.set(outbox.uplink.name, outbox);
    this.#follow();
  }

  /** Without an uplink nobody follows the log. */
  #follow(): void {
    const onAdded = this.#outboxes.size === 0 ? undefined : this.#added;
    this.#deps.changes.follow(onAdded);
  }

  readonly #added = (added: Added): void => {
    const subject = this.#subjectOf(added);
    for (const outbox of this.#outboxes.values()) outbox.added(added, subject);
  };

  /** A Thing that is made with this change is not there yet. */
  #subjectOf({ thing, account, id, uid }: Added): Subject | undefined {
    if (account === undefined || id === undefined || uid === undefined) {
      return this.#deps.things.byNumber(thing);
    }
    return { account, id, uid };
  }
}
