/** What MQTT 5 sends with a message; on a line of MQTT 3.1.1 it is left out. */
export type MessageProperties = {
  /** MQTT 5 §3.3.2.3.7. Of a name that comes several times, the first. */
  readonly userProperties?: Readonly<Record<string, string>>;
  readonly contentType?: string;
  /** Seconds until nobody wants it any more. */
  readonly messageExpiryS?: number;
  /** The payload is UTF-8 text. */
  readonly isText?: boolean;
  readonly responseTopic?: string;
  readonly correlationData?: Buffer;
};

/** A message to the upstream broker; always at QoS 1. */
export type UpMessage = {
  readonly topic: string;
  readonly payload: Buffer;
  readonly retain: boolean;
  readonly properties?: MessageProperties;
};

/** A message from the upstream broker. */
export type DownMessage = {
  readonly topic: string;
  readonly payload: Buffer;
  readonly qos: 0 | 1 | 2;
  readonly retain: boolean;
  /** The broker may have sent it before. */
  readonly dup: boolean;
  /** 0 at QoS 0. */
  readonly packetId: number;
  readonly properties: MessageProperties;
};
