import type { Rule } from "./check.ts";

/** A fault in one compiled file of the daemon, and the rules of which one must notice it. */
export type PlantedFault = {
  readonly file: string;
  readonly right: string;
  readonly wrong: string;
  readonly noticedBy: readonly Rule[];
  /** It shows only where something is dropped. */
  readonly isSmall?: boolean;
};

/** `npm run test:uplink -- --fault NAME` runs the daemon with it; `--fault all` one after the other. */
export const PLANTED_FAULTS: Readonly<Record<string, PlantedFault>> = {
  "what-is-sent-counts-as-acknowledged": {
    file: "uplink/drain.js",
    right: "onSent(unit.owed);",
    wrong: "{ onSent(unit.owed); this.#deps.outbox.acknowledge(unit.owed.seq); }",
    noticedBy: ["complete", "numbers"],
  },
  "one-of-many-is-not-sent": {
    file: "uplink/drain.js",
    right: 'const messages = outcome.kind === "messages" ? outcome.messages : [];',
    wrong:
      'const messages = outcome.kind === "messages" && owed.seq % 97 !== 0 ? outcome.messages : [];',
    noticedBy: ["numbers", "complete"],
  },
  "what-is-taken-goes-out-backwards": {
    file: "uplink/drain.js",
    right: "stream.ready = stream.ready.length === 0 ? [...taken]",
    wrong: "stream.ready = stream.ready.length === 0 ? [...taken].reverse()",
    noticedBy: ["order"],
  },
  "a-command-is-acknowledged-before-it-is-on-disk": {
    file: "uplink/down.js",
    right: "const line = this.#line;",
    wrong: "const line = this.#line; acknowledge(); acknowledge = () => undefined;",
    noticedBy: ["once"],
  },
  "redeliveries-are-not-known": {
    file: "uplink/redeliveries.js",
    right: "        return true;\n",
    wrong: "        return false;\n",
    noticedBy: ["once"],
  },
  "ids-of-commands-are-not-kept": {
    file: "store/uplink-memory.js",
    right: "this.#commands.put(id, true);",
    wrong: "",
    noticedBy: ["once"],
  },
  "what-waited-upstream-counts-as-new": {
    file: "uplink/command-ages.js",
    right: "this.#away = sessionPresent ? this.#sinceHeard() : undefined;",
    wrong: "",
    noticedBy: ["late"],
  },
  "what-is-dropped-is-not-told": {
    file: "store/outbox-numbers.js",
    right: "if (loss.count > 0)",
    wrong: "if (false)",
    noticedBy: ["complete", "gaps"],
    isSmall: true,
  },
  "what-is-dropped-comes-back-with-a-kill": {
    file: "store/outbox.js",
    right: "if (drops !== undefined)",
    wrong: "if (false)",
    noticedBy: ["numbers", "complete", "invented", "gaps"],
    isSmall: true,
  },
  "the-ledger-is-not-on-disk": {
    file: "store/outbox.js",
    right: "this.#ledger.write();",
    wrong: "",
    noticedBy: ["gaps"],
    isSmall: true,
  },
  "a-gap-stands-behind-what-follows": {
    file: "store/outbox-log.js",
    right: "Math.min(range.place, this.#through)",
    wrong: "Math.min(range.to + 40, this.#through)",
    noticedBy: ["complete", "numbers", "invented", "gaps"],
    isSmall: true,
  },
};
