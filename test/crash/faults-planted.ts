import type { Rule } from "./fault.ts";

/** A fault in one compiled file of the daemon, and the rules that must notice it. */
export type PlantedFault = {
  readonly file: string;
  readonly right: string;
  readonly wrong: string;
  /** One of them is enough; none: SIGKILL cannot show it. */
  readonly noticedBy: readonly Rule[];
};

/** `npm run test:crash -- --fault NAME` runs the daemon with it; `--fault all` one after the other. */
export const PLANTED_FAULTS: Readonly<Record<string, PlantedFault>> = {
  "mqtt-answers-before-commit": {
    file: "mqtt/gate.js",
    right: "        this.#unanswered += 1;\n",
    wrong:
      "        this.#unanswered += 1;\n" +
      '        if (typeof answer === "function") answer();\n' +
      "        else if (answer !== undefined) this.#outlet.sendAck(answer.first, answer.packetId);\n" +
      "        answer = undefined;\n",
    noticedBy: ["acknowledged", "last", "delivered"],
  },
  "http-answers-before-commit": {
    file: "http/app.js",
    right: "await (isRead ? store.commit.caughtUp() : store.commit.flushed());",
    wrong: "",
    noticedBy: ["acknowledged", "last", "existence"],
  },
  "qos-2-ids-are-not-kept": {
    file: "mqtt/sessions.js",
    right: 'this.#deps.commit.put(incomingKey(session.number, packetId), "");',
    wrong: "",
    noticedBy: ["once"],
  },
  "qos-1-is-applied-late": {
    file: "mqtt/gate.js",
    right: "takePublish(this.#deps.inbound, publish);",
    wrong:
      "if (qos === 1) setImmediate(() => takePublish(this.#deps.inbound, publish));\n" +
      "else takePublish(this.#deps.inbound, publish);",
    noticedBy: ["order", "acknowledged", "last", "delivered"],
  },
  "the-mark-is-not-written": {
    file: "store/changes.js",
    right: "this.#commit.put(LOG_MARK, JSON.stringify(mark));",
    wrong: "",
    noticedBy: ["mark"],
  },
  "a-sequence-is-left-out": {
    file: "store/changes.js",
    right: "        this.#sequence += 1;\n",
    wrong: "        this.#sequence += this.#sequence % 100 === 99 ? 2 : 1;\n",
    noticedBy: ["no-hole"],
  },
  "a-page-is-miscounted": {
    file: "store/page-counts.js",
    right: "this.#counts[of] += 1;",
    wrong: "this.#counts[of] += this.#counts[of] % 20 === 19 ? 2 : 1;",
    noticedBy: ["mark"],
  },
  "the-state-is-in-another-batch": {
    file: "interactions/property-update.js",
    right: "store.properties.set(thing.number, name, state);",
    wrong: "setImmediate(() => store.properties.set(thing.number, name, state));",
    noticedBy: ["state"],
  },
  "history-is-not-indexed": {
    file: "interactions/property-update.js",
    right: "store.historyIndex.addValue(thing.number, name, state);",
    wrong: "if (sequence % 7 !== 0) store.historyIndex.addValue(thing.number, name, state);",
    noticedBy: ["index"],
  },
  "half-a-map-is-recorded": {
    file: "interactions/property-update.js",
    right: "values: objectText(readable),",
    wrong: "values: objectText(readable.slice(0, 1)),",
    noticedBy: ["as-sent"],
  },
  "what-is-owed-is-in-another-batch": {
    file: "mqtt/session.js",
    right: "this.#deps.commit.put(key, writeQueued(",
    wrong:
      "((...row) => this.#deps.commit.settled(() => this.#deps.commit.put(...row)))(key, writeQueued(",
    noticedBy: ["delivered"],
  },
  "what-is-owed-goes-out-backwards": {
    file: "mqtt/session.js",
    right: "for (const entry of this.#waiting.values()) {\n            if (!this.#retained.isEmpty",
    wrong:
      "for (const entry of [...this.#waiting.values()].reverse()) {\n            if (!this.#retained.isEmpty",
    noticedBy: ["delivered"],
  },
  "sessions-are-not-kept": {
    file: "mqtt/sessions.js",
    right: "this.#deps.commit.put(sessionKey(number), writeSession(row));",
    wrong: "",
    noticedBy: ["sessions"],
  },
  "retained-messages-are-not-kept": {
    file: "mqtt/retained.js",
    right: "this.#deps.commit.put(retainedKey(topic), JSON.stringify(writeMessage(message)));",
    wrong: "",
    noticedBy: ["last"],
  },
  "requests-are-not-pointed-at": {
    file: "store/action-requests.js",
    right: "this.#commit.put(unfinishedKey(request.thing, request.moment), key);",
    wrong: "",
    noticedBy: ["requests"],
  },
  "deleted-credentials-come-back": {
    file: "store/credentials.js",
    right: "this.#commit.delete(credentialKey(credential.ulid));",
    wrong: "",
    noticedBy: ["existence"],
  },
  "deleted-things-come-back": {
    file: "store/things.js",
    right: "this.#commit.delete(thingKey(thing.number));",
    wrong: "",
    noticedBy: ["things", "existence"],
  },
  "batches-are-not-synced": {
    file: "store/commit.js",
    right: "chained.write({ sync: true })",
    wrong: "chained.write({ sync: false })",
    noticedBy: [],
  },
  "names-of-new-logs-are-not-synced": {
    file: "store/database.js",
    right: "await opened.settle();",
    wrong: "",
    noticedBy: [],
  },
  "the-name-of-the-store-is-not-synced": {
    file: "store/synced-folder.js",
    right: "syncFolder(dirname(made));",
    wrong: "",
    noticedBy: [],
  },
};

export function plantIn(
  path: string,
  source: string,
  { file, right, wrong }: PlantedFault,
): string {
  if (!path.endsWith(`/src/${file}`)) return source;
  const [before, after, ...more] = source.split(right);
  if (before === undefined || after === undefined || more.length > 0) {
    throw new Error(`the planted fault fits ${file} no longer: ${JSON.stringify(right)}`);
  }
  return before + wrong + after;
}
