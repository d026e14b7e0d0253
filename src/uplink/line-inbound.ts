import type { IPublishPacket } from "mqtt-packet";
import { FIXED_LIMITS } from "../limits.ts";
import type { DownMessage, MessageProperties } from "./message.ts";

/** A message of QoS 2 that was taken, and whose id the broker has not released. */
type Unreleased = { isHandled: boolean; readonly onHandled: (() => void)[] };

/**
 * What a session has to know of what came, beyond one line: the ids of QoS 2 that were taken and not
 * yet released [MQTT-4.3.3-2]. Given to each line of an uplink.
 */
export class InboundSession {
  readonly unreleased = new Map<number, Unreleased>();
}

type Answer = "puback" | "pubrec";
/** A message whose answer waits for whoever handles it. */
type Taken = {
  readonly answer: Answer | undefined;
  readonly packetId: number;
  readonly bytes: number;
  isHandled: boolean;
};

/**
 * Messages from upstream on one line. Each is answered when whoever handles it says so, in the order
 * in which they came [MQTT-4.6.0-2].
 */
export class Inbound {
  readonly #session: InboundSession;
  readonly #onMessage: (message: DownMessage, acknowledge: () => void) => void;
  readonly #answer: (kind: Answer, packetId: number) => void;
  readonly #onRoom: () => void;
  readonly #taken: Taken[] = [];
  #bytes = 0;

  constructor(
    session: InboundSession,
    onMessage: (message: DownMessage, acknowledge: () => void) => void,
    answer: (kind: Answer, packetId: number) => void,
    onRoom: () => void,
  ) {
    this.#session = session;
    this.#onMessage = onMessage;
    this.#answer = answer;
    this.#onRoom = onRoom;
  }

  /** More is taken only when some of it is handled. */
  get isFull(): boolean {
    const { uplinkInboundMessagesMax, uplinkInboundBytesMax } = FIXED_LIMITS;
    return this.#taken.length >= uplinkInboundMessagesMax || this.#bytes >= uplinkInboundBytesMax;
  }

  take(packet: IPublishPacket): void {
    const { qos, messageId: packetId = 0, topic } = packet;
    const before = qos === 2 ? this.#session.unreleased.get(packetId) : undefined;
    if (before !== undefined) {
      this.#answerAgain(packetId, before);
      return;
    }
    const payload = Buffer.from(packet.payload);
    const taken = this.#add(ANSWERS[qos], packetId, topic.length + payload.length);
    const unreleased: Unreleased = { isHandled: false, onHandled: [] };
    if (qos === 2) this.#session.unreleased.set(packetId, unreleased);
    const { retain, dup } = packet;
    const properties = propertiesOf(packet);
    this.#onMessage({ topic, payload, qos, retain, dup, packetId, properties }, () => {
      unreleased.isHandled = true;
      this.#handled(taken);
      for (const again of unreleased.onHandled.splice(0)) again();
    });
  }

  /** One too large to be taken is answered in its turn, so that it does not come for ever. */
  refuse(qos: number, packetId: number): void {
    if (qos === 2) this.#session.unreleased.set(packetId, { isHandled: true, onHandled: [] });
    this.#handled(this.#add(qos === 2 ? "pubrec" : qos === 1 ? "puback" : undefined, packetId, 0));
  }

  /** PUBREL: the broker has forgotten the message, so may we. */
  release(packetId: number): void {
    this.#session.unreleased.delete(packetId);
  }

  /** It came before, perhaps on the line before, and is not delivered twice. */
  #answerAgain(packetId: number, before: Unreleased): void {
    const taken = this.#add("pubrec", packetId, 0);
    if (before.isHandled) this.#handled(taken);
    else before.onHandled.push(() => this.#handled(taken));
  }

  #add(answer: Answer | undefined, packetId: number, bytes: number): Taken {
    const taken: Taken = { answer, packetId, bytes, isHandled: false };
    this.#taken.push(taken);
    this.#bytes += bytes;
    return taken;
  }

  #handled(taken: Taken): void {
    taken.isHandled = true;
    const first = this.#taken.findIndex(({ isHandled }) => !isHandled);
    const handled = this.#taken.splice(0, first < 0 ? this.#taken.length : first);
    for (const { bytes } of handled) this.#bytes -= bytes;
    for (const { answer, packetId } of handled) {
      if (answer !== undefined) this.#answer(answer, packetId);
    }
    if (handled.length > 0) this.#onRoom();
  }
}

const ANSWERS = { 0: undefined, 1: "puback", 2: "pubrec" } as const;

function propertiesOf({ properties }: IPublishPacket): MessageProperties {
  if (properties === undefined) return {};
  const { userProperties, contentType, messageExpiryInterval, payloadFormatIndicator } = properties;
  const { responseTopic, correlationData } = properties;
  return {
    ...(userProperties === undefined ? {} : { userProperties: firstOfEach(userProperties) }),
    ...(contentType === undefined ? {} : { contentType }),
    ...(messageExpiryInterval === undefined ? {} : { messageExpiryS: messageExpiryInterval }),
    ...(payloadFormatIndicator === undefined ? {} : { isText: payloadFormatIndicator }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(correlationData === undefined ? {} : { correlationData }),
  };
}

function firstOfEach(
  given: Readonly<Record<string, string | string[]>>,
): Readonly<Record<string, string>> {
  const entries = Object.entries(given);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value === "string" ? value : (value[0] ?? "")]),
  );
}
