import { GatewayError } from "../errors.ts";
import type { Limits } from "../limits.ts";
import type { Commit } from "../store/commit.ts";
import type { Message } from "./message.ts";
import { RetainedTrie } from "./retained-trie.ts";
import { retainedKey, writeMessage, type MqttRows } from "./session-rows.ts";

type Retained = Pick<Message, "topic" | "payload" | "qos">;

type RetainedDeps = {
  readonly commit: Commit;
  readonly limits: Pick<Limits, "retained_messages" | "retained_bytes">;
};

/**
 * Retained messages of free topics, in memory and on disk. The retained value of a Thing's property
 * is the Thing's state and stands nowhere else.
 */
export class RetainedMessages {
  readonly #deps: RetainedDeps;
  readonly #byTopic = new RetainedTrie<Retained>();
  #bytes = 0;

  constructor(deps: RetainedDeps, rows: MqttRows["retained"]) {
    this.#deps = deps;
    for (const row of rows) this.#remember(row);
  }

  get counts(): { readonly messages: number; readonly bytes: number } {
    return { messages: this.#byTopic.size, bytes: this.#bytes };
  }

  /**
   * Keeps the message for its topic, in the open batch; an empty one takes it away [MQTT-3.3.1-10].
   * @throws GatewayError `limit-reached`; then what was there stays.
   */
  keep(message: Retained): void {
    const { topic, payload } = message;
    const before = this.#byTopic.get(topic);
    if (payload.length === 0) {
      if (before === undefined) return;
      this.#bytes -= sizeOf(before);
      this.#byTopic.delete(topic);
      this.#deps.commit.delete(retainedKey(topic));
      return;
    }
    const { retained_messages: messages, retained_bytes: bytes } = this.#deps.limits;
    const more = sizeOf(message) - (before === undefined ? 0 : sizeOf(before));
    if (before === undefined && this.#byTopic.size >= messages) {
      throw new GatewayError("limit-reached", `limits.retained_messages is ${messages}`);
    }
    if (more > 0 && this.#bytes + more > bytes) {
      throw new GatewayError("limit-reached", `limits.retained_bytes is ${bytes}`);
    }
    this.#remember(message);
    this.#deps.commit.put(retainedKey(topic), JSON.stringify(writeMessage(message)));
  }

  match(filter: string, visit: (message: Retained) => void): void {
    this.#byTopic.match(filter, visit);
  }

  #remember(message: Retained): void {
    const before = this.#byTopic.get(message.topic);
    this.#bytes += sizeOf(message) - (before === undefined ? 0 : sizeOf(before));
    const { topic, payload, qos } = message;
    this.#byTopic.set(topic, { topic, payload, qos });
  }
}

function sizeOf({ topic, payload }: Retained): number {
  return topic.length + payload.length;
}
