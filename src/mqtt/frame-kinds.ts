/**
 * What a FrameReader yields: one MQTT control packet, checked. `bytes`, `payload` and `password` are
 * views into what was pushed: copy what outlives the turn.
 */
export type Frame =
  | ConnectFrame
  | PublishFrame
  | OversizePublishFrame
  | PubrelFrame
  | SubscribeFrame
  | UnsubscribeFrame
  | OtherFrame
  | FaultFrame;

export type Qos = 0 | 1 | 2;

/** 3: MQTT 3.1 (`MQIsdp`). 4: MQTT 3.1.1 (`MQTT`). */
export type ProtocolLevel = 3 | 4;

export type ConnectFrame = {
  readonly kind: "connect";
  readonly bytes: Buffer;
  readonly protocolLevel: ProtocolLevel;
  readonly clean: boolean;
  /** Seconds; 0 is off [MQTT-3.1.2-24]. */
  readonly keepalive: number;
  /** Empty only with `clean`, and only in MQTT 3.1.1. */
  readonly clientId: string;
  readonly username: string | undefined;
  readonly password: Buffer | undefined;
  readonly will: Will | undefined;
};

export type Will = {
  readonly topic: string;
  readonly levels: number;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
};

export type PublishFrame = {
  readonly kind: "publish";
  /** A valid topic name: not empty, without wildcards. */
  readonly topic: string;
  /** Levels of the topic; how many are allowed is the caller's to say. */
  readonly levels: number;
  readonly payload: Buffer;
  readonly qos: Qos;
  readonly retain: boolean;
  readonly dup: boolean;
  /** 0 for QoS 0. */
  readonly packetId: number;
};

/** A PUBLISH larger than allowed: yielded once all of it has arrived; its payload was let go. */
export type OversizePublishFrame = {
  readonly kind: "oversize-publish";
  readonly topic: string;
  readonly levels: number;
  readonly qos: Qos;
  readonly retain: boolean;
  /** 0 for QoS 0. */
  readonly packetId: number;
  readonly payloadBytes: number;
};

export type PubrelFrame = { readonly kind: "pubrel"; readonly packetId: number };

export type RequestedSubscription = {
  /** A valid topic filter. */
  readonly filter: string;
  readonly levels: number;
  readonly qos: Qos;
};

export type SubscribeFrame = {
  readonly kind: "subscribe";
  readonly bytes: Buffer;
  readonly packetId: number;
  /** At least one [MQTT-3.8.3-3], in the client's order. */
  readonly filters: readonly RequestedSubscription[];
};

export type UnsubscribeFrame = {
  readonly kind: "unsubscribe";
  readonly bytes: Buffer;
  readonly packetId: number;
  /** At least one [MQTT-3.10.3-2], in the client's order. */
  readonly filters: readonly string[];
};

export type OtherFrame = {
  readonly kind: "other";
  readonly type: "puback" | "pubrec" | "pubcomp" | "pingreq" | "disconnect";
  readonly bytes: Buffer;
  /** 0 for PINGREQ and DISCONNECT. */
  readonly packetId: number;
};

/** Why a connection has to be closed; complete. */
export type FaultReason =
  | "connect-missing"
  | "tls-hello"
  | "connect-repeated"
  | "packet-type"
  | "header-flags"
  | "length"
  | "too-large"
  | "protocol-name"
  | "protocol-level"
  | "connect-flags"
  | "client-id"
  | "text"
  | "packet-id"
  | "topic-name"
  | "topic-filter"
  | "filter-missing"
  | "qos";

/** A protocol violation: the network connection is to be closed [MQTT-4.8.0-1]. */
export type FaultFrame = {
  readonly kind: "fault";
  readonly reason: FaultReason;
  /** The statement of MQTT 3.1.1 that was broken. */
  readonly clause: string;
  /** The CONNACK to send before closing; none where it is undefined. */
  readonly connackCode: 1 | 2 | undefined;
};

export function fault(reason: FaultReason, clause: string, connackCode?: 1 | 2): FaultFrame {
  return { kind: "fault", reason, clause, connackCode };
}
