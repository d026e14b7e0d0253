/** A bound, its unit in the key, its default and the reason for it. */
type LimitRow = {
  readonly default: number;
  readonly min: number;
  readonly max: number;
  readonly why: string;
};

/**
 * Bounds a site may change: `limits.<key>` of the configuration. `docs/configuration.md` has a row
 * for each (tested).
 */
export const LIMITS = {
  packet_bytes: {
    default: 262_144,
    min: 256,
    max: 268_435_455,
    why: "largest MQTT packet taken from a client; [MQTT-2.2.3] allows 256 MiB",
  },
  http_body_bytes: {
    default: 1_048_576,
    min: 1024,
    max: 67_108_864,
    why: "largest HTTP body; a Thing Description with hundreds of affordances fits",
  },
  connections: {
    default: 2_000,
    min: 1,
    max: 100_000,
    why: "MQTT connections in all; about 60 kB of memory each",
  },
  connections_per_address: {
    default: 500,
    min: 1,
    max: 100_000,
    why: "MQTT connections from one address; many devices may share a NAT",
  },
  connects_per_minute_per_address: {
    default: 600,
    min: 0,
    max: 1_000_000,
    why: "CONNECTs a minute from one address, 0 is off; paces a reconnect storm",
  },
  login_failures_per_minute_per_address: {
    default: 30,
    min: 0,
    max: 1_000_000,
    why: "failed log-ins a minute from one address, 0 is off; slows guessing",
  },
  topic_levels: {
    default: 32,
    min: 8,
    max: 100,
    why: "levels of a topic name or filter; the matching engine ends at 100",
  },
  inflight: {
    default: 100,
    min: 1,
    max: 65_535,
    why: "publishes of one client that wait for their acknowledgement; more are not read",
  },
  session_queue_messages: {
    default: 1_000,
    min: 1,
    max: 1_000_000,
    why: "messages one persistent session is owed",
  },
  session_queue_bytes: {
    default: 4_194_304,
    min: 1024,
    max: 1_073_741_824,
    why: "bytes one persistent session is owed",
  },
  session_expiry_s: {
    default: 2_592_000,
    min: 60,
    max: 315_360_000,
    why: "how long a persistent session outlives its connection; 30 days",
  },
  sessions: { default: 10_000, min: 1, max: 1_000_000, why: "persistent sessions kept" },
  subscriptions_per_session: {
    default: 200,
    min: 1,
    max: 100_000,
    why: "topic filters of one client",
  },
  retained_messages: {
    default: 100_000,
    min: 0,
    max: 10_000_000,
    why: "retained messages on free topics; Thing status is not counted",
  },
  retained_bytes: {
    default: 67_108_864,
    min: 0,
    max: 4_294_967_296,
    why: "bytes of retained messages on free topics, held in memory",
  },
  accounts: { default: 100, min: 1, max: 10_000, why: "accounts of one box" },
  things: { default: 10_000, min: 1, max: 1_000_000, why: "Things in all; each is held in memory" },
  affordances_per_thing: {
    default: 500,
    min: 1,
    max: 10_000,
    why: "properties, actions and events of one Thing",
  },
  description_bytes: {
    default: 262_144,
    min: 1024,
    max: 4_194_304,
    why: "one Thing Description as JSON",
  },
  value_bytes: {
    default: 65_536,
    min: 64,
    max: 4_194_304,
    why: "one property value, action input or output, event or data object as JSON",
  },
  pending_actions_per_thing: {
    default: 100,
    min: 1,
    max: 100_000,
    why: "action requests of one Thing that have not finished",
  },
  credentials: { default: 20_000, min: 1, max: 1_000_000, why: "MQTT credentials in all" },
  tokens: { default: 10_000, min: 10, max: 1_000_000, why: "bearer tokens and clients in all" },
} as const satisfies Record<string, LimitRow>;

export type LimitName = keyof typeof LIMITS;
export type Limits = Readonly<Record<LimitName, number>>;

/** Bounds nobody needs to change. */
export const FIXED_LIMITS = {
  /** Depth of nesting of any JSON taken in: far above real Thing Descriptions, far below the stack. */
  jsonDepthMax: 32,
  /** Characters of a `pattern` in a DataSchema: bounds what a regular expression can cost. */
  schemaPatternLengthMax: 256,
  /** Nodes of one DataSchema. */
  schemaNodesMax: 500,
  /** Refusals told on a Thing's `errors` topic per client and minute; the rest are only counted. */
  errorReportsPerMinute: 30,
  /** A publish waits this long for a store that cannot write, then its connection closes. */
  withheldMsMax: 30_000,
  /** A client has this long from TCP connect to CONNECT. */
  connectTimeoutMs: 10_000,
  /** A stop may take this long before what is left is cut off (contract: exit within 10 s). */
  stopMsMax: 8_000,
  /** Wills of clients not back this long after an unclean end of the gateway are published. */
  willGraceMs: 60_000,
  /** Time to live of an action request that names none: 24 h, in seconds. */
  actionTimeToLiveS: 86_400,
  /** Access tokens of one client that are good at once; the oldest end first. */
  accessTokensPerClientMax: 50,
  /** Life of an access token from /oauth2/token, in seconds. */
  accessTokenLifeS: 3_600,
} as const;

/** Every limit at its default, with the given ones in its place. */
export function defaultLimits(given: Partial<Limits> = {}): Limits {
  return {
    packet_bytes: LIMITS.packet_bytes.default,
    http_body_bytes: LIMITS.http_body_bytes.default,
    connections: LIMITS.connections.default,
    connections_per_address: LIMITS.connections_per_address.default,
    connects_per_minute_per_address: LIMITS.connects_per_minute_per_address.default,
    login_failures_per_minute_per_address: LIMITS.login_failures_per_minute_per_address.default,
    topic_levels: LIMITS.topic_levels.default,
    inflight: LIMITS.inflight.default,
    session_queue_messages: LIMITS.session_queue_messages.default,
    session_queue_bytes: LIMITS.session_queue_bytes.default,
    session_expiry_s: LIMITS.session_expiry_s.default,
    sessions: LIMITS.sessions.default,
    subscriptions_per_session: LIMITS.subscriptions_per_session.default,
    retained_messages: LIMITS.retained_messages.default,
    retained_bytes: LIMITS.retained_bytes.default,
    accounts: LIMITS.accounts.default,
    things: LIMITS.things.default,
    affordances_per_thing: LIMITS.affordances_per_thing.default,
    description_bytes: LIMITS.description_bytes.default,
    value_bytes: LIMITS.value_bytes.default,
    pending_actions_per_thing: LIMITS.pending_actions_per_thing.default,
    credentials: LIMITS.credentials.default,
    tokens: LIMITS.tokens.default,
    ...given,
  };
}
